#!/usr/bin/env bash
# RabbitMQ's own rabbitmqadmin against this broker: declare, list, publish, get, purge, export, import, delete. The program comes from
# Debian's rabbitmq-server package, which is unpacked and not installed. Skipped with a message where that cannot be had.
#
#   scripts/rabbitmqadmin.sh
#
# BROKER_BIN names a build of the broker; without it the debug build is made.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker" 2>/dev/null || true; rm -rf "$scratch"' EXIT

if ! command -v python3 >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "rabbitmqadmin: skipped, it needs python3 and dpkg-deb"
    exit 0
fi
if ! (cd "$scratch" && apt-get download -q rabbitmq-server && dpkg-deb -x rabbitmq-server*.deb package) >/dev/null 2>&1; then
    echo "rabbitmqadmin: skipped, the package rabbitmq-server cannot be had"
    exit 0
fi
program=$(find "$scratch/package" -path '*www/cli/rabbitmqadmin')

. scripts/trial.sh
find_debug_broker
mkfifo "$scratch/out"
"$BROKER_BIN" --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 --log warn --data-dir "$scratch/data" >"$scratch/out" &
broker=$!
exec 3<"$scratch/out"
read -r line <&3

admin() { python3 "$program" --host 127.0.0.1 --port "${line##*:}" "$@"; }
# Runs a command and wants its output to have some words.
wants() {
    local words=$1 output
    shift
    output=$(admin "$@" 2>&1) || true
    if ! grep -qF -- "$words" <<<"$output"; then
        printf 'FAILED  rabbitmqadmin %s\nwanted  %s\ngot     %s\n' "$*" "$words" "$output" >&2
        exit 1
    fi
    printf 'ok      %s\n' "$*"
}
wants "rabbitmq_version" show overview
wants "queue declared" declare queue name=q durable=true 'arguments={"x-max-length":5}'
wants "exchange declared" declare exchange name=x type=topic
wants "binding declared" declare binding source=x destination=q routing_key='a.#'
wants "a.#" list bindings source destination routing_key
wants "Message published" publish exchange=x routing_key=a.b payload=hello
wants "NOT routed" publish routing_key=nowhere payload=lost
wants "| q    | 1        |" list queues name messages
wants "hello" get queue=q
wants "hello" get queue=q ackmode=ack_requeue_false
wants "No items" get queue=q
wants "queue purged" purge queue name=q
wants "vhost declared" declare vhost name=tenant
wants "user declared" declare user name=ada password=secret tags=management
wants "permission declared" declare permission vhost=tenant user=ada 'configure=.*' 'write=.*' 'read=.*'
wants "vhost_limit declared" declare vhost_limit vhost=tenant name=max-queues value=3
wants "max-queues" list vhost_limits
for what in users vhosts permissions exchanges nodes; do wants "|" list "$what"; done
for what in connections channels consumers policies parameters; do wants "No items" list "$what"; done
wants "Exported definitions" export "$scratch/definitions.json"
wants "binding deleted" delete binding source=x destination_type=queue destination=q properties_key='a.%23'
wants "queue deleted" delete queue name=q
wants "Uploaded definitions" import "$scratch/definitions.json"
wants "| q    | 0        |" list queues name messages
wants "exchange deleted" delete exchange name=x
wants "user deleted" delete user name=ada
wants "vhost deleted" delete vhost name=tenant
wants "Not found" delete queue name=nowhere
wants "policies are not supported" declare policy name=p pattern=x 'definition={}'
wants "Access refused" --username guest --password wrong list queues
echo "all passed"

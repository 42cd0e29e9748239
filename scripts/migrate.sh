#!/usr/bin/env bash
# From this broker to a cluster of three RabbitMQ nodes, step by step as broker/OPERATIONS.md tells it ("Growing past one machine"):
# definitions, then the backlog by `broker shovel` with a list of nodes, one of which is killed before the last shovel. Counts at the end.
#
#   scripts/migrate.sh
#
# Skipped with a message where RabbitMQ (Debian's package rabbitmq-server) or jq is not installed. All runs on loopback and is thrown
# away. Environment:
#   BROKER_BIN     a build of this broker; without it the debug build is made
#   RABBITMQ_HOME  the installation of RabbitMQ; /usr/lib/rabbitmq
set -euo pipefail
cd "$(dirname "$0")/.."
server=$PWD/scripts/interop/server.sh cluster=$PWD/scripts/interop/cluster.sh all=$PWD/scripts/definitions/all.json
rabbitmq_home=${RABBITMQ_HOME:-/usr/lib/rabbitmq}
readonly BACKLOG=500
if [ ! -x "$rabbitmq_home/bin/rabbitmq-server" ] || ! command -v jq >/dev/null; then
    echo "migrate: skipped, it needs jq and RabbitMQ in $rabbitmq_home"
    exit 0
fi
. scripts/trial.sh
find_debug_broker
export BROKER_BIN
scratch=$(mktemp -d)
trap '"$server" stop "$scratch/this" >/dev/null 2>&1 || true; "$cluster" stop "$scratch/cluster"; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# api USER PORT METHOD PATH [BODY FILE]
api() {
    curl --silent --show-error --fail-with-body --user "$1" --request "$3" --header 'content-type: application/json' \
        ${5:+--data-binary "@$5"} "http://127.0.0.1:$2/api/$4"
}
# An administrator of the definitions.
readonly ADMINISTRATOR=imported:test12
old_port=$(free_port) new_port=$(free_port)
old() { api $ADMINISTRATOR "$old_port" "$@"; }
new() { api $ADMINISTRATOR "$new_port" "$@"; }

say "this broker, with what clients have declared, and a backlog in two virtual hosts"
jq '.permissions += [{user: "imported", vhost: "tenant/one", configure: ".*", write: ".*", read: ".*"}]' "$all" >"$scratch/declared"
BROKER_OPTIONS="--definitions $scratch/declared --management-listen 127.0.0.1:$old_port" "$server" start this "$scratch/this"
# publish VHOST QUEUE
publish() {
    jq -n --arg queue "$2" '{routing_key: $queue, payload: "kept", payload_encoding: "string",
        properties: {delivery_mode: 2, message_id: "m"}}' >"$scratch/message"
    for _ in $(seq $BACKLOG); do
        old POST "exchanges/$1/amq.default/publish" "$scratch/message" >/dev/null || die "publishing to $2"
    done
}
publish %2f quorum
publish tenant%2fone q-1

say "1. the cluster, and the definitions"
RABBITMQ_PLUGINS=rabbitmq_consistent_hash_exchange RABBITMQ_FIRST_PLUGINS=rabbitmq_management \
    RABBITMQ_FIRST_SETTINGS="management.tcp.ip = 127.0.0.1"$'\n'"management.tcp.port = $new_port" \
    "$cluster" start "$scratch/cluster"
old GET definitions >"$scratch/definitions"
jq '[.exchanges[] | select(.type == "x-delayed-message") | [.vhost, .name]] as $gone
    | .exchanges |= map(select([.vhost, .name] | IN($gone[]) | not))
    | .bindings |= map(select([.vhost, .source] | IN($gone[]) | not))' "$scratch/definitions" >"$scratch/importable"
api guest:guest "$new_port" POST definitions "$scratch/importable"
new GET 'queues/%2f/quorum' | jq -c '{name, type, leader, members}'

say "2. (clients go over to the cluster here)"
say "3. the backlog, queue by queue, to whichever node answers"
# move VHOST QUEUE [FLAG]...
move() {
    local vhost=$1 queue=$2 node
    shift 2
    local -a to=()
    for node in 1 2 3; do to+=(--to "amqp://imported:test12@$(<"$scratch/cluster/$node/address")/$vhost"); done
    "$BROKER_BIN" shovel --from "amqp://imported:test12@$(<"$scratch/this/address")/$vhost" --from-queue "$queue" "${to[@]}" \
        --to-queue "$queue" "$@"
}
move tenant%2fone q-1 --delete-after queue-length
say "a node is lost after a part of a queue: the rest goes by way of the others"
move %2f quorum --delete-after $((BACKLOG / 5))
"$server" kill "$scratch/cluster/1"
move %2f quorum --delete-after queue-length
say "and is back: its classic queues, which have no replica, with it"
"$server" restart "$scratch/cluster/1"

say "4. what is where"
for vhost in / tenant/one; do
    "$server" ctl "$scratch/cluster/2" -q list_queues -p "$vhost" name type messages | awk 'NR == 1 || $NF > 0'
done
left=$(old GET queues | jq '[.[].messages] | add')
counted=$("$server" ctl "$scratch/cluster/2" -q list_queues -p / name messages | awk '$1 == "quorum" { print $2 }')
counted+=/$("$server" ctl "$scratch/cluster/2" -q list_queues -p tenant/one name messages | awk '$1 == "q-1" { print $2 }')
[ "$left $counted" = "0 $BACKLOG/$BACKLOG" ] || die "left here: $left; arrived: $counted of $BACKLOG each"
say "nothing is left here, everything has arrived"

#!/usr/bin/env bash
# Takes definitions of every kind of entity (definitions/all.json) from this broker to RabbitMQ and back, by `rabbitmqctl` and by the
# management API, and compares what arrives, entity by entity. Skipped with a message where RabbitMQ is not installed.
#
#   scripts/definitions.sh
#
# RabbitMQ (Debian's package rabbitmq-server) runs as throw-away nodes on free loopback ports, one after the other. Environment:
#   BROKER_BIN     a build of this broker; without it the debug build is made
#   RABBITMQ_HOME  the installation of RabbitMQ; /usr/lib/rabbitmq
set -euo pipefail
cd "$(dirname "$0")/.."
server=$PWD/scripts/interop/server.sh
rabbitmq_home=${RABBITMQ_HOME:-/usr/lib/rabbitmq}
if [ ! -x "$rabbitmq_home/bin/rabbitmq-server" ]; then
    echo "definitions: skipped, RabbitMQ is not in $rabbitmq_home"
    exit 0
fi
. scripts/trial.sh
find_debug_broker
export BROKER_BIN
all=$PWD/scripts/definitions/all.json compare=$PWD/scripts/definitions/compare.py
scratch=$(mktemp -d)
cd "$scratch"
running=
trap '[ -z "$running" ] || "$server" stop "$running" >/dev/null 2>&1 || true; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# exported_by_this DIR DOCUMENT [FLAG]...: starts this broker with the document, stops it, and prints what it has.
exported_by_this() {
    local dir=$1 document=$2
    shift 2
    running=$scratch/$dir
    BROKER_OPTIONS="--definitions $document $*" "$server" start this "$running" >/dev/null
    "$server" stop "$running" || die "this broker ended with $?: $(tail -n 3 "$running/log")"
    running=
    "$BROKER_BIN" definitions export --data-dir "$scratch/$dir/data"
}

start_rabbitmq() {
    port=$(free_port)
    printf '%s\n' 'log.file.level = warning' 'disk_free_limit.absolute = 50MB' \
        'management.tcp.ip = 127.0.0.1' "management.tcp.port = $port" >settings
    running=$scratch/$1
    RABBITMQ_SETTINGS=settings RABBITMQ_PLUGINS=rabbitmq_consistent_hash_exchange,rabbitmq_management \
        "$server" start rabbitmq "$running" >/dev/null
}

stop_rabbitmq() {
    "$server" stop "$running" >/dev/null
    running=
}

ctl() { "$server" ctl "$running" "$@"; }
# api METHOD PATH [BODY FILE]: prints the answer; fails on a status above 399.
api() {
    curl --silent --show-error --fail-with-body --user guest:guest --request "$1" --header 'content-type: application/json' \
        ${3:+--data-binary "@$3"} "http://127.0.0.1:$port/api/$2"
}

# field NAME: of the object on standard input.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
count() { python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'; }

say "export of this broker, and what it says of it"
exported_by_this ours "$all" --user set-here:secret >ours.json
python3 - <<'P'
import json
document = json.load(open("ours.json"))
delayed = {(e["vhost"], e["name"]) for e in document["exchanges"] if e["type"] == "x-delayed-message"}
document["exchanges"] = [e for e in document["exchanges"] if (e["vhost"], e["name"]) not in delayed]
document["bindings"] = [b for b in document["bindings"] if (b["vhost"], b["source"]) not in delayed]
json.dump(document, open("without-delayed.json", "w"))
P

say "RabbitMQ without the plugin of delayed exchanges refuses them by name"
start_rabbitmq first
if ctl import_definitions "$scratch/ours.json" >refused 2>&1 || ! grep -q "unknown exchange type .*x-delayed-message" refused; then
    die "it took them, or said something else: $(cat refused)"
fi
grep "unknown exchange type" refused

say "rabbitmqctl import_definitions of all the others, then rabbitmqctl export_definitions"
ctl -q import_definitions "$scratch/without-delayed.json"
ctl -q export_definitions "$scratch/by-ctl.json" >/dev/null
# Hashed by SHA-256 and by SHA-512.
for user in imported longer; do ctl -q authenticate_user "$user" test12; done
# Its export leaves internal exchanges out.
python3 "$compare" without-delayed.json by-ctl.json --without internal-exchanges
api GET definitions >by-ctl-and-api.json
# The management API of 3.10 leaves out what virtual hosts are about.
python3 "$compare" without-delayed.json by-ctl-and-api.json --without vhost-metadata

say "back: what RabbitMQ exports, imported here and exported again"
exported_by_this back "$scratch/by-ctl.json" >back.json
python3 "$compare" by-ctl.json back.json
exported_by_this back-by-api "$scratch/by-ctl-and-api.json" >back-by-api.json
python3 "$compare" by-ctl-and-api.json back-by-api.json

running=$scratch/first
version=$(api GET overview | field rabbitmq_version)
say "what a negative delivery limit is to RabbitMQ $version"
echo '{"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}' >get
for limit in 1 -1; do
    queue=limited-to$limit
    echo "{\"durable\": true, \"arguments\": {\"x-queue-type\": \"quorum\", \"x-delivery-limit\": $limit}}" >queue
    echo "{\"properties\": {\"delivery_mode\": 2}, \"routing_key\": \"$queue\", \"payload\": \"m\", \"payload_encoding\": \"string\"}" >message
    api PUT "queues/%2f/$queue" queue
    api POST exchanges/%2f/amq.default/publish message >published
    [ "$(field routed <published)" = True ] || die "the message is not in $queue: $(cat published)"
    # Nobody else takes from it: what is got and given back can be got again, or is gone.
    [ "$(api POST "queues/%2f/$queue/get" get | count)" = 1 ] || die "the message in $queue cannot be got"
    again=$(api POST "queues/%2f/$queue/get" get | count)
    echo "x-delivery-limit $limit: after its first return, a message is there $again times"
    case $version/$limit/$again in
    */1/1 | 3.*/-1/0) ;;
    */1/* | 3.*) die "that is not what COMPATIBILITY.md says" ;;
    esac
done
stop_rabbitmq

say "the same by RabbitMQ's management API alone"
start_rabbitmq second
api POST definitions without-delayed.json
api GET definitions >by-api.json
python3 "$compare" without-delayed.json by-api.json --without vhost-metadata
stop_rabbitmq
say "all passed"

#!/usr/bin/env bash
# `broker shovel` between this broker and RabbitMQ, in both directions, while each side is killed (SIGKILL) and started again: publishes
# messages with ids and other properties, moves them, and counts by the ids what arrived: lost, changed, twice. Skipped with a message
# where RabbitMQ or python3 is not installed.
#
#   scripts/shovel-peers.sh [MESSAGES]     per direction; 30000
#
# RabbitMQ (Debian's package rabbitmq-server) runs as a throw-away node on free loopback ports; its queues are quorum queues.
# Fails when a message is lost or changed. One that comes twice is no failure: it is what at-least-once means, and is told. Environment:
#   BROKER_BIN     a build of this broker; without it the debug build is made
#   RABBITMQ_HOME  the installation of RabbitMQ; /usr/lib/rabbitmq
#   PIKA_DIR       where the client pika is installed into; a scratch directory without it
set -euo pipefail
cd "$(dirname "$0")/.."
rabbitmq_home=${RABBITMQ_HOME:-/usr/lib/rabbitmq}
messages=${1:-30000}
[[ $messages =~ ^[1-9][0-9]*$ ]] || {
    echo "MESSAGES is '$messages'; allowed: a number from 1" >&2
    exit 2
}
if [ ! -x "$rabbitmq_home/bin/rabbitmq-server" ]; then
    echo "shovel-peers: skipped, RabbitMQ is not in $rabbitmq_home"
    exit 0
fi
if ! command -v python3 >/dev/null; then
    echo "shovel-peers: skipped, there is no python3"
    exit 0
fi
. scripts/trial.sh
find_debug_broker
export BROKER_BIN SERVER=$PWD/scripts/interop/server.sh
directory=$(mktemp -d)
trap 'for side in this rabbitmq; do "$SERVER" stop "$directory/$side" >/dev/null 2>&1 || true; done; rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM

scratch=${PIKA_DIR:-$directory}
. scripts/interop/shared/python.sh
# In a process of its own: it ends by becoming the program.
(python_client "$PWD/scripts/shovel-peers" "pika==1.4.4" "$directory" "$messages")

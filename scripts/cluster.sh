#!/usr/bin/env bash
# Three throw-away RabbitMQ nodes as one cluster on loopback, a quorum queue with a replica on each, and a load on it (scenario
# quorum-cluster) while the node that leads the queue is killed: the ledger must be clean all the same.
#
#   scripts/cluster.sh [LOADGEN OVERRIDE]...     e.g. --rate 2000 --duration 60
#
# The load goes over the other two nodes: a client's connection ends with its node, and what a client does then is another story. The
# queue is declared by way of the first node, which makes that one its leader. RabbitMQ (Debian's package rabbitmq-server) is skipped
# with a message where it is not installed. Generator and nodes share the machine: the figures say that a cluster works, not how fast
# one is, and enter no history. Environment:
#   LOADGEN        the loadgen to use; built with cargo when not given
#   RABBITMQ_HOME  the installation of RabbitMQ; /usr/lib/rabbitmq
# Ends with loadgen's exit code: 0 nothing was lost, 1 messages were harmed, 2 usage, 3 the run is not valid, 4 a broker failed.
set -euo pipefail
cd "$(dirname "$0")/.."
server=$PWD/scripts/interop/server.sh cluster=$PWD/scripts/interop/cluster.sh
rabbitmq_home=${RABBITMQ_HOME:-/usr/lib/rabbitmq}
# After the warm-up of 3 s, and well before the end of 30 s.
readonly KILL_AFTER_S=12 SCENARIO=quorum-cluster
if [ ! -x "$rabbitmq_home/bin/rabbitmq-server" ]; then
    echo "cluster: skipped, RabbitMQ is not in $rabbitmq_home"
    exit 0
fi
if [ -z "${LOADGEN:-}" ]; then
    cargo build --release -p loadgen
    LOADGEN=${CARGO_TARGET_DIR:-target}/release/loadgen
fi
LOADGEN=$(realpath "$LOADGEN")

scratch=$(mktemp -d)
load=
trap '[ -z "$load" ] || kill "$load" 2>/dev/null || true; "$cluster" stop "$scratch"; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

say() { printf '== %s\n' "$*"; }
die() {
    echo "FAILED: $*" >&2
    exit 4
}
url() { echo "amqp://guest:guest@$(<"$scratch/$1/address")"; }

say "starting three nodes"
"$cluster" start "$scratch" || die "no cluster"
say "a short run by way of the first node alone declares the queue there"
# Whether that run is valid does not matter.
"$LOADGEN" --scenario $SCENARIO --url "$(url 1)" --duration 1 --warmup 0 --quiet --results "$scratch/results" >"$scratch/short" 2>&1 ||
    [ $? = 3 ] || die "the short run: $(cat "$scratch/short")"
"$server" ctl "$scratch/1" -q list_queues name type leader members messages

say "the load, over the other two nodes"
code=0
"$LOADGEN" --scenario $SCENARIO --url "$(url 2)" --url "$(url 3)" --results "$scratch/results" "$@" &
load=$!
sleep $KILL_AFTER_S
say "killing the leader"
"$server" kill "$scratch/1"
wait $load || code=$?
load=
say "who leads now"
"$server" ctl "$scratch/2" -q list_queues name type leader online messages
[ $code -ne 0 ] || say "nothing was lost"
exit $code

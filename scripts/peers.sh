#!/usr/bin/env bash
# Compares the reference broker with RabbitMQ under the same scenarios, interleaved, into the history and onto a page.
#
#   scripts/peers.sh [--rounds N] [--scenario NAME]... [--results DIR] [--seed N]
#                    [--target NAME=SPEC]... [--durability NAME=LEVEL]...
#   scripts/peers.sh --install-only
#
# RabbitMQ is the distribution's package rabbitmq-server: installed with apt-get when it is missing (as root), never left
# running as a service. It is started as a node of its own, on free loopback ports with a data directory of its own, with the
# settings in scripts/peers/rabbitmq.conf and no plugins, and stopped at the end, also on Ctrl-C. --target adds other brokers
# (see loadgen matrix --help), e.g. --target lavinmq=amqp://127.0.0.1:5673 for one that runs already.
# Without --scenario: throughput with 16 B and 1 KiB, latency, and the same with every message synced before its confirm.
# Five rounds take less than 15 minutes. Environment:
#   LOADGEN       the loadgen to use; built with cargo when not given
#   TMPDIR        where data directories are made: both brokers' on the same file system, which must be a disk
#   RABBITMQ_HOME the installation of RabbitMQ; /usr/lib/rabbitmq
# Ends with loadgen's exit code: 0 all runs are there, 1 messages were harmed, 2 usage, 3 valid runs are missing, 4 a broker failed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
rabbitmq_home=${RABBITMQ_HOME:-/usr/lib/rabbitmq}
readonly POLICY=/usr/sbin/policy-rc.d

usage() {
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"
    exit "$1"
}

die() {
    echo "$*" >&2
    exit 4
}

rounds=5
seed=1
results=$root/results
# The page repeats the command: it is to name no directory of this machine.
[ "$PWD" != "$root" ] || results=results
install_only=
scenarios=()
targets=()
while [ $# -gt 0 ]; do
    case $1 in
    --rounds | --scenario | --target | --durability | --results | --seed)
        [ $# -ge 2 ] || usage 2 >&2
        case $1 in
        --rounds) rounds=$2 ;;
        --scenario) scenarios+=(--scenario "$2") ;;
        --target | --durability) targets+=("$1" "$2") ;;
        --results) results=$2 ;;
        --seed) seed=$2 ;;
        esac
        shift 2
        ;;
    --install-only) install_only=yes && shift ;;
    --help | -h) usage 0 ;;
    *) usage 2 >&2 ;;
    esac
done
[[ $rounds =~ ^[1-9][0-9]*$ ]] && [[ $seed =~ ^[0-9]+$ ]] || usage 2 >&2
[ ${#scenarios[@]} -gt 0 ] || for name in 20p20c-peers 20p20c-peers-1k 20p20c-peers-latency 20p20c-peers-quorum \
    20p20c-peers-latency-quorum backlog-fill-peers; do
    scenarios+=(--scenario "$name")
done

scratch=$(mktemp -d)
running=
saved_policy=
# shellcheck disable=SC2329 # called by the trap
cleanup() {
    [ -z "$running" ] || "$here/interop/server.sh" stop "$running" >/dev/null || echo "RabbitMQ did not end in order: $?" >&2
    restore_policy
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Debian asks this program before a package's service is started (invoke-rc.d): for the time of the installation it refuses.
forbid_services() {
    [ ! -e $POLICY ] || mv $POLICY "$scratch/policy-rc.d"
    saved_policy=yes
    printf '#!/bin/sh\nexit 101\n' >$POLICY
    chmod 755 $POLICY
}

restore_policy() {
    [ -n "$saved_policy" ] || return 0
    rm -f $POLICY
    [ ! -e "$scratch/policy-rc.d" ] || mv "$scratch/policy-rc.d" $POLICY
    saved_policy=
}

install_rabbitmq() {
    [ ! -x "$rabbitmq_home/bin/rabbitmq-server" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "RabbitMQ is not in $rabbitmq_home: install the package rabbitmq-server, or run this as root where there is apt-get"
    fi
    forbid_services
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends rabbitmq-server ||
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends rabbitmq-server; } ||
        die "apt-get could not install rabbitmq-server"
    restore_policy
    [ -x "$rabbitmq_home/bin/rabbitmq-server" ] || die "the package rabbitmq-server has no $rabbitmq_home/bin/rabbitmq-server"
}

# What the page says of RabbitMQ: versions, the settings without their comments, and how its virtual machine was started.
print_settings() {
    echo "package rabbitmq-server $(dpkg-query --showformat '${Version}' --show rabbitmq-server 2>/dev/null || echo unknown)"
    echo "Erlang/OTP $(erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().' 2>/dev/null || echo unknown)"
    echo "started once for all rounds; no plugins; data on $(stat -f -c %T "$scratch")"
    echo
    echo "rabbitmq.conf:"
    grep -v '^#' "$here/peers/rabbitmq.conf" | grep .
    echo
    echo "virtual machine: $(tr '\0' ' ' <"/proc/$(<"$running/pid")/cmdline" | sed 's/ -- .*//; s/^[^ ]*\///')"
}

install_rabbitmq
[ -z "$install_only" ] || exit 0

case $(stat -f -c %T "$scratch") in
tmpfs | ramfs) die "$scratch lies in memory, where nothing is durable: set TMPDIR to a directory on a disk" ;;
esac
if [ -z "${LOADGEN:-}" ]; then
    cargo build --release -p loadgen --manifest-path "$root/Cargo.toml"
    LOADGEN=${CARGO_TARGET_DIR:-$root/target}/release/loadgen
fi

running=$scratch/rabbitmq
address=$(RABBITMQ_SETTINGS=$here/peers/rabbitmq.conf RABBITMQ_PLUGINS='' "$here/interop/server.sh" start rabbitmq "$running")
mkdir -p "$results/peers"
print_settings | tee "$results/peers/rabbitmq.txt"

code=0
# Both brokers' data lie in the same directory.
TMPDIR=$scratch "$LOADGEN" matrix --target reference=embedded --target "rabbitmq=amqp://$address" "${targets[@]}" "${scenarios[@]}" \
    --rounds "$rounds" --seed "$seed" --settle-max 3 --settings "rabbitmq=$results/peers/rabbitmq.txt" \
    --results "$results" --quiet || code=$?
exit $code

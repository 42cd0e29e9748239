#!/usr/bin/env bash
# Drives a broker with the client libraries that people use, unchanged: pika, aio-pika, kombu with Celery, amqplib,
# amqp091-go, the RabbitMQ Java client and lapin. The programs, what each tests and how they are called: interop/README.md.
#
#   scripts/interop.sh [CLIENT[:FEATURE[,FEATURE]...]]...   against the standalone broker; every client by default
#   scripts/interop.sh --rabbitmq [CLIENT...]               against RabbitMQ (Debian's package rabbitmq-server), started here
#   scripts/interop.sh --compare [CLIENT...]                against both, and lists the features whose results differ
#   scripts/interop.sh --install [CLIENT...]                installs the clients into $INTEROP_DIR and runs nothing
#
# A client whose tools (python3, node and npm, go, javac and mvn, cargo) are missing is skipped, and fails when it was named.
# Clients are installed into a scratch directory; nothing outside it changes. Environment:
#   BROKER_BIN           the broker to test; built with cargo when not given
#   AMQP_HOST AMQP_PORT  test a broker that runs already, instead of starting one; INTEROP_PEER says which kind it is
#   INTEROP_DIR          scratch directory; kept, so that a second run installs nothing
#   INTEROP_JOBS         clients that run at the same time; 3
#   and the variables of interop/README.md. Results: results-<peer>.tsv in the scratch directory (client, feature, ok|FAIL|skip
#   |note, reason), copied to the directory INTEROP_RESULTS when given.
set -euo pipefail

readonly ALL_CLIENTS=(pika aio_pika kombu amqplib amqp091-go java lapin)
declare -rA NEEDS=([pika]=python3 [aio_pika]=python3 [kombu]=python3 [amqplib]="node npm" [amqp091-go]=go [java]="javac mvn"
    [lapin]=cargo)
readonly CLIENT_DEADLINE_S=300 INSTALL_DEADLINE_S=600

here=$(cd "$(dirname "$0")" && pwd)
scratch=${INTEROP_DIR:-$(mktemp -d)}
mkdir -p "$scratch"
scratch=$(cd "$scratch" && pwd)
export scratch INTEROP_MESSAGES=${INTEROP_MESSAGES:-10000} INTEROP_IDLE_S=${INTEROP_IDLE_S:-5}
export AMQP_USER=${AMQP_USER:-guest} AMQP_PASSWORD=${AMQP_PASSWORD:-guest} AMQP_VHOST=${AMQP_VHOST:-/}
server=$here/interop/server.sh
running=

cleanup() {
    [ -z "$running" ] || "$server" stop "$running" >/dev/null 2>&1 || true
    local jobs_left
    jobs_left=$(jobs -pr)
    # shellcheck disable=SC2086 # process ids are words
    [ -z "$jobs_left" ] || kill $jobs_left 2>/dev/null || true
    [ -n "${INTEROP_DIR:-}" ] || rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

usage() {
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"
    exit "$1"
}

mode=this
clients=()
declare -A features=()
for argument in "$@"; do
    case $argument in
    --rabbitmq) mode=rabbitmq ;;
    --compare) mode=compare ;;
    --install) mode=install ;;
    --help | -h) usage 0 ;;
    *)
        client=${argument%%:*}
        [ -n "${NEEDS[$client]:-}" ] || {
            echo "unknown client '$client': expected ${ALL_CLIENTS[*]}" >&2
            exit 2
        }
        clients+=("$client")
        [ "$argument" = "$client" ] || features[$client]=${argument#*:}
        ;;
    esac
done
named=${#clients[@]}
[ "$named" -gt 0 ] || clients=("${ALL_CLIENTS[@]}")

# Sets `present` to the clients that can run here.
find_present() {
    present=()
    local client tool missing
    for client in "${clients[@]}"; do
        missing=
        for tool in ${NEEDS[$client]}; do
            command -v "$tool" >/dev/null || missing+=" $tool"
        done
        [ -x "$here/interop/$client/run.sh" ] || missing+=" interop/$client/run.sh"
        if [ -z "$missing" ]; then
            present+=("$client")
        elif [ "$named" -gt 0 ]; then
            echo "$client cannot run: no$missing" >&2
            exit 1
        else
            echo "SKIP $client: no$missing on this machine"
        fi
    done
}

# All at once, while the broker is built: most of it is waiting for registries.
install_clients() {
    local client
    mkdir -p "$scratch/install"
    for client in "${present[@]}"; do
        rm -f "$scratch/install/$client.ok"
        (timeout "$INSTALL_DEADLINE_S" "$here/interop/$client/run.sh" install >"$scratch/install/$client.log" 2>&1 &&
            touch "$scratch/install/$client.ok") &
    done
}

build_broker() {
    [ -n "${BROKER_BIN:-}" ] || [ -n "${AMQP_PORT:-}" ] || [ "$mode" = rabbitmq ] || {
        (cd "$here/.." && cargo build --release -p broker)
        BROKER_BIN=${CARGO_TARGET_DIR:-$here/../target}/release/broker
    }
    export BROKER_BIN=${BROKER_BIN:-}
}

# Which RabbitMQ Debian installed: 4.x is the reference and is called `rabbitmq`, an older one has its major version behind.
rabbitmq_peer() {
    local major
    major=$(dpkg-query --showformat '${Version}' --show rabbitmq-server 2>/dev/null | sed -E 's/^([0-9]+:)?([0-9]+).*/\2/')
    [ "${major:-3}" -ge 4 ] && echo rabbitmq || echo "rabbitmq${major:-3}"
}

# Runs one client and files its lines: run_client CLIENT LABEL [FEATURE]...
run_client() {
    local client=$1 label=$2 start=$SECONDS code=0 output verdict=PASS
    shift 2
    output=$scratch/out-$INTEROP_PEER-$client-$label
    if [ ! -e "$scratch/install/$client.ok" ]; then
        { echo "FAIL install: see below" && tail -n 20 "$scratch/install/$client.log"; } >"$output"
        code=1
    else
        timeout --kill-after=10 "$CLIENT_DEADLINE_S" "$here/interop/$client/run.sh" "$@" >"$output" 2>&1 </dev/null || code=$?
    fi
    [ $code -ne 124 ] || echo "FAIL deadline: not done after $CLIENT_DEADLINE_S s" >>"$output"
    if [ $code -ne 0 ]; then
        verdict=FAIL
        grep -q '^FAIL ' "$output" || echo "FAIL exit: code $code" >>"$output"
    fi
    (
        flock 9
        echo "$client: $label"
        sed 's/^/  /' "$output"
        echo "$verdict $client: $label ($((SECONDS - start)) s)"
        sed -nE "s/^(ok|FAIL|skip|note) ([a-z0-9_]+):? ?(.*)$/$client\t\2\t\1\t\3/p" "$output" >>"$results"
    ) 9>"$scratch/lock"
}

# run_all PEER: every client against the broker at $AMQP_HOST:$AMQP_PORT, several at a time; then restarts, one by one.
run_all() {
    export INTEROP_PEER=$1
    local restart=${INTEROP_RESTART:-} client words
    results=$scratch/results-$INTEROP_PEER.tsv
    : >"$results"
    unset INTEROP_RESTART
    for client in "${present[@]}"; do
        [ "${features[$client]:-}" != restart ] || continue
        words=,${features[$client]:-},
        words=${words//,restart,/,}
        while [ "$(jobs -pr | wc -l)" -ge "${INTEROP_JOBS:-3}" ]; do wait -n || true; done
        # shellcheck disable=SC2086 # features are words
        run_client "$client" features ${words//,/ } &
    done
    wait
    [ -z "$restart" ] || for client in "${present[@]}"; do
        case ,${features[$client]:-restart}, in
        *,restart,*) INTEROP_RESTART=$restart run_client "$client" restart restart ;;
        esac
    done
    [ -z "${INTEROP_RESULTS:-}" ] || { mkdir -p "$INTEROP_RESULTS" && cp "$results" "$INTEROP_RESULTS/"; }
}

# with_server KIND PEER: starts a broker, runs all against it and stops it.
with_server() {
    local address code=0
    running=$scratch/server-$1
    rm -rf "$running"
    address=$("$server" start "$1" "$running")
    export AMQP_HOST=${address%:*} AMQP_PORT=${address##*:}
    echo "$2 at $address"
    export INTEROP_RESTART="'$server' restart '$running'"
    run_all "$2"
    "$server" stop "$running" || code=$?
    if [ $code -eq 0 ]; then
        printf '%s\texit\tok\t0 after SIGTERM\n' "$1" >>"$results"
    else
        echo "FAIL broker: exit code $code after SIGTERM; the end of its log:"
        tail -n 20 "$running/log"
        printf '%s\texit\tFAIL\tcode %s after SIGTERM\n' "$1" "$code" >>"$results"
    fi
    running=
    unset AMQP_HOST AMQP_PORT INTEROP_RESTART
}

# The features whose results differ, and the differences that the programs allow for.
print_differences() {
    local mine=$scratch/results-this.tsv theirs=$1
    echo "features whose results differ (client, feature, this broker, RabbitMQ):"
    awk -F '\t' '
        $3 == "note" { next }
        { key = $1 FS $2 }
        NR == FNR { result[key] = $3; reason[key] = $4; next }
        key in result && result[key] != $3 {
            print "  " $1 " " $2 ": " result[key] " " reason[key] " | " $3 " " $4
            different++
        }
        END { if (!different) print "  none" }' "$mine" "$theirs"
    echo "differences that the programs allow for:"
    awk -F '\t' '$3 == "note" { print "  " $2 ": " $4 }' "$mine" "$theirs" | sort -u | grep . || echo "  none"
}

find_present
install_clients
[ "$mode" = install ] || build_broker
wait
peer=${INTEROP_PEER:-this}
files=()
case $mode in
install)
    for client in "${present[@]}"; do
        [ -e "$scratch/install/$client.ok" ] || { cat "$scratch/install/$client.log" && exit 1; }
    done
    exit
    ;;
this)
    if [ -n "${AMQP_PORT:-}" ]; then
        export AMQP_HOST=${AMQP_HOST:-127.0.0.1}
        run_all "$peer"
    else
        with_server this this
    fi
    ;;
rabbitmq) with_server rabbitmq "$(rabbitmq_peer)" ;;
compare)
    with_server this this
    files+=("$results")
    with_server rabbitmq "$(rabbitmq_peer)"
    print_differences "$results"
    ;;
esac
files+=("$results")
awk -F '\t' '{ n[$3]++ } $3 == "FAIL" { print "FAIL " $1 " " $2 ": " $4 }
    END { printf "%d passed, %d failed, %d skipped\n", n["ok"], n["FAIL"], n["skip"]; exit n["FAIL"] > 0 }' "${files[@]}"

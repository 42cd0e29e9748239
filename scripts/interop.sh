#!/usr/bin/env bash
# Drives the standalone broker with the client libraries that people use, unchanged: pika, amqplib, amqp091-go, the
# RabbitMQ Java client and lapin. Each connects, is refused with a wrong password, declares, publishes 10,000 messages
# with confirms, consumes and acknowledges them, and checks returns, prefetch, requeue, channel errors, large
# messages, heartbeats and a clean close. The programs are in interop/.
#
#   scripts/interop.sh [pika|amqplib|go|java|lapin]...     all of them by default
#
# Needs what the chosen clients need: python3, node and npm, go, java and mvn, cargo. Clients are installed into a scratch
# directory, nothing outside it changes. Environment:
#   BROKER_BIN           the broker to test; built with cargo when not given
#   AMQP_HOST AMQP_PORT  test a broker that runs already, instead of starting one
#   INTEROP_DIR          scratch directory; kept, so that a second run installs nothing
#   INTEROP_MESSAGES     10000
#   INTEROP_IDLE_S       seconds that connections with a heartbeat of 1 s stay idle; 5
set -euo pipefail

export PIKA=1.4.4 AMQPLIB=2.3.1 AMQP091_GO=v1.16.0 JAVA_CLIENT=5.37.1
readonly CLIENT_DEADLINE_S=600

here=$(cd "$(dirname "$0")" && pwd)
scratch=${INTEROP_DIR:-$(mktemp -d)}
mkdir -p "$scratch"
scratch=$(cd "$scratch" && pwd)
export here scratch INTEROP_MESSAGES=${INTEROP_MESSAGES:-10000} INTEROP_IDLE_S=${INTEROP_IDLE_S:-5}
broker_pid=

cleanup() {
    [ -z "$broker_pid" ] || kill -KILL "$broker_pid" 2>/dev/null || true
    [ -n "${INTEROP_DIR:-}" ] || rm -rf "$scratch"
}
trap cleanup EXIT

start_broker() {
    if [ -z "${BROKER_BIN:-}" ]; then
        (cd "$here/.." && cargo build --release -p broker)
        BROKER_BIN=${CARGO_TARGET_DIR:-$here/../target}/release/broker
    fi
    rm -rf "$scratch/data"
    "$BROKER_BIN" --listen 127.0.0.1:0 --data-dir "$scratch/data" >"$scratch/broker.out" 2>"$scratch/broker.log" &
    broker_pid=$!
    for _ in $(seq 100); do
        address=$(sed -n 's/^broker listening on //p' "$scratch/broker.out")
        [ -z "$address" ] || break
        kill -0 "$broker_pid" 2>/dev/null || break
        sleep 0.1
    done
    if [ -z "$address" ]; then
        echo "the broker did not start:" >&2
        cat "$scratch/broker.log" >&2
        exit 1
    fi
    export AMQP_HOST=${address%:*} AMQP_PORT=${address##*:}
}

# Stops the broker with SIGTERM and returns its exit code.
stop_broker() {
    local pid=$broker_pid
    broker_pid=
    kill -TERM "$pid"
    wait "$pid"
}

run_pika() {
    [ -x "$scratch/pika/bin/python" ] || python3 -m venv "$scratch/pika"
    "$scratch/pika/bin/pip" install --quiet --disable-pip-version-check "pika==$PIKA"
    "$scratch/pika/bin/python" "$here/interop/pika_client.py"
}

run_amqplib() {
    mkdir -p "$scratch/amqplib"
    npm install --silent --no-audit --no-fund --prefix "$scratch/amqplib" "amqplib@$AMQPLIB"
    cp "$here/interop/amqplib_client.js" "$scratch/amqplib/client.js"
    node "$scratch/amqplib/client.js"
}

run_go() {
    mkdir -p "$scratch/go"
    cp "$here/interop/amqp091-go/main.go" "$scratch/go/"
    cd "$scratch/go"
    [ -f go.mod ] || go mod init interop 2>/dev/null
    go get "github.com/rabbitmq/amqp091-go@$AMQP091_GO" 2>"$scratch/go/get.log" || { cat get.log; return 1; }
    go build -o interop . && echo "  amqp091-go $AMQP091_GO" && ./interop
}

run_java() {
    mvn --quiet --batch-mode -f "$here/interop/java/pom.xml" -Damqp-client.version="$JAVA_CLIENT" \
        dependency:copy-dependencies -DoutputDirectory="$scratch/java"
    java -cp "$scratch/java/*" "$here/interop/java/Interop.java"
}

run_lapin() {
    (cd "$here/.." && cargo test --quiet -p broker --test works_with_lapin -- --nocapture)
}

clients=("$@")
[ ${#clients[@]} -gt 0 ] || clients=(pika amqplib go java lapin)
for client in "${clients[@]}"; do
    declare -F "run_$client" >/dev/null || {
        echo "unknown client '$client': expected pika, amqplib, go, java or lapin" >&2
        exit 2
    }
done

own_broker=
if [ -z "${AMQP_PORT:-}" ]; then
    own_broker=yes
    start_broker
fi
export AMQP_HOST=${AMQP_HOST:-127.0.0.1}
echo "broker at $AMQP_HOST:$AMQP_PORT"

failed=()
for client in "${clients[@]}"; do
    start=$SECONDS
    echo "$client"
    export -f "run_$client"
    if timeout "$CLIENT_DEADLINE_S" bash -euo pipefail -c "run_$client" 2>&1; then
        echo "PASS $client ($((SECONDS - start)) s)"
    else
        echo "FAIL $client ($((SECONDS - start)) s)"
        failed+=("$client")
    fi
done

if [ -n "$own_broker" ]; then
    if stop_broker; then
        echo "PASS broker: exit 0 after SIGTERM"
    else
        echo "FAIL broker: exit $? after SIGTERM; the end of its log:"
        tail -n 20 "$scratch/broker.log"
        failed+=(broker)
    fi
fi
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
echo "all ${#clients[@]} clients passed"

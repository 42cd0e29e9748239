#!/usr/bin/env bash
# Runs the broker for an hour at half of what it carries, while clients come and go, connections break, consumers stall, the process is
# frozen for moments, its configuration is reloaded and its metrics are read; then tells whether memory, file descriptors and threads
# stayed flat and whether the ledgers are clean.
#
#   scripts/soak.sh [--minutes N] [--out DIR]
#
# --minutes N   how long the load runs; 60 by default
# --out DIR     where the figures go; results/soak by default. samples.csv has one line every 10 s, soak.json the verdict, *.run.json the runs
#
# BROKER_BIN and LOADGEN_BIN name release builds; without them they are made. Exit code 0: all flat and clean.
#
# Three generators load one broker. `main` is scenario 20p20c as an open loop at half the rate that a saturating run of 20 s reaches just
# before, beside the other two, and its consumers stall. `durable` publishes persistent messages of 1 KiB with confirms to durable queues, and its connections are cut.
# `churn` makes connections, channels and queues come and go.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/measurement.sh"
. "$root/scripts/soak/scenarios.sh"
. "$root/scripts/soak/verdict.sh"

# A function, so that bash has read all of it before it starts: an hour is long enough to edit the file.
main() {
    minutes=60
    out=$root/results/soak
    read_options "$(sed -n '2,14s/^# \{0,1\}//p' "$0")" "$@"
    cd "$root"
    find_builds
    scratch=$(mktemp -d -p "${SOAK_SCRATCH:-$out}")
    broker=
    generators=()
    cleanup() {
        for pid in "${generators[@]}"; do kill "$pid" 2>/dev/null || true; done
        [ -z "$broker" ] || { kill -CONT "$broker" && kill "$broker" && wait "$broker"; } 2>/dev/null || true
        rm -rf "$scratch"
    }
    trap cleanup EXIT

    configure() { # connections_max, log level
        cat >"$scratch/broker.toml.new" <<TOML
listen = ["127.0.0.1:0"]
management_listen = ["127.0.0.1:0"]
data_dir = "$scratch/data"
connections_max = $1
log = "$2"
statistics_interval = "0s"
TOML
        mv "$scratch/broker.toml.new" "$scratch/broker.toml"
    }

    configure 4000 info
    mkfifo "$scratch/stdout"
    env -u BROKER_BIN "$BROKER_BIN" --config "$scratch/broker.toml" >"$scratch/stdout" 2>"$out/broker.log" &
    broker=$!
    exec 3<"$scratch/stdout"
    amqp='' http=''
    while [ -z "$amqp" ] || [ -z "$http" ]; do
        read -r line <&3 || { cat "$out/broker.log" >&2; exit 1; }
        case $line in
        *management*) http=127.0.0.1:${line##*:} ;;
        *) amqp=amqp://127.0.0.1:${line##*:} ;;
        esac
    done

    loadgen() { # scenario file, further flags: prints the run as one object
        "$LOADGEN_BIN" --scenario "$1" --url "$amqp" --broker-pid "$broker" --results "$scratch/results" --quiet --format json "${@:2}"
    }

    # Beside the other loads, as in the hour.
    main_probe >"$scratch/probe.json"
    for name in durable churn; do
        "${name}_load" 30 >"$scratch/$name.json"
        (loadgen "$scratch/$name.json" >/dev/null 2>&1 || true) &
        generators+=($!)
    done
    saturated=$(loadgen "$scratch/probe.json" | rate_of || true)
    wait "${generators[@]}"
    generators=()
    [ "${saturated:-0}" -gt 0 ] || { echo "the run that measures the full load failed" >&2; exit 1; }
    half=$((saturated / 2))
    echo "full load $saturated messages/s, half of it for $minutes min"

    main_load "$half" $((minutes * 60)) >"$scratch/main.json"
    durable_load $((minutes * 60)) >"$scratch/durable.json"
    churn_load $((minutes * 60)) >"$scratch/churn.json"
    names=(main durable churn)
    for name in "${names[@]}"; do
        # Its code says whether targets were met; what counts here is the ledger.
        (loadgen "$scratch/$name.json" >"$out/$name.run.json" 2>"$out/$name.log" || true) &
        generators+=($!)
    done

    sample_header >"$out/samples.csv"
    started=$SECONDS
    reloads=0 pauses=0 requests=0 refused=0
    ask() { # path, flags of curl
        requests=$((requests + 1))
        curl -sf -m 10 "http://$http$1" "${@:2}" || refused=$((refused + 1))
    }
    # All of them, so that one that fails ends the hour at its beginning.
    is_loading() {
        for pid in "${generators[@]}"; do kill -0 "$pid" 2>/dev/null || return 1; done
    }
    tick=0
    while is_loading; do
        tick=$((tick + 1))
        # Once a second, as an eager monitoring system would.
        ask /metrics -o "$scratch/metrics"
        if [ $((tick % 10)) -eq 0 ]; then
            ask /metrics/per-object -o /dev/null
            ask "/api/queues?page=1&page_size=100" -o /dev/null -u guest:guest
            sample "$broker" "$scratch/metrics" $((SECONDS - started)) >>"$out/samples.csv"
        fi
        if [ $((tick % 60)) -eq 30 ]; then
            reloads=$((reloads + 1))
            configure $((4000 + reloads % 2)) "$([ $((reloads % 2)) -eq 0 ] && echo info || echo warn)"
            kill -HUP "$broker"
        fi
        if [ $((tick % 300)) -eq 200 ]; then
            pauses=$((pauses + 1))
            kill -STOP "$broker"
            sleep 1
            kill -CONT "$broker"
        fi
        sleep 1
    done
    for index in 0 1 2; do
        name=${names[index]}
        if ! kill -0 "${generators[index]}" 2>/dev/null && [ ! -s "$out/$name.run.json" ]; then
            echo "no run of $name:" >&2
            cat "$out/$name.log" >&2
            exit 1
        fi
    done
    wait "${generators[@]}"
    generators=()

    code=0
    verdict "$out" "$minutes" "$half" "$reloads" "$pauses" "$requests" "$refused" || code=$?
    kill "$broker"
    ended=0
    wait "$broker" || ended=$?
    broker=
    [ "$ended" -eq 0 ] || { echo "the broker ended with code $ended" >&2; code=1; }
    exit $code
}
main "$@"
exit

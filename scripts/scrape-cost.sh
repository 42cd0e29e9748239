#!/usr/bin/env bash
# What it costs to scrape /metrics every second while 20p20c runs as fast as it goes; with --api, which comes first, to read besides
# /metrics/per-object and of the management API the overview, queues, connections, channels, consumers and bindings.
#
#   scripts/scrape-cost.sh [--api] [--minutes N] [--out DIR]
#
# One run of N minutes (20 by default) on one broker, in blocks of 2 s with and without scraping: see scripts/scrape-cost/blocks.py. Prints the
# ratio of the throughput with scraping to that without, with a 95 % bootstrap interval over the pairs of blocks, and what a scrape costs
# the broker's HTTP thread in CPU time. DIR (results/scrape-cost by default, results/api-cost with --api) gets the blocks and their figures. Needs python3. BROKER_BIN and
# LOADGEN_BIN name release builds.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/measurement.sh"

main() {
    local minutes=20 out=$root/results/scrape-cost paths=/metrics
    if [ "${1:-}" = --api ]; then
        shift
        out=$root/results/api-cost
        paths='/metrics /metrics/per-object /api/overview /api/queues /api/connections /api/channels /api/consumers /api/bindings'
    fi
    read_options "$(sed -n '2,10s/^# \{0,1\}//p' "$0")" "$@"
    cd "$root"
    find_builds
    scratch=$(mktemp -d)
    pids=()
    trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$scratch"' EXIT

    mkfifo "$scratch/stdout"
    env -u BROKER_BIN "$BROKER_BIN" --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 --log warn --data-dir "$scratch/data" >"$scratch/stdout" &
    broker=$!
    pids+=("$broker")
    exec 3<"$scratch/stdout"
    read -r line <&3
    http=127.0.0.1:${line##*:}
    read -r line <&3
    amqp=amqp://127.0.0.1:${line##*:}

    cat >"$scratch/load.json" <<JSON
{"name": "scraped", "description": "20p20c for longer", "producers": 20, "consumers": 20, "queues": 1, "size_bytes": 16,
 "load": {"shape": "saturating", "in_flight": 4000}, "duration_s": $((minutes * 60)), "warmup_s": 10, "drain_s": 10,
 "prefetch": 1000, "ack_every": 100, "ack_flush_ms": 1}
JSON
    mkfifo "$scratch/run"
    "$LOADGEN_BIN" --scenario "$scratch/load.json" --url "$amqp" --broker-pid "$broker" --results "$scratch/results" --quiet \
        --metrics 127.0.0.1:0 >"$scratch/run" 2>&1 &
    load=$!
    pids+=("$load")
    exec 4<"$scratch/run"
    metrics=
    while [ -z "$metrics" ]; do
        read -r line <&4 || { echo "the generator has ended: $line" >&2; exit 1; }
        case $line in
        *http://*) metrics=http://${line##*http://} ;;
        esac
    done
    # Without the path of a scratch directory.
    sed '/^  files: /d' <&4 >"$out/run.txt" &

    local urls='' path
    for path in $paths; do urls+="${urls:+,}http://guest:guest@$http$path"; done
    python3 scripts/scrape-cost/blocks.py "$urls" "$metrics" "$broker" "$load" "$out" | tee "$out/scrape-cost.json"
    wait "$load" || { cat "$out/run.txt" >&2; echo "the run did not pass; its figures are taken all the same" >&2; }
}

main "$@"
exit

#!/usr/bin/env bash
# What it costs to scrape /metrics every second while 20p20c runs as fast as it goes.
#
#   scripts/scrape-cost.sh [--minutes N] [--out DIR]
#
# One run of N minutes (10 by default) on one broker, in blocks of 10 s with and without scraping, in the order A B B A: neighbours are
# compared with each other, so that a drift of the machine hits both alike. Prints the ratio of the throughput with scraping to that
# without, with a 95 % bootstrap interval over the pairs of blocks, and what a scrape costs the broker's HTTP thread in CPU time. DIR
# (results/scrape-cost by default) gets the blocks and their figures. Needs python3. BROKER_BIN and LOADGEN_BIN name release builds.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/measurement.sh"

main() {
    local minutes=10 out=$root/results/scrape-cost
    read_options "$(sed -n '2,9s/^# \{0,1\}//p' "$0")" "$@"
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
    "$LOADGEN_BIN" --scenario "$scratch/load.json" --url "$amqp" --broker-pid "$broker" --results "$scratch/results" --quiet \
        >"$out/run.txt" 2>&1 &
    load=$!
    pids+=("$load")

    echo "unix_s,scraping" >"$out/blocks.csv"
    scrapes=0 block=0 order=(0 1 1 0)
    while kill -0 "$load" 2>/dev/null; do
        scraping=${order[block % 4]}
        block=$((block + 1))
        echo "$(date +%s.%N),$scraping" >>"$out/blocks.csv"
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ "$scraping" = 0 ] || { curl -sf -m 5 -o "$scratch/metrics" "http://$http/metrics" && scrapes=$((scrapes + 1)); }
            sleep 1
        done
        cpu_ms=$(thread_cpu_ms "$broker" http)
    done
    wait "$load" || { cat "$out/run.txt" >&2; echo "the run did not pass; its figures are taken all the same" >&2; }
    python3 scripts/scrape-cost/ratio.py "$out/blocks.csv" "$scratch"/results/runs/*/ "$scrapes" "$cpu_ms" "$(wc -c <"$scratch/metrics")" | tee "$out/scrape-cost.json"
}

# CPU time of a process's threads of that name, in ms.
thread_cpu_ms() { # pid, name
    local task ticks=0
    for task in "/proc/$1/task/"*; do
        [ "$(cat "$task/comm")" = "$2" ] || continue
        # The name is in brackets before what is counted here, and without spaces.
        ticks=$((ticks + $(awk '{ print $14 + $15 }' "$task/stat")))
    done
    echo $((ticks * 1000 / $(getconf CLK_TCK)))
}

main "$@"
exit

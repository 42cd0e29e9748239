#!/usr/bin/env bash
# Prometheus itself against the broker: its parser reads the metrics, a server scrapes them every second while messages flow, every
# expression of the Grafana dashboard gives what it should, and the alerting rules pass their tests. Prometheus is Debian's package, or
# whatever `prometheus` and `promtool` are found; skipped with a message where there are none.
#
#   scripts/prometheus.sh
#
# BROKER_BIN and LOADGEN_BIN name builds; without them the debug builds are made.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in prometheus promtool python3 curl; do
    if ! command -v $tool >/dev/null; then
        echo "prometheus: skipped, it needs $tool"
        exit 0
    fi
done
scratch=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$scratch"' EXIT
if [ -z "${BROKER_BIN:-}" ] || [ -z "${LOADGEN_BIN:-}" ]; then
    cargo build -q -p broker -p loadgen
    target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug
    BROKER_BIN=${BROKER_BIN:-$target/broker} LOADGEN_BIN=${LOADGEN_BIN:-$target/loadgen}
fi

promtool check rules broker/dashboards/alerts.yml
promtool test rules broker/dashboards/alerts_test.yml

mkfifo "$scratch/out"
env -u BROKER_BIN "$BROKER_BIN" --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 --log warn --data-dir "$scratch/data" >"$scratch/out" &
pids+=($!)
exec 3<"$scratch/out"
read -r line <&3
http=127.0.0.1:${line##*:}
read -r line <&3
amqp=127.0.0.1:${line##*:}

free_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$scratch/prometheus.yml" <<YAML
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [$PWD/broker/dashboards/alerts.yml]
scrape_configs:
  - job_name: broker
    static_configs: [{ targets: ["$http"] }]
  - job_name: queues
    metrics_path: /metrics/per-object
    static_configs: [{ targets: ["$http"] }]
YAML
promtool check config "$scratch/prometheus.yml"
prometheus --config.file "$scratch/prometheus.yml" --storage.tsdb.path "$scratch/tsdb" --web.listen-address "127.0.0.1:$free_port" \
    >"$scratch/prometheus.log" 2>&1 &
pids+=($!)

"$LOADGEN_BIN" --scenario scripts/prometheus/load.json --url "amqp://$amqp" --results "$scratch/results" --quiet >"$scratch/load.log" 2>&1 &
load=$!
pids+=($load)
python3 scripts/prometheus/ask.py "http://127.0.0.1:$free_port" broker/dashboards/broker.json
curl -sf "http://$http/metrics" | promtool check metrics
curl -sf "http://$http/metrics/per-object" | promtool check metrics
wait $load || { cat "$scratch/load.log"; exit 1; }
echo "all passed"

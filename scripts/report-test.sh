#!/usr/bin/env bash
# The report in headless Chromium: a page over a made-up history of 1,200 runs and one real run is filtered, hovered over,
# clicked, sorted and printed, wide and narrow, light and dark. Skipped with a message where Chromium or Node cannot be had.
#
#   scripts/report-test.sh [PICTURE-DIRECTORY]     with a directory: keeps a picture of each view there
#
# LOADGEN_BIN names a build of loadgen; without it the debug build is made.
set -euo pipefail
cd "$(dirname "$0")/.."
pictures=${1:-}
[ -z "$pictures" ] || { mkdir -p "$pictures" && pictures=$(cd "$pictures" && pwd); }

. scripts/chromium.sh

if [ -z "${LOADGEN_BIN:-}" ]; then
    cargo build -q -p loadgen
    LOADGEN_BIN=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/loadgen
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
results=$scratch/results

# A debug build's run enters no history, which is right; here its line is made from its file, for the page's sake.
code=0
"$LOADGEN_BIN" --scenario 20p20c-latency --rate 5000 --duration 1 --warmup 0.2 --results "$results" --quiet >"$scratch/run.log" || code=$?
case $code in
0 | 1 | 3) ;;
*)
    cat "$scratch/run.log"
    echo "report-test: the run ended with exit code $code" >&2
    exit 1
    ;;
esac
run=$(basename "$results"/runs/*)
node scripts/report-test/history.mjs results/history.ndjson >"$results/history.ndjson"
node -e '
    const { summary, ...run } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
    const { schema, id, started, seed, command, environment } = run;
    console.log(JSON.stringify({ schema, id, started, seed, command, environment, ...summary }));
' "$results/runs/$run/run.json" >>"$results/history.ndjson"
"$LOADGEN_BIN" report --results "$results" --output "$scratch/report.html"
node scripts/report-test/test.mjs "$chromium" "$scratch/report.html" "$run" "$scratch/profile" ${pictures:+"$pictures"}

#!/usr/bin/env bash
# The broker's status page in headless Chromium: login, figures, rates, wide and narrow, light and dark. Skipped with a message where
# Chromium or Node cannot be had.
#
#   scripts/status-test.sh [PICTURE-DIRECTORY]     with a directory: keeps a picture of each view there
#
# BROKER_BIN names a build of the broker; without it the debug build is made.
set -euo pipefail
cd "$(dirname "$0")/.."
pictures=${1:-}
[ -z "$pictures" ] || { mkdir -p "$pictures" && pictures=$(cd "$pictures" && pwd); }

. scripts/chromium.sh

. scripts/trial.sh
find_debug_broker
scratch=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill "$broker" 2>/dev/null || true; rm -rf "$scratch"' EXIT
mkfifo "$scratch/out"
"$BROKER_BIN" --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 --management-sample-interval 200ms --log warn \
    --data-dir "$scratch/data" >"$scratch/out" &
broker=$!
# The management listener is told of first.
exec 3<"$scratch/out"
read -r line <&3
node scripts/status-test/test.mjs "$chromium" "http://${line##* }" "$scratch/profile" ${pictures:+"$pictures"}

#!/usr/bin/env bash
# For the tests of pages, which source it: sets $chromium, installing Debian's package where that can be done, or ends the
# script with a message where Chromium or Node cannot be had.

chromium=
find_chromium() {
    for name in chromium chromium-browser google-chrome; do
        chromium=$(command -v "$name") && return
    done
    return 1
}
if ! command -v node >/dev/null; then
    echo "$(basename "$0" .sh): skipped, node is not installed"
    exit 0
fi
if ! find_chromium && command -v apt-get >/dev/null; then
    (apt-get update && apt-get install -y --no-install-recommends chromium) >/dev/null 2>&1 || true
fi
if ! find_chromium; then
    echo "$(basename "$0" .sh): skipped, Chromium is not installed and could not be"
    exit 0
fi

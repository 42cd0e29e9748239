#!/usr/bin/env bash
# amqplib, the Node.js client. Called as ../README.md says.
set -euo pipefail
readonly version=2.3.1
here=$(cd "$(dirname "$0")" && pwd)
client=$scratch/amqplib

if [ "${1:-}" = install ]; then
    grep -qs "\"version\": \"$version\"" "$client/node_modules/amqplib/package.json" ||
        npm install --silent --no-audit --no-fund --prefix "$client" "amqplib@$version"
    exit
fi
echo "amqplib $version"
NODE_PATH=$client/node_modules exec node "$here/main.js" "$@"

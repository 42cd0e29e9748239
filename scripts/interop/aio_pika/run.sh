#!/usr/bin/env bash
# Called as ../README.md says.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../shared/python.sh"
python_client "$here" "aio-pika==10.2.1 aiormq==7.2.4" "$@"

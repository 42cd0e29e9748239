#!/usr/bin/env bash
# Called as ../README.md says.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../shared/python.sh"
python_client "$here" "pika==1.4.4" "$@"

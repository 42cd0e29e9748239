#!/usr/bin/env bash
# Called as ../README.md says.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../shared/python.sh"
python_client "$here" "kombu==5.7.0 celery==5.7.0 amqp==5.4.2" "$@"

#!/usr/bin/env bash
# amqp091-go, the Go client. Called as ../README.md says.
set -euo pipefail
readonly version=v1.16.0
here=$(cd "$(dirname "$0")" && pwd)
client=$scratch/amqp091-go

mkdir -p "$client"
cd "$client"
rm -f ./*.go
cp "$here"/*.go .
if [ "${1:-}" = install ]; then
    [ -f go.mod ] || go mod init interop 2>/dev/null
    go get "github.com/rabbitmq/amqp091-go@$version" 2>get.log || { cat get.log >&2; exit 1; }
    go build -o interop .
    exit
fi
go build -o interop .
echo "amqp091-go $version"
exec ./interop "$@"

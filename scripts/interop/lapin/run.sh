#!/usr/bin/env bash
# lapin, the Rust client. Called as ../README.md says.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
client=$scratch/lapin

# The package is built from a copy, so that neither a lock file nor a target directory comes to lie in the sources.
# It starts from the workspace's lock file: the same versions as the broker's own tests use.
build() {
    mkdir -p "$client"
    rm -rf "$client/src"
    cp -R "$here/Cargo.toml" "$here/src" "$client/"
    [ -f "$client/Cargo.lock" ] || cp "$here/../../../Cargo.lock" "$client/"
    (cd "$here" && cargo build --quiet --manifest-path "$client/Cargo.toml" --target-dir "$client/target")
}

build
[ "${1:-}" != install ] || exit 0
echo "lapin $(sed -n 's/^lapin = .*"=\([0-9.]*\)".*/\1/p' "$here/Cargo.toml")"
exec "$client/target/debug/interop" "$@"

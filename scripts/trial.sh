# What scripts that try the broker for real have in common; they source it from the repository's root.

# Makes the debug build unless BROKER_BIN names one.
find_debug_broker() {
    if [ -z "${BROKER_BIN:-}" ]; then
        cargo build -q -p broker
        BROKER_BIN=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/broker
    fi
}

say() { printf '== %s\n' "$*"; }

die() {
    echo "FAILED: $*" >&2
    exit 1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# What scripts that measure a release build for some minutes have in common; they source it.

# Reads `--minutes N` and `--out DIR` into $minutes and $out, which hold the defaults, and makes the directory.
read_options() { # usage text, arguments...
    local usage=$1
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --minutes | --out)
            [ $# -ge 2 ] || { echo "$1: needs a value" >&2; exit 2; }
            [ "$1" = --out ] && out=$2 || minutes=$2
            shift 2
            ;;
        *)
            printf '%s\n' "$usage" >&2
            exit 2
            ;;
        esac
    done
    [[ $minutes =~ ^[1-9][0-9]*$ ]] || { echo "--minutes: expected a whole number above 0, got '$minutes'" >&2; exit 2; }
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
}

# Makes the release builds that BROKER_BIN and LOADGEN_BIN do not name.
find_builds() {
    if [ -z "${BROKER_BIN:-}" ] || [ -z "${LOADGEN_BIN:-}" ]; then
        cargo build --release -p broker -p loadgen
        local target
        target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/release
        BROKER_BIN=${BROKER_BIN:-$target/broker} LOADGEN_BIN=${LOADGEN_BIN:-$target/loadgen}
    fi
}

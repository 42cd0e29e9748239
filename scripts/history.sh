#!/usr/bin/env bash
# Measures builds of this project's broker at several commits with one generator, interleaved, into the history.
#
#   scripts/history.sh [--rounds N] [--scenario NAME]... [--results DIR] [--builds DIR] COMMIT...
#
# Each commit is built in a work tree of its own (only the broker; the generator is the one of this tree, so that a
# difference is the broker's). Rounds run forth and back over the commits, so that a drift of the machine hits all alike.
# Ends with the number of runs that were not valid. Builds are thrown away, unless --builds says where they are kept and
# found again; --rounds 0 only builds.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

rounds=1
builds=
scenarios=()
results=$root/results
# The history repeats the command: it is to name no directory of this machine.
[ "$PWD" != "$root" ] || results=results
commits=()
while [ $# -gt 0 ]; do
    case $1 in
    --rounds | --scenario | --results | --builds)
        [ $# -ge 2 ] || usage
        case $1 in
        --rounds) rounds=$2 ;;
        --scenario) scenarios+=("$2") ;;
        --results) results=$2 ;;
        --builds) builds=$2 ;;
        esac
        shift 2
        ;;
    -*) usage ;;
    *)
        commits+=("$(git -C "$root" rev-parse --short=7 --verify "$1^{commit}")")
        shift
        ;;
    esac
done
[ ${#commits[@]} -gt 0 ] && [[ $rounds =~ ^[0-9]+$ ]] || usage
[ ${#scenarios[@]} -gt 0 ] || scenarios=(20p20c)

scratch=$(mktemp -d)
cleanup() {
    for commit in "${commits[@]}"; do
        git -C "$root" worktree remove --force "$scratch/$commit" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap cleanup EXIT
builds=${builds:-$scratch}
mkdir -p "$builds"

for commit in "${commits[@]}"; do
    [ ! -x "$builds/broker-$commit" ] || continue
    git -C "$root" worktree add --detach "$scratch/$commit" "$commit" >/dev/null
    # One directory for all of them: what they depend on is built once.
    (cd "$scratch/$commit" && cargo build --release -p broker --bin broker --target-dir "$scratch/target")
    cp "$scratch/target/release/broker" "$builds/broker-$commit"
done
[ "$rounds" -gt 0 ] || exit 0
cargo build --release -p loadgen --manifest-path "$root/Cargo.toml"
loadgen=${CARGO_TARGET_DIR:-$root/target}/release/loadgen

invalid=0
for ((round = 0; round < rounds; round++)); do
    for ((index = 0; index < ${#commits[@]}; index++)); do
        at=$((round % 2 == 0 ? index : ${#commits[@]} - 1 - index))
        commit=${commits[at]}
        for scenario in "${scenarios[@]}"; do
            echo "== round $((round + 1)) of $rounds: $scenario on $commit"
            code=0
            "$loadgen" --scenario "$scenario" --seed $((round + 1)) --results "$results" --quiet \
                --broker "$builds/broker-$commit" --broker-commit "$commit" || code=$?
            # A missed target is a result; anything else is none.
            [ $code -le 1 ] || invalid=$((invalid + 1))
        done
    done
done
echo "== runs that say nothing: $invalid"
[ $invalid -eq 0 ]

#!/usr/bin/env bash
# What must hold before a commit: format, lints, tests, the lock-free parts under loom, documentation.
#
#   scripts/check.sh [fmt|table|clippy|test|loom|doc]...     all of them by default, in this order
#
# Prints how long each step took, and stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

step_fmt() { cargo fmt --all --check; }
step_clippy() { cargo clippy --workspace --all-targets -- -D warnings; }
step_test() { cargo test --workspace; }
# Loom replaces the primitives by a cfg, so everything is compiled anew: in a directory of its own, and ring only.
# Optimised, because loom walks through thousands of interleavings; without the release profile's link-time
# optimisation, which takes longer than it saves here.
step_loom() {
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR="$target/loom" CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo test -p ring --release --lib loom
}
# Every attack of the security table names tests that exist.
security_table() {
    awk -F ' *[|] *' '/^[|]/ && $4 != "test" && $4 !~ /^-/ { count = split($4, tests, /, */); for (i = 1; i <= count; i++) print tests[i] }' \
        broker/SECURITY.md | {
        failed=0
        while IFS= read -r proof; do
            file=${proof%%::*}
            case $file in
            src/*) path=broker/$file ;;
            scripts/*) path=$file ;;
            *) path=broker/tests/$file.rs ;;
            esac
            [ -e "$path" ] && { [[ $proof != *::* ]] || grep -q "fn ${proof#*::}(" "$path"; } && continue
            echo "SECURITY.md: there is no test '$proof'" >&2
            failed=1
        done
        return $failed
    }
}
# Every line of the compatibility table names tests that exist, or says that it is not there.
step_table() {
    security_table || return 1
    awk -F ' *[|] *' '
        /^##/ { table = 0 }
        /^[|] *feature *[|]/ { table = 1; next }
        /^[|] *-/ || !/^[|]/ || !table { next }
        $3 !~ /^(pending|no)/ && $4 == "" { print "no proof: " $2; failed = 1 }
        { gsub(/ *[(][^)]*[)]/, "", $4); count = split($4, proofs, /, */); for (i = 1; i <= count; i++) print "proof " proofs[i] }
        END { exit failed }' broker/COMPATIBILITY.md | {
        failed=0
        while read -r kind proof; do
            case $kind-$proof in
            proof-i:*) grep -q "^| \`${proof#i:}\` |" scripts/interop/README.md && continue ;;
            proof-src/*) [ -e "broker/$proof" ] || [ -e "broker/$proof.rs" ] && continue ;;
            proof-*) [ -e "broker/tests/$proof.rs" ] && continue ;;
            esac
            echo "COMPATIBILITY.md: $kind $proof is not there" >&2
            failed=1
        done
        return $failed
    }
}
step_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps; }

steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(fmt table clippy test loom doc)
for step in "${steps[@]}"; do
    declare -F "step_$step" >/dev/null || {
        echo "unknown step '$step': expected fmt, table, clippy, test, loom or doc" >&2
        exit 2
    }
done
timings=()
for step in "${steps[@]}"; do
    echo "== $step"
    start=$SECONDS
    # Run apart, so that a failing command ends the step whatever follows it.
    code=0
    (set -e; "step_$step") || code=$?
    timings+=("$step $((SECONDS - start)) s")
    if [ $code -ne 0 ]; then
        echo "== FAILED: $step, after $((SECONDS - start)) s" >&2
        exit 1
    fi
done
printf '== %s\n' "${timings[@]}" "all passed"

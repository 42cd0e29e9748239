#!/usr/bin/env bash
# What is shipped beside the binary, checked without installing it: the systemd unit (syntax, and how far it is shut off), the
# Dockerfile (its Rust is the pinned one, and what it copies is there). A part whose tool is not installed is skipped by name.
#
#   scripts/packaging-test.sh
#
# BROKER_BIN names a build of the broker; without it the debug build is made.
set -euo pipefail
cd "$(dirname "$0")/.."
packaging=broker/packaging
# Of systemd's 0 to 10. What is left is that the broker serves a network, on addresses that its configuration decides.
exposure_max=1.1

scratch=$(mktemp -d)
# What runs now: a broker, or who traces one.
started=
end() {
    local child children=()
    if [ -n "$started" ]; then
        # A broker outlives its tracer.
        read -ra children <"/proc/$started/task/$started/children" || true
        for child in "${children[@]}" "$started"; do kill -KILL "$child" 2>/dev/null || true; done
        wait "$started" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap end EXIT
trap 'exit 130' INT TERM

fail() {
    echo "packaging: $*" >&2
    exit 1
}

unit() {
    command -v systemd-analyze >/dev/null || {
        echo "skipped: the unit, without systemd-analyze"
        return
    }
    local unit=$scratch/broker.service exposure
    # The one thing that is not there before it is installed.
    sed 's|=/usr/local/bin/broker |=/bin/true |' "$packaging/broker.service" >"$unit"
    grep -q '^ExecStart=/bin/true ' "$unit" || fail "broker.service starts something else than /usr/local/bin/broker"
    # Complaints about other units of this machine are not ours; unknown keys are warnings, and count.
    systemd-analyze verify "$unit" 2>&1 | grep -F broker.service >"$scratch/complaints" || true
    [ ! -s "$scratch/complaints" ] || fail "$(cat "$scratch/complaints")"
    exposure=$(systemd-analyze security --offline=yes --no-pager "$unit" | sed -n 's/.*exposure level for broker.service: \([0-9.]*\) .*/\1/p')
    awk -v is="$exposure" -v max="$exposure_max" 'BEGIN { exit !(is != "" && is <= max) }' ||
        fail "exposure ${exposure:-unknown} is over $exposure_max"
    echo "unit: exposure $exposure of at most $exposure_max"
}

# Every kind of call that the broker makes in a short life must be among those that the unit allows.
system_calls() {
    if ! command -v systemd-analyze >/dev/null || ! command -v curl >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
        echo "skipped: system calls, without systemd-analyze, curl or strace"
        return
    fi
    local line api=
    mkfifo "$scratch/out"
    strace -f -qq -o "$scratch/calls" "$BROKER_BIN" --listen 127.0.0.1:0 --listen-unix "$scratch/amqp.sock" --management-listen 127.0.0.1:0 \
        --data-dir "$scratch/data" --log warn >"$scratch/out" &
    started=$!
    exec 3<"$scratch/out"
    while read -r line <&3; do
        case $line in
        "broker management listening on "*) api=http://guest:guest@${line##* }/api ;;
        *"listening on $scratch/amqp.sock") break ;;
        esac
    done
    printf '{"queues": [{"name": "q", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {}}]}' >"$scratch/definitions.json"
    "$BROKER_BIN" import --data-dir "$scratch/data" "$scratch/definitions.json" >/dev/null
    # A message that is written and synced.
    curl -sf -o /dev/null "$api/exchanges/%2F/amq.default/publish" \
        -d '{"properties": {"delivery_mode": 2}, "routing_key": "q", "payload": "m", "payload_encoding": "string"}' || fail "cannot publish by HTTP"
    "$BROKER_BIN" checkpoint --data-dir "$scratch/data" >/dev/null
    "$BROKER_BIN" reload --data-dir "$scratch/data" >/dev/null
    # strace passes the signal on to nobody: the broker is its child.
    kill -TERM "$(cat "$scratch/data/LOCK")"
    wait "$started" || fail "the broker has ended with $?"
    started=
    local allow deny
    read -ra allow < <(sed -n 's/^SystemCallFilter=\([^~]\)/\1/p' "$packaging/broker.service")
    read -ra deny < <(sed -n 's/^SystemCallFilter=~//p' "$packaging/broker.service")
    expand "${allow[@]}" | sort -u >"$scratch/allowed-all"
    expand "${deny[@]}" | sort -u >"$scratch/denied"
    { comm -23 "$scratch/allowed-all" "$scratch/denied"; expand @default; } | sort -u >"$scratch/allowed"
    # After the process number: NAME(…. The first call makes the process and is the service manager's.
    sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$scratch/calls" | sort -u >"$scratch/called"
    local forbidden
    forbidden=$(comm -23 "$scratch/called" "$scratch/allowed" | tr '\n' ' ')
    [ -z "$forbidden" ] || fail "system calls that broker.service does not allow: $forbidden"
    echo "system calls: $(wc -l <"$scratch/called") kinds, all allowed"
}

# All calls of filter groups, groups in them included.
expand() {
    local group call
    for group in "$@"; do
        systemd-analyze syscall-filter "$group" | sed '1d; s/^ *//; /^#/d; /^$/d' | while read -r call; do
            case $call in
            @*) expand "$call" ;;
            *) echo "$call" ;;
            esac
        done
    done
}

# What needs no container engine: the build's context is complete, and the broker lives and dies as the image has it.
image() {
    local dockerfile=$packaging/Dockerfile pinned context=$scratch/context path from host
    pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    grep -q "^FROM rust:$pinned-slim-bookworm AS build$" "$dockerfile" || fail "Dockerfile: not built with the pinned Rust $pinned"
    grep -q "^ENV RUSTUP_TOOLCHAIN=$pinned$" "$dockerfile" || fail "Dockerfile: RUSTUP_TOOLCHAIN is not $pinned"
    mkdir "$context"
    sed -n 's/^!//p' .dockerignore | while read -r path; do cp -r "$path" "$context"; done
    sed -n '/^[a-z]/p' .dockerignore | while read -r path; do rm -r "${context:?}/$path"; done
    # Of this platform only: what others need may never have been downloaded.
    host=$(rustc -vV | sed -n 's/^host: //p')
    (cd "$context" && cargo metadata --locked --offline --filter-platform "$host" --format-version 1 >/dev/null) ||
        fail ".dockerignore leaves out what the build needs"
    while read -r from; do
        [ -e "$context/$from" ] || fail ".dockerignore leaves out $from, which the Dockerfile copies"
    done < <(sed -n 's/^COPY \([^-.][^ ]*\) .*/\1/p' "$dockerfile")
    echo "image: the context is complete"
    as_the_image_does "$dockerfile"
}

as_the_image_does() {
    local dockerfile=$1 user line health place from data=$scratch/image
    local environment=() run=()
    user=$(sed -n 's/^USER //p' "$dockerfile")
    [[ $user =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "Dockerfile: USER $user is not a number over 0"
    # A variable beats a file: with another one than the file's place, a file that somebody mounts there would not count.
    mapfile -t environment < <(grep -v '^#' "$dockerfile" | grep -o 'BROKER_[A-Z_]*=[^ ]*')
    place=${environment[0]#BROKER_CONFIG=}
    [ "${environment[*]}" = "BROKER_CONFIG=$place" ] || fail "Dockerfile: sets ${environment[*]:-nothing}, not BROKER_CONFIG alone"
    from=$(sed -n "s|^COPY \(.*\) $place\$|\1|p" "$dockerfile")
    [ -n "$from" ] || fail "Dockerfile: copies nothing to $place"
    sed "s|^data_dir = \"$(sed -n 's/^VOLUME //p' "$dockerfile")\"\$|data_dir = \"$data\"|" "$from" >"$scratch/image.toml"
    grep -qF "\"$data\"" "$scratch/image.toml" || fail "$from: data_dir is not the Dockerfile's VOLUME"
    environment=("BROKER_CONFIG=$scratch/image.toml")
    if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
        run=(setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups)
        install -d -o "${user%:*}" -g "${user#*:}" -m 700 "$data"
        chmod 711 "$scratch"
        # A build below somebody's home cannot be executed by others.
        cp "$BROKER_BIN" "$scratch/broker"
    else
        mkdir -m 700 "$data"
        cp "$BROKER_BIN" "$scratch/broker"
    fi
    mkfifo "$scratch/image-out"
    # Elsewhere than in the image, as far as the outside can tell.
    "${run[@]}" env -i "${environment[@]}" "$scratch/broker" --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 \
        >"$scratch/image-out" 2>"$scratch/image-log" &
    started=$!
    exec 4<"$scratch/image-out"
    while read -r line <&4; do
        [[ $line == "broker listening on "* ]] && break
    done
    health=$(sed -n 's/^HEALTHCHECK .*CMD //p' "$dockerfile")
    mapfile -t health < <(node -p "$health.join('\n')" 2>/dev/null || python3 -c 'import json, sys; print("\n".join(json.loads(sys.argv[1])))' "$health")
    [ "${health[0]}" = broker ] || fail "Dockerfile: the health check is not the broker's"
    asked() { "${run[@]}" env -i "${environment[@]}" "$scratch/broker" "${health[@]:1}" >/dev/null 2>"$scratch/health-errors"; }
    asked || fail "the health check fails on a broker that serves: $(cat "$scratch/health-errors")"
    kill -TERM "$started"
    wait "$started" || fail "the broker has ended with $?: $(cat "$scratch/image-log")"
    started=
    asked && fail "the health check succeeds on a broker that has ended"
    [ "$(stat -c %u "$data/LOCK")" = "$([ "$(id -u)" = 0 ] && echo "${user%:*}" || id -u)" ] || fail "its files are somebody else's"
    echo "image: starts, is healthy and stops as user $user"
}

. scripts/trial.sh
unit
find_debug_broker
system_calls
image
echo "packaging: passed"

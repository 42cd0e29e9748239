#!/usr/bin/env bash
# Starts, stops and restarts one broker under test. Its state is in DIR, so that a client's program can restart it too.
#
#   server.sh start this|rabbitmq DIR     on a free loopback port at first, on the same one afterwards; prints HOST:PORT
#   server.sh stop DIR                    SIGTERM; returns the broker's exit code
#   server.sh restart DIR                 stop, then start on the same port and data; returns when it listens
#   server.sh kill DIR                    SIGKILL; `restart` starts it again
#   server.sh ctl DIR ARGUMENT...         rabbitmqctl for a RabbitMQ that was started here
#
# `this` is the binary $BROKER_BIN. `rabbitmq` is Debian's package rabbitmq-server, as a node of its own with its own epmd: an
# installed service and its data are not touched. RABBITMQ_SETTINGS is a rabbitmq.conf and RABBITMQ_PLUGINS the plugins, with
# commas between; by default what the clients' programs need. DIR holds: kind, address, pid, exit (code of the last stop), log, data.
set -euo pipefail

readonly START_DEADLINE_S=90 STOP_DEADLINE_S=60
rabbitmq_home=${RABBITMQ_HOME:-/usr/lib/rabbitmq}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

die() {
    echo "$*" >&2
    exit 1
}

# Runs a command in a process that outlives this script and notes its exit code.
launch() {
    rm -f "$dir/exit"
    # shellcheck disable=SC2016 # expanded by the inner shell
    setsid bash -c '"$@" & echo $! >"$0/pid"; code=0; wait $! || code=$?; echo $code >"$0/exit.new"; mv "$0/exit.new" "$0/exit"' \
        "$dir" "$@" >"$dir/out" 2>>"$dir/log" </dev/null &
    disown
}

# Waits until a command succeeds; gives up when the broker ended or the deadline passed.
await_start() {
    for _ in $(seq $((START_DEADLINE_S * 10))); do
        "$@" && return
        [ ! -e "$dir/exit" ] || break
        sleep 0.1
    done
    tail -n 30 "$dir/log" >&2
    die "the broker in $dir did not start"
}

this_listens() {
    address=$(sed -n 's/^broker listening on //p' "$dir/out" 2>/dev/null)
    [ -n "$address" ] && echo "$address" >"$dir/address"
}

start_this() {
    local listen=127.0.0.1:0
    [ ! -s "$dir/address" ] || listen=$(<"$dir/address")
    : >"$dir/out"
    # shellcheck disable=SC2086 # options are words
    launch "$BROKER_BIN" --listen "$listen" --data-dir "$dir/data" ${BROKER_OPTIONS:-}
    await_start this_listens
}

rabbitmq_environment() {
    local port=$1 epmd_port=$2
    export ERL_EPMD_PORT=$epmd_port ERL_EPMD_ADDRESS=127.0.0.1 HOME=$dir RABBITMQ_NODENAME=interop$port@localhost
    export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$port RABBITMQ_DIST_PORT=$3
    export RABBITMQ_MNESIA_BASE=$dir/data RABBITMQ_LOG_BASE=$dir/logs RABBITMQ_PID_FILE=$dir/erlang.pid
    export RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf
    export RABBITMQ_CONF_ENV_FILE=$dir/none RABBITMQ_ADVANCED_CONFIG_FILE=$dir/none.config RABBITMQ_GENERATED_CONFIG_DIR=$dir
    # Not the script's job control: the process that is started is the Erlang VM itself, which stops in good order on SIGTERM.
    export RUNNING_UNDER_SYSTEMD=yes
}

rabbitmq_listens() {
    local host=${address%:*} port=${address##*:}
    # The AMQP header of another version is answered with the right one, once the listener is up.
    timeout 2 bash -c "exec 3<>/dev/tcp/$host/$port && printf 'AMQP\0\1\0\0' >&3 && head -c 4 <&3 | grep -q AMQP" 2>/dev/null
}

start_rabbitmq() {
    [ -x "$rabbitmq_home/bin/rabbitmq-server" ] || die "RabbitMQ is not installed (apt-get install rabbitmq-server)"
    mkdir -p "$dir/data" "$dir/logs"
    [ -s "$dir/address" ] || echo "127.0.0.1:$(free_port)" >"$dir/address"
    [ -s "$dir/ports" ] || echo "$(free_port) $(free_port)" >"$dir/ports"
    address=$(<"$dir/address")
    local epmd_port distribution_port
    read -r epmd_port distribution_port <"$dir/ports"
    rabbitmq_environment "${address##*:}" "$epmd_port" "$distribution_port"
    echo "[${RABBITMQ_PLUGINS-rabbitmq_consistent_hash_exchange}]." >"$dir/enabled_plugins"
    if [ -n "${RABBITMQ_SETTINGS:-}" ]; then
        cp "$RABBITMQ_SETTINGS" "$dir/rabbitmq.conf"
    else
        # 4.x allows 16 MiB a message, 3.x allows 128 MiB.
        printf '%s\n' 'max_message_size = 16777216' 'disk_free_limit.absolute = 50MB' 'log.file.level = warning' \
            >"$dir/rabbitmq.conf"
    fi
    if ! epmd -port "$epmd_port" -names >/dev/null 2>&1; then
        setsid epmd -address 127.0.0.1 -port "$epmd_port" >/dev/null 2>&1 </dev/null &
        echo $! >"$dir/epmd.pid"
        disown
    fi
    launch "$rabbitmq_home/bin/rabbitmq-server"
    await_start rabbitmq_listens
}

stop() {
    [ -s "$dir/pid" ] || return 0
    if [ ! -e "$dir/exit" ]; then
        kill -TERM "$(<"$dir/pid")" 2>/dev/null || true
        for _ in $(seq $((STOP_DEADLINE_S * 20))); do
            [ ! -e "$dir/exit" ] || break
            sleep 0.05
        done
        [ -e "$dir/exit" ] || { kill -KILL "$(<"$dir/pid")"; die "the broker in $dir did not stop on SIGTERM: killed"; }
    fi
    rm -f "$dir/pid"
    return "$(<"$dir/exit")"
}

stop_epmd() {
    [ ! -s "$dir/epmd.pid" ] || kill "$(<"$dir/epmd.pid")" 2>/dev/null || true
    rm -f "$dir/epmd.pid"
}

action=$1
shift
case $action in
start)
    kind=$1 dir=$2
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    echo "$kind" >"$dir/kind"
    "start_$kind"
    cat "$dir/address"
    ;;
stop)
    dir=$1
    code=0
    stop || code=$?
    stop_epmd
    exit $code
    ;;
restart)
    dir=$1
    stop || echo "the broker ended with exit code $? before its restart" >&2
    "start_$(<"$dir/kind")"
    ;;
kill)
    dir=$1
    kill -KILL "$(<"$dir/pid")"
    for _ in $(seq $((STOP_DEADLINE_S * 20))); do
        [ ! -e "$dir/exit" ] || break
        sleep 0.05
    done
    ;;
ctl)
    dir=$(cd "$1" && pwd)
    shift
    address=$(<"$dir/address")
    read -r epmd_port distribution_port <"$dir/ports"
    rabbitmq_environment "${address##*:}" "$epmd_port" "$distribution_port"
    exec "$rabbitmq_home/bin/rabbitmqctl" "$@"
    ;;
*) die "unknown action '$action'" ;;
esac

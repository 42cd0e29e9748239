#!/usr/bin/env bash
# Starts and stops three RabbitMQ nodes as one cluster on loopback; server.sh does the rest with each of them.
#
#   cluster.sh start DIR     nodes in DIR/1, DIR/2 and DIR/3; returns when each sees the others
#   cluster.sh stop DIR      ends what runs of it, in order
#
# RABBITMQ_PLUGINS are every node's plugins, with commas between; none by default. The first node alone has those of RABBITMQ_FIRST_PLUGINS as
# well, and the lines of RABBITMQ_FIRST_SETTINGS in its rabbitmq.conf.
set -euo pipefail
server=$(cd "$(dirname "$0")" && pwd)/server.sh
readonly FORM_DEADLINE_S=90

start() {
    local -a ports
    # All ports at once, so that none comes twice: three for AMQP, three between nodes, one of epmd.
    read -r -a ports < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(7)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))')
    local node settings=$dir/settings
    printf '%s\n' 'log.file.level = warning' 'disk_free_limit.absolute = 50MB' \
        'cluster_formation.peer_discovery_backend = classic_config' >"$settings"
    for node in 1 2 3; do
        mkdir -p "$dir/$node"
        echo "127.0.0.1:${ports[node - 1]}" >"$dir/$node/address"
        echo "${ports[6]} ${ports[node + 2]}" >"$dir/$node/ports"
        # Nodes that know the same secret may speak with each other.
        (umask 277 && echo "throwaway${ports[6]}" >"$dir/$node/.erlang.cookie")
        echo "cluster_formation.classic_config.nodes.$node = interop${ports[node - 1]}@localhost" >>"$settings"
    done
    { cat "$settings" && printf '%s\n' "${RABBITMQ_FIRST_SETTINGS:-}"; } >"$dir/first-settings"
    # Several nodes on a small machine: schedulers that wait must not spin.
    export RABBITMQ_PLUGINS=${RABBITMQ_PLUGINS:-} RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+sbwt none +S 1:1'
    # The others join the first.
    RABBITMQ_SETTINGS=$dir/first-settings RABBITMQ_PLUGINS=$RABBITMQ_PLUGINS${RABBITMQ_FIRST_PLUGINS:+,$RABBITMQ_FIRST_PLUGINS} \
        "$server" start rabbitmq "$dir/1" >/dev/null
    export RABBITMQ_SETTINGS=$settings
    "$server" start rabbitmq "$dir/2" >/dev/null &
    local second=$!
    "$server" start rabbitmq "$dir/3" >/dev/null
    wait $second
    local deadline=$((SECONDS + FORM_DEADLINE_S))
    until [ "$("$server" ctl "$dir/1" -q eval 'length(rabbit_nodes:all_running()).')" = 3 ]; do
        if [ $SECONDS -ge $deadline ]; then
            echo "the nodes did not find each other: $("$server" ctl "$dir/1" -q cluster_status)" >&2
            exit 1
        fi
        sleep 0.5
    done
}

stop() {
    local node
    # The first one's epmd serves all of them: it goes last.
    for node in 3 2 1; do "$server" stop "$dir/$node" >/dev/null 2>&1 || true; done
}

action=${1:-} dir=${2:-}
case $action in
start)
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    start
    ;;
stop) [ ! -d "$dir" ] || stop ;;
*)
    echo "unknown action '$action': expected start or stop" >&2
    exit 2
    ;;
esac

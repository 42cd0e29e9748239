# The loads of scripts/soak.sh, which sources this. Each function prints a scenario file.

# 20p20c, saturating, for 20 s: what the machine carries.
main_probe() {
    cat <<'JSON'
{"name": "soak-probe", "description": "20p20c for 20 s", "producers": 20, "consumers": 20, "queues": 1, "size_bytes": 16,
 "load": {"shape": "saturating", "in_flight": 4000}, "duration_s": 20, "warmup_s": 3, "drain_s": 10,
 "prefetch": 1000, "ack_every": 100, "ack_flush_ms": 1}
JSON
}

# Whether the machine kept the schedule is not the question here, so no check of validity stands in the way.
validity='"validity": {"schedule_lag_p99_us_max": 60000000, "generator_cpu_max": 1, "steal_max": 1, "foreign_cpu_max": 1, "hiccup_p99_us_max": 60000000}'

# 20p20c as an open loop; a fifth of its consumers stalls for 5 s, every 5 minutes.
main_load() { # messages/s, seconds
    cat <<JSON
{"name": "soak-main", "description": "20p20c at half load", "producers": 20, "consumers": 20, "queues": 1, "size_bytes": 16,
 "load": {"shape": "open_loop", "rate": $1}, "duration_s": $2, "warmup_s": 3, "drain_s": 60,
 "prefetch": 1000, "ack_every": 100, "ack_flush_ms": 1,
 $(strikes "$2" 120 '"kind": "stall", "for_s": 5, "share": 0.2') $validity}
JSON
}

# Persistent messages, confirmed, on durable queues; a quarter of the connections is cut every 5 minutes, by turns with RST and FIN.
durable_load() { # seconds
    cat <<JSON
{"name": "soak-durable", "description": "Confirmed persistent messages under cuts", "producers": 4, "consumers": 4, "queues": 4, "size_bytes": 1024,
 "load": {"shape": "open_loop", "rate": 2000}, "duration_s": $1, "warmup_s": 3, "drain_s": 60,
 "prefetch": 200, "ack_every": 20, "ack_flush_ms": 5, "confirm_window": 1000, "persistent": true, "durable": true,
 $(strikes "$1" 200 '"kind": "cut", "share": 0.25' '"kind": "cut", "share": 0.25, "by": "finish"') $validity}
JSON
}

# Clients and queues come and go beside a little load.
churn_load() { # seconds
    cat <<JSON
{"name": "soak-churn", "description": "Connections, channels and queues come and go", "producers": 2, "consumers": 2, "queues": 1, "size_bytes": 100,
 "load": {"shape": "open_loop", "rate": 1000}, "duration_s": $1, "warmup_s": 3, "drain_s": 60, "prefetch": 100, "ack_every": 10, "ack_flush_ms": 5,
 "churn": {"connections_per_s": 20, "channels_per_s": 100, "queues_per_s": 20}, $validity}
JSON
}

# The field of faults: of the kinds given, in turn, every 5 minutes. Nothing for a load that is too short for one.
strikes() { # seconds of the load, second of the first, kinds...
    local seconds=$1 at=$2 all='' turn=0
    shift 2
    local kinds=("$@")
    while [ $((at + 30)) -lt "$seconds" ]; do
        all+="${all:+, }{${kinds[turn % ${#kinds[@]}]}, \"after_s\": [$at, $((at + 20))]}"
        turn=$((turn + 1)) at=$((at + 300))
    done
    [ -z "$all" ] || printf '"faults": [%s], "recovered_p99_us_max": 1000000,' "$all"
}

# The whole messages/s consumed that a run, one object on standard input, tells.
rate_of() { sed -n 's/.*"consume_rate": *\([0-9]*\).*/\1/p' | tail -1; }

# Samples and verdict of scripts/soak.sh, which sources this.

sample_header() { echo "seconds,rss_bytes,rss_anon_bytes,fds,threads,budget_bytes,connections,channels,queues"; }

# One line of samples.csv about the process and what its metrics, a file, say.
sample() { # pid, metrics, seconds
    local status
    status=$(cat "/proc/$1/status")
    field() { awk -v key="$1:" '$1 == key { print $2 }' <<<"$status"; }
    metric() { awk -v key="$1" '$1 == key { print $2 }' "$2"; }
    echo "$3,$(($(field VmRSS) * 1024)),$(($(field RssAnon) * 1024)),$(find "/proc/$1/fd" -type l | wc -l),$(field Threads),$(metric broker_memory_used_bytes "$2"),$(metric rabbitmq_connections "$2"),$(metric rabbitmq_channels "$2"),$(metric rabbitmq_queues "$2")"
}

# Whether a column is flat: the median of the last third of all samples after the first tenth, against that of the first third.
# Prints `{"from": …, "to": …, "max": …, "flat": …}`.
flatness() { # samples.csv, column, share that it may grow by, amount that it may grow by beside
    awk -F, -v column="$2" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i; next }
        { print $at }' "$1" |
        awk -v share="$3" -v amount="$4" '
            function median(from, to,   i, j, n, sorted, value) {
                n = 0
                for (i = from; i <= to; i++) {
                    value = all[i]
                    for (j = n; j > 0 && sorted[j] > value; j--) sorted[j + 1] = sorted[j]
                    sorted[j + 1] = value
                    n++
                }
                return sorted[int((n + 1) / 2)]
            }
            { all[NR] = $1 + 0 }
            END {
                first = int(NR / 10) + 1
                third = int((NR - first + 1) / 3)
                if (third < 1) { print "{\"flat\": false}"; exit }
                from = median(first, first + third - 1); to = median(NR - third + 1, NR)
                for (i = first; i <= NR; i++) if (all[i] > most) most = all[i]
                printf "{\"from\": %d, \"to\": %d, \"max\": %d, \"flat\": %s}", from, to, most, (to <= from * (1 + share) + amount ? "true" : "false")
            }'
}

# A number or `null` of the ledger of a run, a file.
ledger_field() { # file, field
    tr -d '\n' <"$1" | sed -n 's/.*"ledger": *{\([^}]*\)}.*/\1/p' | sed -n "s/.*\"$2\": *\([0-9a-z]*\).*/\1/p"
}

# A run's ledger is clean when every message that was published came, once, unharmed and, of those confirmed, none is missing.
is_clean() { # file
    local field
    [ "$(ledger_field "$1" received)" -gt 0 ] 2>/dev/null || return 1
    for field in lost confirmed_lost duplicated corrupt foreign nacked; do
        case $(ledger_field "$1" "$field") in
        0 | null) ;;
        *) return 1 ;;
        esac
    done
}

# Writes soak.json, prints it, and fails when something grew or was harmed.
verdict() { # directory, minutes, rate, reloads, pauses, HTTP requests, of them without an answer
    local out=$1 code=0 name column text
    {
        printf '{\n  "commit": "%s",\n' "$(git rev-parse --short=7 HEAD 2>/dev/null || echo unknown)"
        printf '  "processor": "%s",\n  "cores": %s,\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(nproc)"
        printf '  "minutes": %s,\n  "rate": %s,\n  "reloads": %s,\n  "pauses": %s,\n  "http_requests": %s,\n  "http_failures": %s' "$2" "$3" "$4" "$5" "$6" "$7"
        while read -r column share amount; do
            text=$(flatness "$out/samples.csv" "$column" "$share" "$amount")
            printf ',\n  "%s": %s' "$column" "$text"
        done <<'COLUMNS'
rss_bytes 0.05 8388608
rss_anon_bytes 0.05 8388608
fds 0 8
threads 0 2
COLUMNS
        for name in main durable churn; do
            printf ',\n  "%s": {"published": %s, "received": %s, "clean": %s}' "$name" \
                "$(ledger_field "$out/$name.run.json" published)" "$(ledger_field "$out/$name.run.json" received)" \
                "$(is_clean "$out/$name.run.json" && echo true || echo false)"
        done
        printf '\n}\n'
    } >"$out/soak.json"
    cat "$out/soak.json"
    ! grep -qE '"(flat|clean)": false|"http_failures": [1-9]' "$out/soak.json" || code=1
    return $code
}

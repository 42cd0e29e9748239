"""Asks a Prometheus server for every expression of a Grafana dashboard, while a load of 2,000 messages a second runs.

    ask.py URL DASHBOARD

Exit code 1, and a line each, for expressions that Prometheus does not understand or has no value for, and for figures
that are not what the load makes them.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

URL, DASHBOARD = sys.argv[1:]
DEADLINE = time.monotonic() + 60

# What the load makes of some figures: expression, from, to. Wide, because the machine may be busy.
EXPECTED = [
    ('up{job="broker"}', 1, 1),
    ('up{job="queues"}', 1, 1),
    ('sum(rate(rabbitmq_global_messages_received_total{job="broker"}[5s]))', 500, 4000),
    ('sum(rate(rabbitmq_global_messages_confirmed_total{job="broker"}[5s]))', 500, 4000),
    ('sum(rate(rabbitmq_global_messages_acknowledged_total{job="broker"}[5s]))', 500, 4000),
    ('rabbitmq_queues{job="broker"}', 2, 3),
    ('rabbitmq_consumers{job="broker"}', 2, 2),
    ('count(rabbitmq_queue_messages_ready{job="queues"})', 2, 3),
    ('sum(rate(rabbitmq_queue_messages_published_total{job="queues"}[5s]))', 500, 4000),
    ('sum(rate(broker_log_bytes_written_total{job="broker"}[5s]))', 100_000, 10_000_000),
    ('sum(rate(broker_log_syncs_total{job="broker"}[5s]))', 1, 10_000),
    ('count(ALERTS{alertname!="BrokerRestarted"}) or vector(0)', 0, 0),
]


def ask(expression):
    """The values of an expression now."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{URL}/api/v1/query?{query}", timeout=10) as answer:
            result = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        sys.exit(f"{expression}: {error.read().decode()}")
    except urllib.error.URLError:
        return []
    return [float(sample["value"][1]) for sample in result]


def wait_for(expression, low, high):
    """Asks until the one value is within its limits, or the time is over."""
    while True:
        values = ask(expression)
        if len(values) == 1 and low <= values[0] <= high:
            return print(f"ok  {expression} = {values[0]:g}")
        if time.monotonic() > DEADLINE:
            sys.exit(f"{expression}: expected one value from {low} to {high}, got {values}")
        time.sleep(0.5)


for expectation in EXPECTED:
    wait_for(*expectation)

with open(DASHBOARD, encoding="utf-8") as file:
    panels = json.load(file)["panels"]
expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
empty = []
for expression in expressions:
    expression = expression.replace('job=~"$job", instance=~"$instance"', 'job="broker"').replace("$__rate_interval", "5s")
    if not ask(expression):
        empty.append(expression)
for expression in empty:
    print(f"no value: {expression}", file=sys.stderr)
print(f"{len(expressions) - len(empty)} of {len(expressions)} expressions of the dashboard have a value")
sys.exit(bool(empty))

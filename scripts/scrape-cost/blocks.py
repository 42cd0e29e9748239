"""The throughput of a run with scraping and without, in turn.

    blocks.py BROKER-URLS GENERATOR-METRICS BROKER-PID GENERATOR-PID DIRECTORY

BROKER-URLS, with commas in between, are what one scrape reads. While the generator runs, blocks of BLOCK_S seconds with a scrape of the broker each
second alternate with blocks without, in the order A B B A: neighbours are compared with each other, so that a drift of the machine hits both alike. What a block consumed is
the difference of the generator's own counter at its ends, read at the instant at which the counter moves. DIRECTORY gets blocks.csv;
the summary is printed.
"""

import base64
import csv
import http.client
import json
import os
import random
import statistics
import sys
import time
import urllib.parse

BLOCK_S = 2
RESAMPLES = 10_000
POLL_S = 0.005
HZ = os.sysconf("SC_CLK_TCK")


class Endpoint:
    """A connection that stays open, as Prometheus keeps it."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path
        self.headers = {}
        if parts.username:
            login = base64.b64encode(f"{parts.username}:{parts.password}".encode())
            self.headers["Authorization"] = f"Basic {login.decode()}"
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)

    def get(self):
        self.connection.request("GET", self.path, headers=self.headers)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise OSError(f"status {response.status}")
        return body


def samples(body):
    lines = (line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def consumed_now(generator):
    """The counter and the time at which it came to stand there."""
    before = samples(generator.get())["loadgen_consumed_total"]
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        found = samples(generator.get())
        if found["loadgen_consumed_total"] != before:
            break
        time.sleep(POLL_S)
    return time.monotonic(), found["loadgen_consumed_total"], found['loadgen_phase{phase="measure"}'] == 1


def thread_ticks(pid, name):
    """CPU time of a process's threads of that name."""
    ticks = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as file:
            head, _, fields = file.read().rpartition(") ")
        if head.partition("(")[2] == name:
            ticks += sum(int(ticks) for ticks in fields.split()[11:13])
    return ticks


def is_running(pid):
    """False for a process that has ended, whether it was waited for or not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def blocks(broker, generator, counts):
    """(scraped?, consumed per second) for each block, until the measured window ends."""
    while not consumed_now(generator)[2]:
        time.sleep(0.1)
    turn = 0
    began = consumed_now(generator)
    while True:
        is_scraped = turn % 4 in (1, 2)
        turn += 1
        for second in range(BLOCK_S):
            if is_scraped:
                counts["bytes"] = sum(len(endpoint.get()) for endpoint in broker)
                counts["scrapes"] += 1
            time.sleep(max(0.0, began[0] + second + 1 - time.monotonic()))
        ended = consumed_now(generator)
        if not ended[2]:
            return
        yield is_scraped, (ended[1] - began[1]) / (ended[0] - began[0])
        began = ended


def main():
    broker_urls, generator_url, broker_pid, generator_pid, directory = sys.argv[1:]
    counts = {"scrapes": 0, "bytes": 0}
    found = []
    ticks = thread_ticks(broker_pid, "http")
    broker = [Endpoint(url) for url in broker_urls.split(",")]
    with open(f"{directory}/blocks.csv", "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["scraped", "consumed_per_s"])
        try:
            for is_scraped, rate in blocks(broker, Endpoint(generator_url), counts):
                found.append((is_scraped, rate))
                out.writerow([int(is_scraped), round(rate)])
        except (OSError, http.client.HTTPException):
            # The generator may end within the last block.
            if is_running(generator_pid):
                raise
    ticks = thread_ticks(broker_pid, "http") - ticks
    # In the order A B B A two and two neighbours are one block of each kind.
    pairs = []
    for one, other in zip(found[::2], found[1::2]):
        scraped, not_scraped = (one, other) if one[0] else (other, one)
        pairs.append(scraped[1] / not_scraped[1])
    if len(pairs) < 5:
        sys.exit(f"only {len(pairs)} pairs of blocks: let it run longer")
    rng = random.Random(1)
    resampled = sorted(statistics.geometric_mean(rng.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    summary = {
        "pairs": len(pairs),
        "block_s": BLOCK_S,
        "consumed_per_s": round(statistics.mean(rate for _, rate in found)),
        "ratio": round(statistics.geometric_mean(pairs), 4),
        "ratio_95": [round(resampled[int(RESAMPLES * share)], 4) for share in (0.025, 0.975)],
        "pair_min_max": [round(min(pairs), 4), round(max(pairs), 4)],
        "scrapes": counts["scrapes"],
        "scrape_bytes": counts["bytes"],
        "cpu_ms_per_scrape": round(ticks * 1000 / HZ / max(1, counts["scrapes"]), 2),
    }
    print(json.dumps(summary, indent=2))


main()

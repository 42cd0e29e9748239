"""The ratio of a run's throughput with scraping to that without.

    ratio.py BLOCKS.csv RUN-DIRECTORY SCRAPES CPU-MS BYTES

BLOCKS.csv says when which block began, in seconds of the clock; the run's series.csv what was consumed in each second. A second that is
not wholly within one block, less a margin for the run's start, which is known to the second, counts for none.
"""

import csv
import datetime
import json
import random
import statistics
import sys

blocks_file, directory, scrapes, cpu_ms, size = sys.argv[1:]
MARGIN_S = 2
RESAMPLES = 10_000

with open(f"{directory}/run.json", encoding="utf-8") as file:
    run = json.load(file)
began = datetime.datetime.fromisoformat(run["started"].replace("Z", "+00:00")).timestamp() + run["started_ns"] / 1e9
with open(f"{directory}/series.csv", encoding="utf-8") as file:
    rows = [(float(row["t_s"]), float(row["length_s"]), int(row["consumed"])) for row in csv.DictReader(file)]
# The last one may be as good as empty.
seconds = [(began + at, consumed / length) for at, length, consumed in rows if length > 0.5]
window = [began + edge for edge in run["window_s"]]
with open(blocks_file, encoding="utf-8") as file:
    blocks = [(float(row["unix_s"]), int(row["scraping"])) for row in csv.DictReader(file)]

rates = {}
for index, ((start, _), (end, _)) in enumerate(zip(blocks, blocks[1:])):
    inside = [
        rate
        for at, rate in seconds
        if start + 1 + MARGIN_S <= at <= end - MARGIN_S and window[0] + 1 <= at <= window[1]
    ]
    if len(inside) >= 4:
        rates[index] = statistics.mean(inside)
# The order is A B B A, so two and two neighbours are one block of each kind.
pairs = []
for first in range(0, len(blocks), 2):
    if first in rates and first + 1 in rates:
        scraped, other = (first, first + 1) if blocks[first][1] else (first + 1, first)
        pairs.append(rates[scraped] / rates[other])
if len(pairs) < 5:
    sys.exit(f"only {len(pairs)} pairs of blocks: let it run longer")
rng = random.Random(1)
resampled = sorted(statistics.geometric_mean(rng.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
summary = {
    "pairs": len(pairs),
    "consumed_per_s": round(statistics.mean(rates.values())),
    "ratio": round(statistics.geometric_mean(pairs), 4),
    "ratio_95": [round(resampled[int(RESAMPLES * share)], 4) for share in (0.025, 0.975)],
    "pair_min_max": [round(min(pairs), 4), round(max(pairs), 4)],
    "scrapes": int(scrapes),
    "scrape_bytes": int(size),
    "cpu_ms_per_scrape": round(int(cpu_ms) / max(1, int(scrapes)), 2),
}
print(json.dumps(summary, indent=2))

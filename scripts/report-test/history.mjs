// A made-up history of 1,200 lines, always the same, in the shape of the line that it is given.
//
//   node history.mjs TEMPLATE-LINE-FILE > history.ndjson
import { readFileSync } from "node:fs";

const template = JSON.parse(readFileSync(process.argv[2], "utf8").split("\n")[0]);
const RUNS = 1_200;
const SCENARIOS = ["20p20c", "20p20c-1k", "20p20c-latency", "fanout", "crash", "backlog-drain"];
const SERVERS = ["AMQP performance lab reference broker 0.1.0", "RabbitMQ 4.1.2", "LavinMQ 2.4.0"];
const CPUS = ["Intel(R) Xeon(R) Processor", "AMD EPYC 9B14"];

// A linear congruential generator (Numerical Recipes): the same numbers on every machine.
let seed = 42;
const random = () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
};
const pick = (list) => list[Math.floor(random() * list.length)];
const latency = (p50) => ({ p50, p90: p50 * 1.6, p99: p50 * (2.5 + random()), p99_9: p50 * (5 + 3 * random()), max: p50 * (12 + 20 * random()), count: 1_000_000 });

for (let index = 0; index < RUNS; index += 1) {
  const commit = Math.floor(index / 40);
  const scenario = pick(SCENARIOS);
  const server = Math.floor(random() ** 2 * SERVERS.length);
  const started = new Date(Date.UTC(2026, 0, 1) + index * 3_600_000).toISOString().slice(0, 19) + "Z";
  const rate = (1_000_000 + 40_000 * commit) / (1 + 3 * server) * (0.95 + 0.1 * random());
  const drain = scenario === "backlog-drain";
  const measured = drain ? null : latency(300 * (1 + server) * (1 - commit / 80));
  const verdict = random() < 0.04 ? "fail" : "pass";
  const line = {
    ...template,
    id: `${started.replace(/[-:]/g, "")}-${scenario}-c${commit}-${index}`,
    started,
    seed: index,
    command: ["loadgen", "--scenario", scenario, "--seed", String(index)],
    environment: { ...template.environment, cpu: pick(CPUS), commit: `${(commit * 7_919 + 0xabcdef1).toString(16)}0123456789`, modified: false },
    scenario,
    scenario_hash: `hash-${scenario}`,
    overrides: random() < 0.05 ? ["size_bytes = 1024"] : [],
    broker_commit: server === 0 ? `${(commit * 7_919 + 0xabcdef1).toString(16)}`.slice(0, 7) : null,
    server: SERVERS[server],
    verdict,
    reasons: verdict === "fail" ? ["messages lost: 3", "</script><b>not markup</b>"] : [],
    publish_rate: rate,
    consume_rate: rate,
    latency_us: measured,
    service_latency_us: measured,
    confirm_latency_us: scenario === "crash" ? latency(900) : null,
    broker: { ...template.broker, rss_bytes_max: Math.round(1e7 * (1 + server * 6) * (1 + random() / 5)), cpu_us_per_message: 0.1 * (1 + server) },
  };
  if (line.overrides.length) line.scenario_hash += "-other";
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

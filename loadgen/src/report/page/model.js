// The runs of the history as rows, their figures, and what makes runs comparable.
const DATA = JSON.parse(document.getElementById("data").textContent);

const shortCommit = (environment) => environment.commit.slice(0, 7) + (environment.modified ? "+" : "");
const machineOf = (it) => `${it.cores} × ${it.cpu}, ${(it.memory_bytes / 2 ** 30).toFixed(0)} GiB`;

const ROWS = DATA.runs.map((line, index) => ({
  index,
  line,
  id: line.id,
  started: line.started,
  scenario: line.scenario,
  load: line.overrides.length ? `${line.scenario} (${line.overrides.join(", ")})` : line.scenario,
  machine: machineOf(line.environment),
  // A build of a commit of this project is the reference broker, also where it told clients to treat it as RabbitMQ.
  server: line.broker_commit && line.server.startsWith("RabbitMQ") ? "AMQP performance lab reference broker" : line.server || line.target,
  commit: line.broker_commit ?? shortCommit(line.environment),
  verdict: line.verdict,
  driver: line.driver,
  tls: line.tls ? `${line.tls.version}, ${line.tls.cipher_suite}, ${line.tls.verify}` : "plain TCP",
  detail: DATA.details[line.id],
}));
// Runs may be compared when load, driver, machine, broker and TLS are the same; a broker's version may change.
for (const row of ROWS) {
  row.broker = row.server.replace(/ v?\d\S*$/, "");
  row.group = [row.load, row.line.scenario_hash, row.driver, row.machine, row.broker, row.tls].join("\n");
}

const latencyMetric = (field, kind, quantile, name) => ({
  key: `${kind}-${quantile}`,
  name: `${kind} latency ${name}`,
  unit: "us",
  log: true,
  of: (line) => line[field]?.[quantile],
});
const METRICS = [
  { key: "consume", name: "consume rate", unit: "rate", of: (line) => line.consume_rate },
  { key: "publish", name: "publish rate", unit: "rate", of: (line) => line.publish_rate },
  ...[["p50", "p50"], ["p90", "p90"], ["p99", "p99"], ["p99_9", "p99.9"], ["max", "max"]].map(([quantile, name]) =>
    latencyMetric("latency_us", "response", quantile, name)),
  latencyMetric("service_latency_us", "service", "p99", "p99"),
  latencyMetric("confirm_latency_us", "confirm", "p50", "p50"),
  latencyMetric("confirm_latency_us", "confirm", "p99", "p99"),
  { key: "memory", name: "broker: peak memory", unit: "bytes", of: (line) => line.broker.rss_bytes_max },
  { key: "cpu", name: "broker: CPU a message", unit: "us", of: (line) => line.broker.cpu_us_per_message },
  { key: "cores", name: "broker: busy cores", unit: "cores", of: (line) => line.broker.cpu_cores },
  { key: "generator-cpu", name: "generator: CPU a message", unit: "us", of: (line) => line.generator.cpu_us_per_message },
  { key: "lag", name: "schedule lag p99", unit: "us", log: true, of: (line) => line.generator.schedule_lag_us_p99 },
  { key: "lost", name: "messages lost", unit: "count", of: (line) => line.ledger.lost },
];

const LATENCIES = [
  { key: "response", name: "response", field: "latency_us" },
  { key: "service", name: "service", field: "service_latency_us" },
  { key: "confirm", name: "confirm", field: "confirm_latency_us" },
];
// Pairs of nines (log10(1 / (1 − p))) and µs: from the histogram where the run's files are there, else from the summary.
const curveOf = (row, latency) => {
  const exact = row.detail?.curves[latency.key];
  if (exact?.length) return { points: exact, exact: true };
  const summary = row.line[latency.field];
  if (!summary) return null;
  const nines = [[0.30103, summary.p50], [1, summary.p90], [2, summary.p99], [3, summary.p99_9]];
  const last = Math.log10(Math.max(summary.count, 10));
  const points = nines.filter(([place]) => place < last);
  points.push([last, summary.max]);
  return { points, exact: false };
};

const median = (values) => {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

// Everything about one run. The tables follow the history's line, whatever it holds, so that no figure is left out.
const SPOKEN = { p99_9: "p99.9", rss_anon_bytes_max: "anonymous memory, peak", rss_file_bytes_max: "file and shared memory, peak", rss_bytes_max: "memory, peak" };
const nameOf = (key) => SPOKEN[key] ?? key.replace(/_us(?=_|$)|_bytes|_ms$|_s$/g, "").replaceAll("_", " ");
const unitOf = (key) => {
  if (/_rate$/.test(key)) return "rate";
  if (/_us(_|$)/.test(key)) return "us";
  if (/bytes/.test(key)) return "bytes";
  if (/^(steal|foreign_cpu)$/.test(key)) return "share";
  if (/cores$/.test(key)) return "cores";
  if (/_s$/.test(key)) return "seconds";
  return "plain";
};
const valueText = (key, value) => {
  if (value === null || value === undefined || value === "") return NONE;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") {
    if (/_ms$/.test(key)) return UNITS.us(value * 1e3);
    return /^(seed|schema|cores)$/.test(key) ? String(value) : UNITS[unitOf(key)](value);
  }
  return Array.isArray(value) ? value.join("\n") || NONE : String(value);
};
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const pairs = (title, entries) => element("div", {}, element("h3", {}, title),
  element("table", {}, element("tbody", {}, ...entries.map(([key, value]) =>
    element("tr", {}, element("th", { scope: "row" }, nameOf(key)), element("td", {}, valueText(key, value)))))));
const grid = (title, columns, rows) => element("div", {}, element("h3", {}, title), element("div", { class: "scroll" },
  element("table", {},
    element("thead", {}, element("tr", {}, ...columns.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))))));

const LATENCY_KEYS = ["latency_us", "service_latency_us", "confirm_latency_us"];
const ABOVE = ["id", "command", "reasons", "overrides", "kills", ...LATENCY_KEYS];

const checksGrid = (checks) => grid("targets", ["target", "limit", "measured", ""], checks.map((check) => {
  const show = (value) => valueText(check.target.replace(/_(min|max)$/, ""), value);
  const mark = check.passed === null ? "not judged" : check.passed ? "ok" : "MISSED";
  return [nameOf(check.target), show(check.limit), show(check.measured), mark];
}));

const showDetails = (dialog, row) => {
  const { line, detail } = row;
  const close = element("button", { type: "button" }, "close");
  close.addEventListener("click", () => dialog.close());
  const parts = [
    element("div", { class: "head" }, element("h2", { id: "details-title" }, row.id), close),
    element("p", {}, element("span", { class: row.verdict }, row.verdict), ` · ${row.load} · ${row.server} · commit ${row.commit} · ${moment(row.started)}`),
  ];
  if (detail?.description) parts.push(element("p", {}, detail.description));
  for (const reason of line.reasons) parts.push(element("p", { class: row.verdict }, reason));
  if (line.command?.length) parts.push(element("h3", {}, "command"), element("pre", {}, commandText(line.command)));
  const latencies = LATENCY_KEYS.filter((key) => line[key]);
  if (latencies.length) {
    const fields = ["p50", "p90", "p99", "p99_9", "max"];
    parts.push(grid("latency", ["", ...fields.map(nameOf), "count"], latencies.map((key) => [
      key === "latency_us" ? "response" : nameOf(key).replace(" latency", ""),
      ...fields.map((field) => shown(line[key][field], "us")),
      grouped(line[key].count),
    ])));
  }
  if (detail?.checks.length) parts.push(checksGrid(detail.checks));
  if (line.kills?.length) {
    const keys = Object.keys(line.kills[0]);
    parts.push(grid("kills", keys.map(nameOf), line.kills.map((kill) => keys.map((key) => valueText(key, kill[key])))));
  }
  const rest = Object.entries(line).filter(([key]) => !ABOVE.includes(key));
  const single = rest.filter(([, value]) => !isObject(value));
  if (line.overrides.length) single.push(["overrides", line.overrides]);
  if (detail?.broker_arguments.length) single.push(["broker_arguments", detail.broker_arguments]);
  parts.push(element("div", { class: "columns" }, pairs("run", single),
    ...rest.filter(([, value]) => isObject(value)).map(([key, value]) => pairs(nameOf(key), Object.entries(value)))));
  if (!detail) parts.push(element("p", { class: "hint" }, "The run's own files were not there when this page was made: targets and full histograms are missing."));
  dialog.replaceChildren(...parts);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
};

// As one would type it.
const commandText = (command) => command.map((text) => (/^[\w\-=./:@,+…%]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)).join(" ");

// All runs that match, sorted by a column.
const PAGE_ROWS = 200;
const figure = (key, name) => {
  const metric = METRICS.find((it) => it.key === key);
  return { key, name, number: true, of: (row) => metric.of(row.line), text: (row) => shown(metric.of(row.line), metric.unit) };
};
const words = (key, name, of) => ({ key, name, of, text: of });
const COLUMNS = [
  { ...words("started", "run", (row) => row.started), text: (row) => moment(row.started), opens: true },
  words("load", "scenario", (row) => row.load),
  words("server", "broker", (row) => row.server),
  words("commit", "commit", (row) => row.commit),
  { ...words("verdict", "verdict", (row) => row.verdict), verdict: true },
  figure("publish", "published"),
  figure("consume", "consumed"),
  figure("response-p50", "p50"),
  figure("response-p99", "p99"),
  figure("response-p99_9", "p99.9"),
  figure("response-max", "max"),
  figure("confirm-p99", "confirm p99"),
  figure("memory", "memory"),
  figure("cpu", "CPU a message"),
  words("driver", "driver", (row) => row.driver),
  words("machine", "machine", (row) => row.machine),
];

// Runs without a figure stand at the end whichever way it goes.
const sorted = (rows, { column, descending }) => {
  const { of, number } = COLUMNS.find(({ key }) => key === column);
  const missing = (value) => value === undefined || value === null;
  return [...rows].sort((one, other) => {
    const [left, right] = [of(one), of(other)];
    if (missing(left) || missing(right)) return missing(left) - missing(right) || one.index - other.index;
    const order = number ? left - right : left.localeCompare(right);
    return (descending ? -order : order) || one.index - other.index;
  });
};

const drawTable = (table, rows, state, { sortBy, open, pick }) => {
  const head = element("tr", {}, element("th", { scope: "col" }, element("span", { title: "draw its percentiles" }, "curve")));
  for (const { key, name, number } of COLUMNS) {
    const isSorted = state.sort.column === key;
    const direction = state.sort.descending ? "descending" : "ascending";
    const arrow = isSorted ? (state.sort.descending ? " ▾" : " ▴") : "";
    const button = element("button", { type: "button", "data-column": key }, name + arrow);
    button.addEventListener("click", () => sortBy(key));
    head.append(element("th", { scope: "col", class: number ? "number" : false, "aria-sort": isSorted ? direction : "none" }, button));
  }
  const body = element("tbody");
  for (const row of sorted(rows, state.sort).slice(0, state.rowsShown)) {
    const box = element("input", { type: "checkbox", "aria-label": `percentiles of ${row.id}` });
    box.checked = state.picked.includes(row.id);
    box.addEventListener("change", () => pick(row, box));
    const line = element("tr", { "data-id": row.id }, element("td", {}, box));
    for (const { text, number, verdict, opens } of COLUMNS) {
      const content = opens ? element("button", { type: "button", title: row.id }, text(row)) : text(row);
      line.append(element("td", { class: number ? "number" : verdict ? row.verdict : false }, content));
    }
    line.addEventListener("click", (event) => {
      if (event.target !== box && !event.target.contains(box)) open(row);
    });
    body.append(line);
  }
  table.replaceChildren(element("thead", {}, head), body);
};

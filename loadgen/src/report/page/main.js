// The page's state, which the address keeps behind `#`, and what changes it.
const FILTERS = [
  ["scenario", "scenario"], ["machine", "machine"], ["server", "broker"], ["commit", "commit"], ["verdict", "verdict"], ["driver", "driver"],
];
const state = {
  filters: {}, text: "", metric: METRICS[0].key, latency: LATENCIES[0].key,
  sort: { column: "started", descending: true }, picked: [], pickedByHand: false, rowsShown: PAGE_ROWS, run: "",
};
const byId = (id) => document.getElementById(id);
const dialog = byId("details");

const readAddress = () => {
  const fields = new URLSearchParams(location.hash.slice(1));
  for (const [key] of FILTERS) state.filters[key] = fields.get(key) ?? "";
  state.text = fields.get("text") ?? "";
  const known = (list, key, otherwise) => (list.some((it) => it.key === key) ? key : otherwise);
  state.metric = known(METRICS, fields.get("metric"), METRICS[0].key);
  state.latency = known(LATENCIES, fields.get("latency"), LATENCIES[0].key);
  const [column, direction] = (fields.get("sort") ?? "").split(".");
  if (COLUMNS.some(({ key }) => key === column)) state.sort = { column, descending: direction !== "up" };
  state.run = fields.get("run") ?? "";
};
const writeAddress = () => {
  const fields = new URLSearchParams();
  for (const [key] of FILTERS) if (state.filters[key]) fields.set(key, state.filters[key]);
  if (state.text) fields.set("text", state.text);
  if (state.metric !== METRICS[0].key) fields.set("metric", state.metric);
  if (state.latency !== LATENCIES[0].key) fields.set("latency", state.latency);
  const { column, descending } = state.sort;
  if (column !== "started" || !descending) fields.set("sort", `${column}.${descending ? "down" : "up"}`);
  if (state.run) fields.set("run", state.run);
  const text = fields.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
};

const matches = (row, except) => FILTERS.every(([key]) => key === except || !state.filters[key] || row[key] === state.filters[key])
  && (!state.text || `${row.id} ${row.load} ${row.server} ${row.commit} ${row.machine} ${(row.line.command ?? []).join(" ")}`.toLowerCase().includes(state.text.toLowerCase()));

// A filter offers what the other filters leave, with how many runs each choice has.
const drawFilters = () => {
  const form = byId("filters");
  if (!form.children.length) {
    for (const [key, name] of FILTERS) {
      const select = element("select", { id: `filter-${key}` });
      select.addEventListener("change", () => { state.filters[key] = select.value; changed(); });
      form.append(element("label", {}, name, select));
    }
    const text = element("input", { type: "search", id: "filter-text", placeholder: "part of an id, change, command" });
    text.addEventListener("input", () => { state.text = text.value; changed(); });
    const reset = element("button", { type: "button", id: "reset" }, "all runs");
    reset.addEventListener("click", () => {
      for (const [key] of FILTERS) state.filters[key] = "";
      state.text = "";
      changed();
    });
    form.append(element("label", {}, "text", text), reset);
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  for (const [key] of FILTERS) {
    const counts = new Map();
    for (const row of ROWS) if (matches(row, key)) counts.set(row[key], (counts.get(row[key]) ?? 0) + 1);
    if (state.filters[key] && !counts.has(state.filters[key])) counts.set(state.filters[key], 0);
    const options = [...counts].sort(([one], [other]) => one.localeCompare(other));
    byId(`filter-${key}`).replaceChildren(
      element("option", { value: "" }, `all (${options.length})`),
      ...options.map(([value, count]) => element("option", { value, selected: value === state.filters[key] }, `${value} (${count})`)),
    );
  }
  if (byId("filter-text").value !== state.text) byId("filter-text").value = state.text;
};

const open = (row) => {
  state.run = row.id;
  writeAddress();
  hideTip();
  showDetails(dialog, row);
};
dialog.addEventListener("close", () => { state.run = ""; writeAddress(); });
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

const newest = (rows) => [...rows].sort((one, other) => other.started.localeCompare(one.started)).slice(0, 3).map(({ id }) => id);
const drawChosenCurves = (rows) => {
  if (!state.pickedByHand) state.picked = newest(rows.filter((row) => row.line.latency_us));
  const chosen = state.picked.map((id) => ROWS.find((row) => row.id === id)).filter(Boolean);
  byId("unpick").hidden = !state.pickedByHand;
  byId("curves-hint").textContent = state.pickedByHand
    ? `The chosen runs, at most ${CURVES_MAX}. Point at a percentile for its values.`
    : "The newest runs of the choice; tick others in the table. Point at a percentile for its values.";
  drawCurves(byId("curves"), chosen, LATENCIES.find(({ key }) => key === state.latency));
};

const draw = () => {
  const rows = ROWS.filter((row) => matches(row));
  drawTimeline(byId("timeline"), rows, METRICS.find(({ key }) => key === state.metric), open);
  drawChosenCurves(rows);
  drawTable(byId("runs"), rows, state, {
    sortBy: (column) => {
      const same = state.sort.column === column;
      state.sort = { column, descending: same ? !state.sort.descending : Boolean(COLUMNS.find(({ key }) => key === column).number) };
      changed();
      document.querySelector(`[data-column="${column}"]`).focus();
    },
    open,
    pick: (row, box) => {
      if (box.checked && state.pickedByHand && state.picked.length >= CURVES_MAX) {
        box.checked = false;
        say(`at most ${CURVES_MAX} runs`);
        return;
      }
      state.picked = box.checked ? [...state.picked, row.id] : state.picked.filter((id) => id !== row.id);
      state.pickedByHand = true;
      drawChosenCurves(rows);
    },
  });
  byId("count").textContent = `${grouped(rows.length)} of ${grouped(ROWS.length)} runs`;
  const left = rows.length - state.rowsShown;
  byId("more").hidden = left <= 0;
  byId("more").textContent = `show ${grouped(Math.min(left, PAGE_ROWS))} more of ${grouped(Math.max(left, 0))}`;
};
const changed = () => {
  state.rowsShown = PAGE_ROWS;
  writeAddress();
  drawFilters();
  draw();
};

const choices = (id, list, key) => {
  const select = byId(id);
  select.append(...list.map((it) => element("option", { value: it.key }, it.name)));
  select.value = state[key];
  select.addEventListener("change", () => { state[key] = select.value; writeAddress(); draw(); });
};
readAddress();
choices("metric", METRICS, "metric");
choices("latency", LATENCIES, "latency");
byId("unpick").addEventListener("click", () => { state.pickedByHand = false; draw(); });
byId("more").addEventListener("click", () => { state.rowsShown += PAGE_ROWS; draw(); });
byId("about").textContent = `${grouped(ROWS.length)} valid runs of the history, ${Object.keys(DATA.details).length} of them with their own files · made ${moment(DATA.made)} UTC by loadgen ${DATA.version}`;
drawFilters();
draw();
// Redrawn when the width changes, not when drawing changes the height.
let drawnWidth = document.documentElement.clientWidth;
window.addEventListener("resize", () => {
  if (document.documentElement.clientWidth === drawnWidth) return;
  drawnWidth = document.documentElement.clientWidth;
  draw();
});
window.addEventListener("hashchange", () => {
  readAddress();
  drawFilters();
  byId("metric").value = state.metric;
  byId("latency").value = state.latency;
  draw();
  openAddressed();
});
const openAddressed = () => {
  const row = ROWS.find(({ id }) => id === state.run);
  if (row) showDetails(dialog, row);
  else if (dialog.open) dialog.close();
};
openAddressed();

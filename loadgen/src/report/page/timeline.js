// One figure over commits: a point for every run, a line through the medians of the commits.
const GROUPS_MAX = 12;
const NEAR_PX = 30;

const timelineTip = (row, metric) => [
  `${metric.name}: ${shown(metric.of(row.line), metric.unit)}`,
  `${row.load} · ${row.verdict}`,
  `${row.server} · ${row.driver} driver · ${row.tls}`,
  `commit ${row.commit} · ${moment(row.started)}`,
].join("\n");

// What tells the groups apart, in words.
const groupNames = (groups) => {
  const keys = groups.map(([key]) => key.split("\n"));
  const differing = [0, 1, 2, 3, 4, 5].filter((part) => keys.some((key) => key[part] !== keys[0][part]));
  // The hash says something only where the names do not.
  const parts = differing.filter((part) => part !== 1 || differing.every((other) => other === 1));
  return keys.map((key) => parts.map((part) => key[part]).join(" · ") || key[0]);
};

const drawTimeline = (container, rows, metric, open) => {
  container.replaceChildren();
  const measured = rows.filter((row) => Number.isFinite(metric.of(row.line)))
    .sort((one, other) => one.started.localeCompare(other.started) || one.index - other.index);
  if (!measured.length) {
    container.append(element("p", {}, rows.length ? `No run of this choice has measured: ${metric.name}.` : "No run matches the filters."));
    return;
  }
  const commits = [...new Set(measured.map((row) => row.commit))];
  const byGroup = new Map();
  for (const row of measured) {
    if (!byGroup.has(row.group)) byGroup.set(row.group, []);
    byGroup.get(row.group).push(row);
  }
  const groups = [...byGroup].sort((one, other) => other[1].length - one[1].length);
  const drawn = groups.slice(0, GROUPS_MAX);
  const values = drawn.flatMap(([, runs]) => runs.map((row) => metric.of(row.line)));
  const largest = Math.max(...values);
  const positive = values.filter((value) => value > 0);
  const yAxis = metric.log && positive.length
    ? logAxis(Math.min(...positive), largest, metric.unit)
    : linearAxis(largest * 1.04, metric.unit);
  const plot = frame(container, container.clientWidth < 600 ? 260 : 340, `${metric.name} of ${measured.length} runs over ${commits.length} commits`);
  const xOf = (commit, shift) => (commits.indexOf(commit) + 0.5 + shift) / commits.length;
  drawAxes(plot, yAxis, commits.map((commit) => [xOf(commit, 0), commit]));
  const points = [];
  drawn.forEach(([, runs], series) => {
    const layer = element("svg:g", { class: colorClass(series) });
    const medians = [];
    for (const commit of commits) {
      const ofCommit = runs.filter((row) => row.commit === commit);
      if (!ofCommit.length) continue;
      const middle = median(ofCommit.map((row) => metric.of(row.line)));
      medians.push([plot.x(xOf(commit, 0)), plot.y(yAxis.share(middle))]);
      // Runs of one commit stand beside each other in the order in which they were made.
      ofCommit.forEach((row, place) => {
        const shift = ofCommit.length > 1 ? (place / (ofCommit.length - 1) - 0.5) * 0.6 : 0;
        const x = plot.x(xOf(commit, shift));
        const y = plot.y(yAxis.share(metric.of(row.line)));
        points.push({ row, x, y });
        layer.append(mark(series, x, y));
      });
    }
    const path = medians.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
    layer.prepend(element("svg:path", { class: "join", d: path }));
    plot.svg.append(layer);
  });
  const halo = element("svg:circle", { class: "halo", r: 8, visibility: "hidden" });
  plot.svg.append(halo);
  points.sort((one, other) => one.x - other.x || one.y - other.y);
  interact(plot.svg, points.map(({ x, y }) => [x, y]), {
    nearest: (x, y) => {
      let [best, least] = [-1, NEAR_PX];
      points.forEach((point, index) => {
        const distance = Math.hypot(point.x - x, point.y - y);
        if (distance < least) [best, least] = [index, distance];
      });
      return best;
    },
    show: (index) => {
      halo.setAttribute("cx", points[index].x);
      halo.setAttribute("cy", points[index].y);
      halo.setAttribute("visibility", "visible");
      return timelineTip(points[index].row, metric);
    },
    leave: () => halo.setAttribute("visibility", "hidden"),
    open: (index) => open(points[index].row),
  });
  container.append(plot.svg);
  const names = groupNames(drawn);
  container.append(legend(drawn.map(([, runs], series) => [series, `${names[series]} (${runs.length})`])));
  if (groups.length > drawn.length) {
    container.append(element("p", { class: "hint" }, `${groups.length - drawn.length} more groups of comparable runs are not drawn: narrow the filters.`));
  }
};

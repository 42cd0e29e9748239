// Latency by percentile of the chosen runs, over each other.
const CURVES_MAX = 6;
const percentOf = (nines) => {
  const percent = 100 * (1 - 10 ** -nines);
  return `${percent.toFixed(Math.max(0, Math.ceil(nines) - (nines > 1 ? 1 : 0)))} %`;
};
const NINES_LABELS = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %", "99.99999 %", "99.999999 %"];

// µs at a place of the axis, between its neighbours.
const valueAt = (points, nines) => {
  const after = points.findIndex(([place]) => place >= nines);
  if (after < 0) return undefined;
  if (after === 0) return points[0][0] - nines > 0.05 ? undefined : points[0][1];
  const [[fromX, fromY], [toX, toY]] = [points[after - 1], points[after]];
  const part = (nines - fromX) / (toX - fromX || 1);
  return fromY * (toY / fromY) ** part;
};

const drawCurves = (container, rows, latency) => {
  container.replaceChildren();
  const curves = rows.map((row) => ({ row, curve: curveOf(row, latency) })).filter(({ curve }) => curve);
  if (!curves.length) {
    container.append(element("p", {}, rows.length ? `None of the chosen runs has measured the ${latency.name} latency.` : "Choose runs in the table below."));
    return curves;
  }
  const last = Math.max(...curves.flatMap(({ curve }) => curve.points.map(([place]) => place)));
  const decisive = curves.flatMap(({ curve }) => curve.points.filter(([place]) => place >= 0.12).map(([, us]) => us));
  const yAxis = logAxis(Math.min(...decisive), Math.max(...decisive), "us");
  const plot = frame(container, container.clientWidth < 600 ? 260 : 340, `${latency.name} latency by percentile of ${curves.length} runs`);
  const ticks = [[0, "0"], [0.30103, "50 %"]];
  for (let nines = 1; nines <= last; nines += 1) ticks.push([nines, NINES_LABELS[nines]]);
  drawAxes(plot, yAxis, ticks.map(([nines, label]) => [nines / last, label]));
  curves.forEach(({ curve }, series) => {
    const places = curve.points.map(([nines, us]) => [plot.x(nines / last), plot.y(yAxis.share(us))]);
    const path = places.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
    const layer = element("svg:g", { class: colorClass(series) }, element("svg:path", { class: "join", d: path }));
    // A marker now and then tells the curves apart; a summary's few points all have one.
    let next = -Infinity;
    for (const [x, y] of places) {
      if (curve.exact && x < next) continue;
      layer.append(mark(series, x, y));
      next = x + 70 + series * 9;
    }
    plot.svg.append(layer);
  });
  const cursor = element("svg:line", { class: "cursor", y1: plot.box.top, y2: plot.box.bottom, visibility: "hidden" });
  plot.svg.append(cursor);
  const steps = Array.from({ length: Math.floor(last * 10) + 1 }, (_, index) => index / 10);
  const places = steps.map((nines) => [plot.x(nines / last), plot.box.top + 40]);
  interact(plot.svg, places, {
    nearest: (x) => {
      const step = Math.round(((x - plot.box.left) / (plot.box.right - plot.box.left)) * last * 10);
      return step >= 0 && step < steps.length ? step : -1;
    },
    show: (index) => {
      const [x] = places[index];
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.setAttribute("visibility", "visible");
      const lines = curves.map(({ row, curve }) => `${shown(valueAt(curve.points, steps[index]), "us")} · ${row.load} · ${row.commit}`);
      return [percentOf(steps[index]), ...lines].join("\n");
    },
    leave: () => cursor.setAttribute("visibility", "hidden"),
  });
  container.append(plot.svg);
  container.append(legend(curves.map(({ row, curve }, series) =>
    [series, `${row.load} · ${row.server} · ${row.commit} · ${moment(row.started)}${curve.exact ? "" : " (from the summary: five points)"}`])));
  return curves;
};

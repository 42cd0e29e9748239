// What both plots are made of: elements, scales, axes, markers, legend and the box that shows values.
const NAMESPACE = "http://www.w3.org/2000/svg";
const COLORS = 6;
const MARKS = 6;

// An element: a tag with attributes, then text or children. SVG tags are written as "svg:path".
const element = (tag, attributes = {}, ...children) => {
  const svg = tag.startsWith("svg:");
  const node = svg ? document.createElementNS(NAMESPACE, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined || value === null) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
};

// Markers differ in shape as well as in colour.
const markPath = (kind, x, y, r = 4) => [
  `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
  `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  `M${x},${y - r - 1}l${r + 1},${2 * r}h${-2 * r - 2}z`,
  `M${x},${y - r - 1}l${r + 1},${r + 1}l${-r - 1},${r + 1}l${-r - 1},${-r - 1}z`,
  `M${x - r},${y - r}l${2 * r},${2 * r}m0,${-2 * r}l${-2 * r},${2 * r}`,
  `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
][kind % MARKS];
const mark = (series, x, y) => {
  // Six colours and six shapes, shifted against each other after the sixth series.
  const kind = (series + Math.floor(series / COLORS)) % MARKS;
  return element("svg:path", { d: markPath(kind, x, y), class: `mark${kind >= 4 ? " open" : ""}` });
};
const colorClass = (series) => `c${series % COLORS}`;

const roundStep = (step) => {
  if (!(step > 0) || !Number.isFinite(step)) return 1;
  const power = 10 ** Math.floor(Math.log10(step));
  return ([1, 2, 2.5, 5].find((digit) => digit * power >= step * 0.999) ?? 10) * power;
};
// Values from 0 to a round number.
const linearAxis = (largest, unit, ticks = 5) => {
  const factor = unit === "bytes" && largest >= 1024 ? 1024 ** Math.min(3, Math.floor(Math.log2(largest) / 10)) : 1;
  const step = roundStep(largest / factor / ticks) * factor;
  const end = Math.max(1, Math.ceil(largest / step)) * step;
  const count = Math.round(end / step);
  return {
    share: (value) => value / end,
    ticks: Array.from({ length: count + 1 }, (_, index) => [index * step, tick(index * step, unit)]),
  };
};
const logAxis = (smallest, largest, unit) => {
  const low = Math.max(smallest, 1e-3);
  const high = Math.max(largest, low * 3);
  const all = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade += 1) {
    for (const digit of [1, 2, 5]) all.push(digit * 10 ** decade);
  }
  const from = Math.max(...all.filter((value) => value <= low * 1.001));
  const to = Math.min(...all.filter((value) => value >= high * 0.999));
  let ticks = all.filter((value) => value >= from && value <= to);
  if (ticks.length > 9) ticks = ticks.filter((value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9);
  const span = Math.log10(to / from);
  return {
    share: (value) => Math.min(1, Math.max(0, Math.log10(Math.max(value, 1e-9) / from) / span)),
    ticks: ticks.map((value) => [value, tick(value, unit)]),
  };
};

// An empty plot of the container's width: its SVG element, and functions from shares of the axes to pixels.
const frame = (container, height, label) => {
  const width = Math.max(280, container.clientWidth);
  const box = { left: 66, right: width - 18, top: 10, bottom: height - 26 };
  const svg = element("svg:svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", tabindex: 0, "aria-label": label });
  return {
    svg,
    box,
    x: (share) => box.left + share * (box.right - box.left),
    y: (share) => box.bottom - share * (box.bottom - box.top),
  };
};
// Labels of the x axis are left out where they would touch.
const drawAxes = (plot, yAxis, xTicks) => {
  const { svg, box } = plot;
  for (const [value, label] of yAxis.ticks) {
    const y = plot.y(yAxis.share(value));
    svg.append(
      element("svg:line", { class: "grid", x1: box.left, x2: box.right, y1: y, y2: y }),
      element("svg:text", { x: box.left - 8, y: y + 4, "text-anchor": "end" }, label),
    );
  }
  let freeFrom = -Infinity;
  for (const [share, label] of xTicks) {
    const half = label.length * 3.7;
    const x = Math.min(plot.x(share), box.right + 16 - half);
    if (x - half < freeFrom) continue;
    freeFrom = x + half + 8;
    svg.append(
      element("svg:line", { class: "grid", x1: plot.x(share), x2: plot.x(share), y1: box.top, y2: box.bottom }),
      element("svg:text", { x, y: box.bottom + 18, "text-anchor": "middle" }, label),
    );
  }
};
const legend = (entries) => element("ul", { class: "legend" }, ...entries.map(([series, label]) => {
  const swatch = element("svg:svg", { viewBox: "0 0 26 14", class: colorClass(series), "aria-hidden": "true" },
    element("svg:path", { class: "join", d: "M1,7H25" }), mark(series, 13, 7));
  return element("li", {}, swatch, label);
}));

const tip = document.getElementById("tip");
const showTip = (text, pageX, pageY) => {
  tip.textContent = text;
  tip.hidden = false;
  const { offsetWidth, offsetHeight } = tip;
  const right = document.documentElement.clientWidth + window.scrollX;
  const x = pageX + 14 + offsetWidth > right ? pageX - 14 - offsetWidth : pageX + 14;
  const y = pageY - offsetHeight - 12;
  tip.style.left = `${Math.max(window.scrollX + 4, x)}px`;
  tip.style.top = `${y < window.scrollY ? pageY + 16 : y}px`;
};
const hideTip = () => { tip.hidden = true; };
const say = (text) => { document.getElementById("spoken").textContent = text; };

// Mouse, touch and keys on a plot: `places` are pixels in the SVG, `nearest` picks one, `show` and `open` act on its index.
const interact = (svg, places, { nearest, show, leave, open }) => {
  let chosen = -1;
  const at = (event) => {
    const outline = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / outline.width;
    return [(event.clientX - outline.left) * scale, (event.clientY - outline.top) * scale];
  };
  const choose = (index, aloud) => {
    chosen = index;
    if (index < 0) {
      hideTip();
      leave();
      return;
    }
    const text = show(index);
    const outline = svg.getBoundingClientRect();
    const scale = outline.width / svg.viewBox.baseVal.width;
    const [x, y] = places[index];
    showTip(text, outline.left + window.scrollX + x * scale, outline.top + window.scrollY + y * scale);
    if (aloud) say(text);
  };
  svg.addEventListener("pointermove", (event) => choose(nearest(...at(event)), false));
  svg.addEventListener("pointerleave", () => choose(-1, false));
  svg.addEventListener("blur", () => choose(-1, false));
  svg.addEventListener("click", (event) => {
    const index = nearest(...at(event));
    if (index >= 0) open?.(index);
  });
  svg.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    if (event.key in steps && places.length) {
      event.preventDefault();
      const from = chosen < 0 && event.key === "ArrowLeft" ? places.length : chosen;
      choose(Math.min(places.length - 1, Math.max(0, from + steps[event.key])), true);
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      open?.(chosen);
    } else if (event.key === "Escape") {
      choose(-1, false);
    }
  });
};

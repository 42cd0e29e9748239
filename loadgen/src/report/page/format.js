// Numbers for people: three significant digits with a unit, as everywhere in loadgen.
const threeDigits = (value) => {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
};
const scaled = (value, steps) => {
  const step = steps.find(([from]) => Math.abs(value) >= from) ?? steps[steps.length - 1];
  return `${threeDigits(value / step[1])} ${step[2]}`;
};
const grouped = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
const UNITS = {
  rate: (value) => scaled(value, [[999500, 1e6, "M/s"], [999.5, 1e3, "k/s"], [0, 1, "/s"]]),
  us: (value) => scaled(value, [[999500, 1e6, "s"], [999.5, 1e3, "ms"], [0, 1, "µs"]]),
  bytes: (value) => scaled(value, [[999.5 * 2 ** 20, 2 ** 30, "GiB"], [999.5 * 1024, 2 ** 20, "MiB"], [999.5, 1024, "KiB"], [0, 1, "B"]]),
  cores: (value) => value.toFixed(2),
  count: grouped,
  share: (value) => `${(value * 100).toFixed(1)} %`,
  seconds: (value) => `${threeDigits(value)} s`,
  plain: (value) => (Number.isInteger(value) ? grouped(value) : String(Number(value.toPrecision(4)))),
};
const NONE = "–";
const shown = (value, unit) => (Number.isFinite(value) ? UNITS[unit](value) : NONE);
// Ticks need fewer digits: 1.50 ms → 1.5 ms.
const tick = (value, unit) => {
  if (value === 0) return "0";
  const [number, ...rest] = shown(value, unit).split(" ");
  return [number.includes(".") ? number.replace(/\.?0+$/, "") : number, ...rest].join(" ");
};
const moment = (started) => started.replace("T", " ").replace("Z", "");

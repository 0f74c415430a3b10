// Figures as people read them. Widths change little, so that nothing jumps.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const NONE = "–";

/** `1,234,567`. */
export const whole = (number) => (number == null ? NONE : WHOLE.format(number));

/** Three digits: `1.23 M`. */
export function short(number) {
  if (number == null || !Number.isFinite(number)) return NONE;
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (number >= size * 0.9995) return digits(number / size) + " " + unit;
  }
  return number >= 100 || Number.isInteger(number) ? String(Math.round(number)) : digits(number);
}

function digits(number) {
  return number.toFixed(number < 9.995 ? 2 : number < 99.95 ? 1 : 0);
}

/** A duration in nanoseconds: `184 µs`. */
export function nanos(number) {
  if (number == null) return NONE;
  if (number < 1000) return `${Math.round(number)} ns`;
  for (const [size, unit] of [
    [1e3, "µs"],
    [1e6, "ms"],
    [1e9, "s"],
  ]) {
    if (number < size * 999.5) return `${digits(number / size)} ${unit}`;
  }
  return span(number / 1e9);
}

/** A longer one in seconds: `3 d 4 h`. */
export function span(seconds) {
  if (seconds == null) return NONE;
  const parts = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const at = parts.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [size, unit] = parts[at];
  const first = `${Math.floor(seconds / size)} ${unit}`;
  const next = parts[at + 1];
  if (!next || unit === "min") return first;
  return `${first} ${Math.floor((seconds % size) / next[0])} ${next[1]}`;
}

/** `1.23 GiB`. */
export function bytes(number) {
  if (number == null) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let at = 0;
  while (number >= 1023.5 && at < units.length - 1) {
    number /= 1024;
    at += 1;
  }
  return `${at === 0 ? number : digits(number)} ${units[at]}`;
}

export const share = (part) =>
  part == null ? NONE : `${(100 * part).toFixed(part < 0.0995 ? 1 : 0)} %`;

/** A moment in nanoseconds since 1970: `14:03:22` today, with the date before. */
export function moment(time) {
  if (!time) return NONE;
  const text = new Date(time / 1e6).toISOString();
  const today = new Date().toISOString().slice(0, 10);
  const day = text.slice(0, 10);
  return day === today ? text.slice(11, 19) : `${day} ${text.slice(11, 19)}`;
}

/** Prices come with four decimals; the last two are seldom of use. */
export const price = (text) => (text === "0.0000" ? "market" : text.replace(/00$/, ""));

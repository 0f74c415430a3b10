// Charts, drawn anew with every answer: lines over time, and counts by age.

import { draw, make } from "./dom.js";
import { nanos, short } from "./figures.js";

/** Fills its place, and knows its size. */
class Chart {
  constructor(label) {
    this.svg = draw("svg", { class: "chart", role: "img", "aria-label": label });
    this.element = make("div", { class: "plot" }, this.svg);
    this.redraw = () => {};
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  /** Calls `picture` with width, height and the size of a letter. */
  paint(picture) {
    this.redraw = () => {
      const { clientWidth: width, clientHeight: height } = this.element;
      if (width < 40 || height < 30) return;
      const em = parseFloat(getComputedStyle(this.element).fontSize);
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.svg.replaceChildren(...picture(width, height, em));
    };
    this.redraw();
  }
}

/** A round number that is not below this one, nor its half. */
function round(number) {
  const size = 10 ** Math.floor(Math.log10(Math.max(number, 1e-9)));
  return [1, 2, 4, 6, 8, 10].map((it) => it * size).find((it) => it >= number * 0.9999);
}

const path = (points) =>
  points.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

const text = (x, y, words, kind = "") => draw("text", { x, y, class: kind }, words);

/**
 * Lines over the last minutes, as many as there are, up to five: `lines` are
 * `{ name, color, points: [[-seconds, value]] }`.
 */
export class Lines extends Chart {
  show(lines) {
    const oldest = Math.min(
      0,
      ...lines.flatMap(({ points }) => points.slice(0, 1).map(([at]) => at)),
    );
    const seconds = [60, 120, 300].find((it) => it >= -oldest) ?? 300;
    this.paint((width, height, em) => {
      const [left, right, top, bottom] = [3.4 * em, 0.6 * em, 1.5 * em, 1.5 * em];
      const most = round(Math.max(10, ...lines.flatMap(({ points }) => points.map(([, y]) => y))));
      const x = (at) => width - right + (at / seconds) * (width - left - right);
      const y = (value) => height - bottom - (value / most) * (height - top - bottom);
      const parts = [];
      for (const part of [0, 0.5, 1]) {
        const at = y(part * most);
        parts.push(
          draw("path", {
            class: "grid",
            d: path([
              [left, at],
              [width - right, at],
            ]),
          }),
        );
        parts.push(text(left - 0.5 * em, at + 0.35 * em, short(part * most), "end"));
      }
      for (let at = 0; at <= seconds; at += seconds / (seconds === 300 ? 5 : 4)) {
        const words = at === 0 ? "now" : at % 60 === 0 ? `−${at / 60} min` : `−${at} s`;
        parts.push(text(x(-at), height - 0.25 * em, words, at === 0 ? "end" : "middle"));
      }
      let legend = left;
      for (const { name, color, points } of lines) {
        const places = points.map(([at, value]) => [x(at), y(value)]);
        if (places.length > 1) {
          const base = [
            [places.at(-1)[0], y(0)],
            [places[0][0], y(0)],
          ];
          parts.push(draw("path", { class: `area ${color}`, d: path([...places, ...base]) }));
        }
        parts.push(draw("path", { class: `line ${color}`, d: path(places) }));
        parts.push(text(legend, 0.9 * em, name, `legend ${color}`));
        legend += (name.length * 0.56 + 1.2) * em;
      }
      return parts;
    });
  }
}

/** Steps, down to zero where a bucket is empty: each is a quarter of a power of two. */
function contour(shares) {
  const steps = [];
  let end = 0;
  for (const [age, part] of shares) {
    const from = age < 8 ? age - 1 : age - 2 ** (Math.floor(Math.log2(age)) - 2);
    if (from !== end) steps.push([end || from, 0], [from, 0]);
    steps.push([from, part], [age, part]);
    end = age;
  }
  return end === 0 ? [] : [...steps, [end, 0]];
}

/** Counts by age on a logarithmic axis: `lines` are `{ name, color, ages: [[nanos, count]] }`. */
export class Ages extends Chart {
  show(lines) {
    this.paint((width, height, em) => {
      const [left, right, top, bottom] = [3.4 * em, 0.8 * em, 1.8 * em, 1.6 * em];
      const all = lines.flatMap(({ ages }) => ages.map(([age]) => age));
      const low = 10 ** Math.floor(Math.log10(Math.max(100, Math.min(1e5, ...all))));
      const high = 10 ** Math.ceil(Math.log10(Math.max(1e7, ...all)));
      const x = (age) =>
        left + (Math.log(Math.max(age, low) / low) / Math.log(high / low)) * (width - left - right);
      const shares = lines.map(({ ages }) => {
        const sum = ages.reduce((sum, [, count]) => sum + count, 0) || 1;
        return ages.map(([age, count]) => [age, count / sum]);
      });
      const most = Math.max(0.1, ...shares.flat().map(([, part]) => part));
      const y = (part) => height - bottom - (part / most) * (height - top - bottom);
      const parts = [];
      const every = x(low * 10) - x(low) < 5 * em ? 2 : 1;
      for (let age = low, place = 0; age <= high * 1.01; age *= 10, place += 1) {
        const at = x(age);
        parts.push(
          draw("path", {
            class: "grid",
            d: path([
              [at, top],
              [at, height - bottom],
            ]),
          }),
        );
        if (place % every !== 0) continue;
        parts.push(
          text(
            at,
            height - 0.35 * em,
            nanos(age).replace(".00", "").replace(".0", ""),
            age >= high ? "end" : "middle",
          ),
        );
      }
      parts.push(
        draw("path", {
          class: "axis",
          d: path([
            [left, y(0)],
            [width - right, y(0)],
          ]),
        }),
      );
      parts.push(text(left - 0.5 * em, y(most) + 0.35 * em, `${Math.round(100 * most)} %`, "end"));
      parts.push(text(left - 0.5 * em, y(0) + 0.35 * em, "0", "end"));
      let legend = left;
      lines.forEach(({ name, color }, index) => {
        const steps = contour(shares[index]).map(([age, part]) => [x(age), y(part)]);
        if (steps.length > 0) {
          parts.push(draw("path", { class: `area ${color}`, d: path(steps) + "Z" }));
          parts.push(draw("path", { class: `line ${color}`, d: path(steps) }));
        }
        parts.push(text(legend, 1 * em, name, `legend ${color}`));
        legend += (name.length * 0.56 + 1.2) * em;
      });
      return parts;
    });
  }
}

/** All shares up to each price, from the best on: what an order of a size would meet. */
export class Depth extends Chart {
  constructor() {
    super("Shares up to each price");
    this.element.classList.add("depth");
  }

  show({ buys, sells }) {
    const [bids, asks] = [buys, sells].map((levels) => {
      let sum = 0;
      return levels
        .filter(({ price }) => price !== "0.0000")
        .map(({ price, quantity }) => [Number(price), (sum += quantity)]);
    });
    this.paint((width, height, em) => {
      const prices = [...bids, ...asks].map(([price]) => price);
      if (prices.length < 2) return [];
      const [low, high] = [Math.min(...prices), Math.max(...prices)];
      const [left, right, top, bottom] = [3.4 * em, 0.6 * em, 0.8 * em, 1.5 * em];
      const most = round(Math.max(...[...bids, ...asks].map(([, sum]) => sum)));
      const x = (price) => left + ((price - low) / (high - low || 1)) * (width - left - right);
      const y = (sum) => height - bottom - (sum / most) * (height - top - bottom);
      const parts = [0, 0.5, 1].flatMap((part) => [
        draw("path", {
          class: "grid",
          d: path([
            [left, y(part * most)],
            [width - right, y(part * most)],
          ]),
        }),
        text(left - 0.5 * em, y(part * most) + 0.35 * em, short(part * most), "end"),
      ]);
      for (const [levels, color] of [
        [bids, "c2"],
        [asks, "c1"],
      ]) {
        if (levels.length === 0) continue;
        let before = 0;
        const steps = levels.flatMap(([price, sum]) => {
          const step = [
            [x(price), y(before)],
            [x(price), y(sum)],
          ];
          before = sum;
          return step;
        });
        const edge = color === "c2" ? left : width - right;
        steps.push([edge, y(before)]);
        parts.push(
          draw("path", { class: `area ${color}`, d: path([...steps, [edge, y(0)]]) + "Z" }),
        );
        parts.push(draw("path", { class: `line ${color}`, d: path(steps) }));
      }
      for (const [price, kind] of [
        [low, "start"],
        [(low + high) / 2, "middle"],
        [high, "end"],
      ]) {
        parts.push(text(x(price), height - 0.3 * em, price.toFixed(2), kind));
      }
      return parts;
    });
  }
}

/** A small line without axes. */
export function spark(points, color) {
  const seconds = Math.max(20, ...points.slice(0, 1).map(([at]) => -at));
  const most = Math.max(1e-9, ...points.map(([, value]) => value));
  const places = points.map(([at, value]) => [
    100 + (100 * at) / seconds,
    19 - (17 * value) / most,
  ]);
  return draw(
    "svg",
    { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("path", { class: `line ${color}`, d: path(places) }),
  );
}

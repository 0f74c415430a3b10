// How old commands are when each stage is done with them: percentiles, and counts by age.

import { Ages } from "./chart.js";
import { Table, card, make, say } from "./dom.js";
import { nanos, short, share } from "./figures.js";
import { TIMED, percentile } from "./history.js";
import { on } from "./keys.js";

const WHILES = [
  [10, "10 s"],
  [60, "1 min"],
  [300, "5 min"],
  [Infinity, "since the start"],
];
const PARTS = [
  [0.5, "p50"],
  [0.9, "p90"],
  [0.99, "p99"],
  [0.999, "p99.9"],
  [1, "max"],
];

export class Latency {
  name = "latency";
  title = "Latency";

  constructor() {
    this.seconds = 60;
    this.chart = new Ages("Ages of commands by stage");
    this.table = new Table(
      [
        { title: "Stage", cell: ({ name }) => name.replace("_", " ") },
        { title: "Commands are …", cell: ({ done }) => done },
        { title: "Batches", kind: "number", cell: ({ ages }) => short(sum(ages)) },
        ...PARTS.map(([part, title]) => ({
          title,
          kind: "number figure",
          cell: ({ ages }) => nanos(percentile(ages, part)),
        })),
      ],
      { label: "Ages by stage" },
    );
    this.work = new Table(
      [
        { title: "Stage", cell: ({ name }) => name.replace("_", " ") },
        { title: "Items", kind: "number", cell: ({ items }) => short(items) },
        { title: "Items/s", kind: "number", cell: ({ now }) => short(now?.items) },
        { title: "Busy now", kind: "number", cell: ({ now }) => share(now?.busy) },
        { title: "Busy always", kind: "number", cell: ({ busy_share: part }) => share(part) },
        { title: "Largest batch", kind: "number", cell: ({ largest }) => short(largest) },
        {
          title: "Polls with work",
          kind: "number",
          cell: ({ worked, polls }) => share(worked / polls),
        },
      ],
      { label: "Stages" },
    );
    this.buttons = WHILES.map(([seconds, name]) =>
      make(
        "button",
        {
          type: "button",
          "aria-pressed": String(seconds === this.seconds),
          onclick: () => this.choose(seconds),
        },
        name,
      ),
    );
    const ages = card(
      "Ages of commands since their place in the order was decided",
      make("p", { class: "row" }, ...this.buttons),
      this.table.element,
      this.chart.element,
      make(
        "p",
        { class: "note" },
        "Each batch counts once, with its oldest command, and to a " +
          "quarter of its age. From a client's side, network included, only the client can " +
          "measure: loadgen does.",
      ),
    );
    const work = card("Stages", this.work.element);
    this.aside = ages.aside;
    this.element = make("div", { class: "columns latency" }, ages.element, work.element);
    on("w", "latency: over another while", () => {
      const at = WHILES.findIndex(([seconds]) => seconds === this.seconds);
      this.choose(WHILES[(at + 1) % WHILES.length][0]);
    });
  }

  choose(seconds) {
    this.seconds = seconds;
    this.buttons.forEach((button, at) =>
      button.setAttribute("aria-pressed", WHILES[at][0] === seconds),
    );
    if (this.last) this.show(...this.last);
  }

  show(status, history) {
    this.last = [status, history];
    const rows = TIMED.map(([name, done, color]) => ({
      name,
      done,
      color,
      ages: history.ages(name, this.seconds),
    }));
    this.table.show(rows, ({ name }) => name);
    this.chart.show(rows.map(({ name, ...rest }) => ({ name: name.replace("_", " "), ...rest })));
    this.work.show(
      status.stages.map((it) => ({ ...it, now: history.stage(it.name) })),
      ({ name }) => name,
    );
    say(this.aside, `${short(sum(rows[1].ages))} batches applied`);
  }
}

const sum = (ages) => ages.reduce((all, [, count]) => all + count, 0);

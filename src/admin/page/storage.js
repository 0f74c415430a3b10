// What lies on the disk: segments of the journal and of the event log, snapshots, and the room
// that is left.

import { Table, card, make, say } from "./dom.js";
import { NONE, bytes, moment, share, span, whole } from "./figures.js";
import { Poller } from "./node.js";

const STATES = { sealed: "good", open: null, prepared: "quiet", damaged: "bad" };

/** The node says nothing in its first minute, and where nothing grows. */
export const untilFull = ({ seconds_to_full: seconds }) =>
  seconds === null ? "no growth seen yet" : `full in ${span(seconds)} at this growth`;

/** `end` says how far the open one is. */
const segments = (label, hasArchive, end) =>
  new Table(
    [
      { title: "Segment", kind: "number", cell: ({ number }) => String(number) },
      { title: "Is", cell: ({ state }) => state, meant: ({ state }) => STATES[state] },
      ...(hasArchive
        ? [
            {
              title: "Archived",
              cell: ({ archived }) => (archived === null ? NONE : archived ? "yes" : "no"),
              meant: ({ archived }) => (archived ? "good" : "quiet"),
            },
          ]
        : []),
      { title: "First", kind: "number", cell: ({ first }) => whole(first) },
      {
        title: "Last",
        kind: "number",
        cell: ({ last, state }) => whole(last ?? (state === "open" ? end() : null)),
      },
      { title: "Size", kind: "number", cell: ({ bytes: size }) => bytes(size) },
      {
        title: "Sealed at",
        kind: "number",
        hint: "The time of its last frame",
        cell: ({ last_time: time }) => moment(time),
      },
      { title: "Digest", kind: "mono", cell: ({ digest }) => digest?.slice(0, 8) ?? "" },
    ],
    { label, empty: "There is none yet." },
  );

export class Storage {
  name = "storage";
  title = "Storage";

  constructor() {
    this.journal = segments("Segments of the journal", true, () => this.ends?.journal);
    this.events = segments("Segments of the event log", false, () => this.ends?.events);
    this.snapshots = new Table(
      [
        { title: "Command", kind: "number", cell: ({ sequence }) => whole(sequence) },
        {
          title: "Is",
          cell: ({ error }) => error ?? "whole",
          meant: ({ error }) => (error ? "bad" : "good"),
        },
        { title: "Events", kind: "number", cell: ({ events }) => whole(events) },
        { title: "Of", kind: "number", cell: ({ time }) => moment(time) },
        { title: "Epoch", kind: "number", cell: ({ epoch }) => whole(epoch) },
        { title: "Size", kind: "number", cell: ({ bytes: size }) => bytes(size) },
      ],
      { label: "Snapshots", empty: "There is none yet: a start replays the whole journal." },
    );
    this.parts = ["journal", "events", "snapshots", "other", "free"].map((name) => ({
      name,
      fill: make("i", { class: `part ${name}` }),
      text: make("span"),
    }));
    this.why = make("p", { class: "why", role: "status" });
    const disk = card(
      "Disk",
      make("div", { class: "disk" }, ...this.parts.map(({ fill }) => fill)),
      make(
        "p",
        { class: "row keys" },
        ...this.parts.map(({ name, text }) => make("span", { class: `key ${name}` }, text)),
      ),
      this.why,
    );
    disk.element.classList.add("wide");
    this.cards = [
      card("Journal", this.journal.element),
      card("Event log", this.events.element),
      card("Snapshots", this.snapshots.element),
    ];
    this.disk = disk.aside;
    this.element = make(
      "div",
      { class: "storage" },
      disk.element,
      ...this.cards.map(({ element }) => element),
    );
    this.poller = new Poller(
      3000,
      () => "/segments?limit=200",
      (said) => this.#told(said),
      (error) => say(this.why, error.message),
    );
  }

  open() {
    this.poller.start();
  }

  close() {
    this.poller.stop();
  }

  show({ disk, positions, event_log: log }) {
    this.ends = { journal: positions?.journaled, events: log?.journaled };
    const { total_bytes: total, free_bytes: free } = disk;
    const held = {
      journal: disk.journal_bytes,
      events: disk.events_bytes,
      snapshots: disk.snapshots_bytes,
      free,
    };
    held.other = Math.max(total - free - held.journal - held.events - held.snapshots, 0);
    for (const { name, fill, text } of this.parts) {
      fill.style.width = `${(100 * held[name]) / total}%`;
      say(text, `${name} ${bytes(held[name])}`);
    }
    say(
      this.disk,
      `${share(free / total)} of ${bytes(total)} free, ${untilFull(disk)} · ` +
        `archive ${disk.archive ?? "off"}`,
    );
  }

  #told({ journal, events, snapshots }) {
    say(this.why, "");
    const kinds = [
      [this.journal, journal],
      [this.events, events],
      [this.snapshots, snapshots],
    ];
    kinds.forEach(([table, { count, newest }], at) => {
      table.show(newest, (it) => it.number ?? it.name);
      say(
        this.cards[at].aside,
        newest.length < count ? `the newest ${newest.length} of ${count}` : `${count}`,
      );
    });
  }
}

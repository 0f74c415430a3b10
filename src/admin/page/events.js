// The event log: what happened, to whom, and when; by session, token, order, sequence or time.

import { Table, card, make, say } from "./dom.js";
import { bytes, price, whole } from "./figures.js";
import { on } from "./keys.js";
import { Poller, ask, query } from "./node.js";

const LIMIT = 50;
const COMMON = ["number", "cause", "time", "nanos"];
/** How a search begins, by what the field beside it says. */
const BEGINS = [
  ["", "newest first"],
  ["sequence", "from command"],
  ["time", "from time"],
  ["from", "from event"],
  ["before", "before event"],
];

/** The kind of an event, and what its columns say, whatever it is. */
export function described(event, symbolOf) {
  const kind = Object.keys(event).find((name) => !COMMON.includes(name));
  const it = event[kind];
  const order = it.order ?? it.new?.order ?? it.taker ?? {};
  const instrument = order.instrument ?? it.instrument;
  const text = (value) => (value == null ? "" : String(value));
  return {
    event,
    kind,
    session: text(order.session ?? it.session),
    token: text(order.token ?? it.token),
    order: text(order.reference),
    symbol: it.symbol ?? (instrument == null ? "" : symbolOf(instrument)),
    side: text(it.side ?? it.new?.side ?? it.taker_side).replace("_", " "),
    price: it.price ?? it.new?.price ?? "",
    quantity: text(it.quantity ?? it.new?.quantity ?? it.decrement ?? it.displayed ?? it.volume),
    more: more(kind, it),
  };
}

function more(kind, it) {
  switch (kind) {
    case "accepted":
      return [it.pricing, it.lifetime, it.handling]
        .filter((word) => !["limit", "day", "displayed"].includes(word))
        .join(", ")
        .replaceAll("_", " ");
    case "replaced":
      return `was ${it.old_token}`;
    case "canceled":
      return `${it.reason.replace("_", " ")}, ${whole(it.remaining)} left`;
    case "modified":
      return `${whole(it.remaining)} left`;
    case "traded":
      return (
        `with ${it.maker.token} of session ${it.maker.session}, ` +
        `${whole(it.taker_remaining)} and ${whole(it.maker_remaining)} left`
      );
    case "rejected":
      return it.why.replaceAll("_", " ");
    case "state_changed":
      return `${it.from} → ${it.to}`.replaceAll("_", " ");
    case "killed":
      return `participant ${it.participant} ${it.on ? "stopped" : "goes on"}`;
    case "participant_set":
      return `participant ${it.participant}`;
    case "session_set":
      return `of participant ${it.participant}`;
    case "mass_canceled":
      return `${whole(it.count)} orders`;
    case "day_ended":
      return `${whole(it.tokens)} tokens`;
    default:
      return "";
  }
}

export class Events {
  name = "events";
  title = "Events";

  constructor(go) {
    this.go = go;
    this.symbols = [];
    this.found = [];
    this.words = {};
    this.turn = 0;
    this.#form();
    this.table = new Table(
      [
        { title: "Event", kind: "number", cell: ({ event }) => whole(event.number) },
        { title: "Command", kind: "number", cell: ({ event }) => whole(event.cause) },
        {
          title: "Time (UTC)",
          kind: "mono",
          cell: ({ event }) => event.time.slice(5, 26).replace("T", " "),
        },
        {
          title: "What",
          cell: ({ kind }) => kind.replaceAll("_", " "),
          meant: ({ kind }) => (kind === "rejected" ? "bad" : kind === "traded" ? "good" : null),
        },
        { title: "Session", kind: "number", cell: ({ session }) => session },
        { title: "Token", kind: "mono", cell: ({ token }) => token },
        { title: "Order", kind: "number mono", cell: ({ order }) => order },
        { title: "Symbol", cell: ({ symbol }) => symbol },
        {
          title: "Side",
          cell: ({ side }) => side,
          meant: ({ side }) => (side === "" ? null : side === "buy" ? "buy" : "sell"),
        },
        { title: "Price", kind: "number", cell: (it) => (it.price === "" ? "" : price(it.price)) },
        {
          title: "Quantity",
          kind: "number",
          cell: ({ quantity }) => quantity && whole(Number(quantity)),
        },
        { title: "", cell: (it) => it.more },
      ],
      { label: "Events", picked: (row) => this.#detail(row), empty: "No event is so." },
    );
    this.detail = make("pre", { class: "detail", tabindex: "0" }, "");
    this.narrow = make("p", { class: "row" });
    this.why = make("p", { class: "why", role: "status" });
    this.older = make("button", { type: "button", onclick: () => this.#on() }, "Go on  ( ] )");
    const list = card(
      "Events",
      this.form,
      this.why,
      this.table.element,
      make("p", { class: "row" }, this.older),
    );
    const one = card("One event", this.narrow, this.detail);
    [this.count, this.element] = [
      list.aside,
      make("div", { class: "columns events" }, list.element, one.element),
    ];
    this.following = new Poller(
      1500,
      () => this.#ahead(),
      (said) => this.#came(said),
      (error) => say(this.why, error.message),
    );
    on("]", "events: go on", () => this.#on());
    on("f", "events: follow, or stop", () => this.follow.click());
  }

  #form() {
    const field = (name, label, width) =>
      make(
        "label",
        {},
        `${label} `,
        make("input", {
          name,
          type: "search",
          size: width,
          autocomplete: "off",
          spellcheck: "false",
        }),
      );
    const begins = BEGINS.map(([value, name]) => make("option", { value }, name));
    this.follow = make("input", { type: "checkbox", onchange: () => this.#followed() });
    this.form = make(
      "form",
      {
        class: "row search",
        onsubmit: (event) => {
          event.preventDefault();
          this.#submit();
        },
      },
      field("session", "Session", 4),
      field("token", "Token", 15),
      field("order", "Order", 9),
      make("label", {}, "Begin ", make("select", { name: "begin" }, ...begins)),
      make("input", {
        name: "at",
        type: "search",
        size: 13,
        "aria-label": "Where to begin",
        placeholder: "number or time",
        autocomplete: "off",
      }),
      make("button", {}, "Search"),
      make("label", {}, this.follow, " follow"),
    );
  }

  open(words) {
    const given = Object.fromEntries(new URLSearchParams(words ?? ""));
    const { elements } = this.form;
    for (const name of ["session", "token", "order"]) elements[name].value = given[name] ?? "";
    const begin = BEGINS.map(([name]) => name).find((name) => name && given[name]);
    elements.begin.value = begin ?? "";
    elements.at.value = given[begin] ?? "";
    this.#look(given);
    if (this.follow.checked) this.following.start();
  }

  close() {
    this.following.stop();
  }

  search() {
    this.form.elements.token.select();
    this.form.elements.token.focus();
  }

  move(by) {
    this.table.move(by);
  }

  #submit() {
    const { session, token, order, begin, at } = this.form.elements;
    const words = {
      session: session.value.trim(),
      token: token.value.trim(),
      order: order.value.trim(),
    };
    if (at.value.trim() !== "") words[begin.value || "from"] = at.value.trim();
    const path = `events${query(words)}`;
    if (location.hash === `#${path}`) this.#look(words);
    else this.go(path);
  }

  /** A search from its beginning. What an earlier one still finds is of no interest. */
  async #look(words) {
    this.words = words;
    this.turn += 1;
    const turn = this.turn;
    say(this.why, "Looking …");
    if (this.symbols.length === 0) await this.#names();
    if (turn !== this.turn) return;
    this.found = [];
    await this.#read({ ...words, limit: LIMIT });
    if (turn !== this.turn) return;
    if (this.found[0]) this.table.choose(this.found[0].event.number);
    else this.#detail(null);
  }

  /** What instruments are called: events have their numbers. */
  async #names() {
    try {
      const { books } = await ask("/books");
      this.symbols = books.map(({ symbol }) => symbol);
    } catch {
      // Then they have numbers here, too.
    }
  }

  async #read(words) {
    const turn = this.turn;
    say(this.why, "Looking …");
    this.older.disabled = true;
    try {
      const said = await ask(`/events${query(words)}`);
      if (turn !== this.turn) return;
      this.next = said.next;
      this.#add(said.events);
      const at = said.next?.before ?? said.next?.from;
      const rest =
        at && this.found.length < LIMIT && said.events.length === 0
          ? `, none so far; go on at event ${whole(at)}`
          : "";
      say(this.why, `Looked through ${bytes(said.walked_bytes)}${rest}`);
      say(this.count, `the log has ${whole(said.first)} to ${whole(said.last)}`);
      this.last = said.last;
    } catch (error) {
      if (turn !== this.turn) return;
      say(this.why, error.message);
      this.next = null;
      this.#add([]);
    }
    this.older.disabled = !this.next || this.next.from > this.last;
  }

  #add(events, ahead = false) {
    const rows = events.map((event) => described(event, (at) => this.symbols[at] ?? `#${at}`));
    this.found = ahead
      ? [...rows.reverse(), ...this.found].slice(0, 500)
      : [...this.found, ...rows];
    this.table.show(this.found, ({ event }) => event.number);
  }

  #on() {
    if (this.older.disabled) return;
    const { session, token, order } = this.words;
    this.#read({ session, token, order, ...this.next, limit: LIMIT });
  }

  #followed() {
    if (!this.follow.checked) return this.following.stop();
    const { session, token, order } = this.words;
    const words = { session, token, order };
    this.#look(words).then(() => this.follow.checked && this.following.start());
  }

  /** What came since, in the order in which it came. */
  #ahead() {
    if (this.last === undefined) return null;
    const { session, token, order } = this.words;
    return `/events${query({ session, token, order, from: this.last + 1, limit: 500 })}`;
  }

  #came({ events, last, next }) {
    this.last = next.from - 1;
    say(this.count, `the log has events up to ${whole(last)}`);
    if (events.length > 0) this.#add(events, true);
  }

  #detail(row) {
    // The time says the same as the nanoseconds.
    say(this.detail, row ? JSON.stringify({ ...row.event, nanos: undefined }, null, 2) : "");
    this.narrow.replaceChildren();
    if (!row) return;
    const link = (words, text) => make("a", { href: `#events${query(words)}` }, text);
    const { session, token, order, event } = row;
    if (token) this.narrow.append(link({ session, token }, `this token`));
    if (order) this.narrow.append(link({ order }, `this order`));
    if (session) this.narrow.append(link({ session }, `this session`));
    this.narrow.append(link({ sequence: event.cause }, `from this command on`));
  }
}

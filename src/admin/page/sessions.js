// Who may trade and who is there: sessions, their connections, their open orders; and the readers
// of market data.

import { Table, card, make, say } from "./dom.js";
import { NONE, bytes, nanos, price, short, whole } from "./figures.js";
import { Poller, query } from "./node.js";

const connection =
  (name, show) =>
  ({ talker }) =>
    talker ? show(talker[name], talker) : NONE;

const CONNECTION = [
  { title: "From", kind: "mono", cell: connection("from", String) },
  { title: "Next message", kind: "number", cell: connection("next", whole) },
  {
    title: "Behind",
    kind: "number",
    hint: "What is still to be sent",
    cell: connection("behind_bytes", (it) => (it === null ? "reads the past" : bytes(it))),
    meant: ({ talker }) => (talker?.behind_bytes > 1 << 20 ? "warn" : null),
  },
  { title: "There for", kind: "number", cell: connection("since_nanos", nanos) },
  { title: "Silent for", kind: "number", cell: connection("heard_nanos", nanos) },
];

export class Sessions {
  name = "sessions";
  title = "Sessions";

  constructor(go) {
    this.go = go;
    this.rows = [];
    this.table = new Table(
      [
        { title: "Session", kind: "number", cell: ({ session }) => String(session) },
        {
          title: "Participant",
          kind: "number",
          cell: ({ participant }) => String(participant ?? NONE),
        },
        {
          title: "Is",
          cell: ({ talker }) => (talker ? "connected" : "away"),
          meant: ({ talker }) => (talker ? "good" : "quiet"),
        },
        { title: "Open orders", kind: "number", cell: ({ open_orders: open }) => whole(open) },
        ...CONNECTION,
        {
          title: "On disconnect",
          cell: ({ cancel_on_disconnect: cancels }) =>
            cancels == null ? NONE : cancels ? "cancels" : "keeps",
        },
      ],
      {
        label: "Sessions",
        picked: ({ session }) => this.go(`sessions/${session}`),
        empty: "There is no such session.",
      },
    );
    this.readers = new Table(CONNECTION, {
      label: "Readers of market data",
      empty: "Nobody reads.",
    });
    this.orders = new Table(
      [
        {
          title: "Token",
          kind: "mono",
          cell: ({ token }) =>
            make(
              "a",
              {
                href: `#events${query({
                  session: this.session,
                  token,
                })}`,
              },
              token,
            ),
        },
        { title: "Symbol", cell: ({ symbol }) => symbol },
        {
          title: "Side",
          cell: ({ side }) => side.replace("_", " "),
          meant: ({ side }) => (side === "buy" ? "buy" : "sell"),
        },
        { title: "Price", kind: "number", cell: (it) => price(it.price) },
        { title: "Quantity", kind: "number", cell: ({ quantity }) => whole(quantity) },
        { title: "Shown", kind: "number", cell: ({ displayed }) => whole(displayed) },
      ],
      { label: "Open orders", empty: "It has none." },
    );
    this.filter = make("input", {
      type: "search",
      placeholder: "Session, participant, address  ( / )",
      "aria-label": "Session, participant or address",
      spellcheck: "false",
      size: 30,
      oninput: () => this.#list(),
    });
    this.away = make("input", { type: "checkbox", checked: true, onchange: () => this.#list() });
    this.why = make("p", { class: "why", role: "status" });
    const list = card(
      "Sessions",
      make("p", { class: "row" }, this.filter, make("label", {}, this.away, " also those away")),
      this.why,
      this.table.element,
    );
    const orders = card("Open orders", this.orders.element);
    const readers = card("Market data", this.readers.element);
    [this.count, this.opened, this.reading] = [list.aside, orders.aside, readers.aside];
    this.element = make(
      "div",
      { class: "columns sessions" },
      list.element,
      make("div", { class: "stack" }, orders.element, readers.element),
    );
    const failed = (error) => say(this.why, error.message);
    this.all = new Poller(
      2000,
      () => "/sessions",
      (said) => this.#told(said),
      failed,
    );
    this.one = new Poller(
      2000,
      () => this.session && `/sessions/${this.session}`,
      (said) => this.#session(said),
      failed,
    );
  }

  open(session) {
    if (session) this.session = Number(session);
    this.table.chosen = this.session;
    this.all.start();
    this.one.start();
  }

  close() {
    this.all.stop();
    this.one.stop();
  }

  search() {
    this.filter.select();
    this.filter.focus();
  }

  move(by) {
    this.table.move(by);
  }

  #told({ sessions, connections }) {
    say(
      this.why,
      sessions
        ? ""
        : "Only who is connected: nobody but the processor holds the state " +
            "(snapshots.mode = shadow lets one look).",
    );
    const there = new Map(
      connections.filter(({ session }) => session !== null).map((it) => [it.session, it]),
    );
    const known =
      sessions ?? [...there.keys()].sort((a, b) => a - b).map((session) => ({ session }));
    this.rows = known.map((it) => ({ ...it, talker: there.get(it.session) }));
    const readers = connections.filter(({ session }) => session === null);
    this.readers.show(
      readers.map((talker) => ({ talker })),
      ({ talker }) => talker.from,
    );
    say(this.reading, `${readers.length} read`);
    say(this.count, `${there.size} of ${known.length} connected`);
    this.#list();
  }

  #list() {
    const wanted = this.filter.value.trim();
    const fits = ({ session, participant, talker }) =>
      wanted === "" ||
      String(session) === wanted ||
      String(participant) === wanted ||
      (talker?.from.includes(wanted) && wanted.length > 2);
    const shown = this.rows.filter((it) => (it.talker || this.away.checked) && fits(it));
    this.table.show(shown, ({ session }) => session);
  }

  #session({ session: { session, orders } }) {
    this.orders.show(orders, ({ reference }) => reference);
    say(
      this.opened,
      `session ${session}${orders.length > 0 ? `, ${short(orders.length)} shown` : ""}`,
    );
  }
}

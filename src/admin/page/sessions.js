// Who may trade and who is there: sessions, their connections, their open orders; and the readers
// of market data.

import { Table, card, make, say } from "./dom.js";
import { NONE, bytes, nanos, price, short, whole } from "./figures.js";
import { query } from "./node.js";
import { Panes } from "./panes.js";

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

/** What the gateway counts on a good day. */
const USUAL = [
  "connections",
  "logins",
  "messages in",
  "snapshots of the market sent",
  "pieces read from the event log",
];

/** Orders that the exchange refused, by its reasons, and what the gateway did to clients. */
function refusals({ refused, traffic, calls_refused: calls }) {
  const orders = refused.map(({ why, count }) => ({
    what: `orders refused: ${why.replaceAll("_", " ")}`,
    count,
  }));
  const clients = traffic.filter(({ what }) => !USUAL.includes(what));
  const all = [...orders, ...clients, { what: "calls of operators refused", count: calls }];
  return all.filter(({ count }) => count > 0);
}

const SESSION = [
  { title: "Session", kind: "number", cell: ({ session }) => String(session) },
  { title: "User", kind: "mono", cell: ({ user }) => user ?? NONE },
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
];

export class Sessions extends Panes {
  name = "sessions";
  title = "Sessions";

  constructor(go) {
    super(go, {
      name: "sessions",
      columns: SESSION,
      label: "Sessions",
      empty: "There is no such session.",
      field: {
        placeholder: "Session, user, participant, address  ( / )",
        "aria-label": "Session, user, participant or address",
        size: 34,
      },
      one: { every: 2000, words: "" },
    });
    this.rows = [];
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
                  session: this.chosen,
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
    this.away = make("input", { type: "checkbox", checked: true, onchange: () => this.list() });
    const list = card(
      "Sessions",
      make("p", { class: "row" }, this.filter, make("label", {}, this.away, " also those away")),
      this.why,
      this.table.element,
    );
    const orders = card("Open orders", this.orders.element);
    const readers = card("Market data", this.readers.element);
    this.refused = new Table(
      [
        { title: "What", cell: ({ what }) => what },
        { title: "Times", kind: "number", cell: ({ count }) => whole(count) },
      ],
      { label: "Refused, held back, cut off", empty: "Nothing and nobody, since the start." },
    );
    const refused = card("Refused, held back, cut off", this.refused.element);
    [this.count, this.opened, this.reading] = [list.aside, orders.aside, readers.aside];
    this.amiss = refused.aside;
    this.element = make(
      "div",
      { class: "columns sessions" },
      list.element,
      make("div", { class: "stack" }, orders.element, readers.element, refused.element),
    );
  }

  key(text) {
    return Number(text);
  }

  show(status) {
    const amiss = refusals(status);
    this.refused.show(amiss, ({ what }) => what);
    say(this.amiss, amiss.length === 0 ? "nothing" : "since the start");
  }

  told({ sessions, users, connections }) {
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
    this.rows = known.map((it) => ({
      ...it,
      user: users[it.session],
      talker: there.get(it.session),
    }));
    const readers = connections.filter(({ session }) => session === null);
    this.readers.show(
      readers.map((talker) => ({ talker })),
      ({ talker }) => talker.from,
    );
    say(this.reading, `${readers.length} read`);
    say(this.count, `${there.size} of ${known.length} connected`);
    this.list();
  }

  list() {
    const wanted = this.filter.value.trim();
    const fits = ({ session, user, participant, talker }) =>
      wanted === "" ||
      String(session) === wanted ||
      user?.includes(wanted.toUpperCase()) ||
      String(participant) === wanted ||
      (talker?.from.includes(wanted) && wanted.length > 2);
    const shown = this.rows.filter((it) => (it.talker || this.away.checked) && fits(it));
    this.table.show(shown, ({ session }) => session);
  }

  shown({ session: { session, orders } }) {
    this.orders.show(orders, ({ reference }) => reference);
    say(
      this.opened,
      `session ${session}${orders.length > 0 ? `, ${short(orders.length)} shown` : ""}`,
    );
  }
}

// All books with their best prices, and one of them with its depth.

import { Depth } from "./chart.js";
import { card, make, mark, say } from "./dom.js";
import { price, short, whole } from "./figures.js";
import { Panes } from "./panes.js";

const LEVELS = 20;

/** The levels of both sides, with bars as long as there are shares. */
class Ladder {
  constructor() {
    this.body = make("tbody");
    const heads = ["Orders", "Quantity", "Buy", "Sell", "Quantity", "Orders"];
    const kinds = ["number", "number", "number", "", "", ""];
    this.element = make(
      "div",
      { class: "scroll" },
      make(
        "table",
        { class: "ladder", "aria-label": "Depth" },
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            ...heads.map((head, at) => make("th", { scope: "col", class: kinds[at] }, head)),
          ),
        ),
        this.body,
      ),
    );
    this.rows = Array.from({ length: LEVELS }, () => this.#row());
  }

  #row() {
    const cells = [
      "number orders",
      "number bar buys",
      "number buy",
      "sell",
      "bar sells",
      "orders",
    ].map((kind) => make("td", { class: kind }));
    const bars = [cells[1], cells[4]].map((cell) => {
      const [fill, text] = [make("i"), make("span")];
      cell.append(fill, text);
      return { fill, text };
    });
    this.body.append(make("tr", {}, ...cells));
    return { cells, bars };
  }

  show({ buys, sells }) {
    const most = Math.max(1, ...[...buys, ...sells].map(({ quantity }) => quantity));
    this.rows.forEach(({ cells, bars }, at) => {
      [buys[at], sells[at]].forEach((level, side) => {
        const [orders, priced] = side === 0 ? [cells[0], cells[2]] : [cells[5], cells[3]];
        say(orders, level ? whole(level.orders) : "");
        say(priced, level ? price(level.price) : "");
        say(bars[side].text, level ? whole(level.quantity) : "");
        bars[side].fill.style.width = `${level ? (100 * level.quantity) / most : 0}%`;
        const hidden = level && level.displayed < level.quantity;
        mark(
          bars[side].fill,
          "title",
          hidden ? `${whole(level.displayed)} of them displayed` : null,
        );
      });
    });
  }
}

const best = (side, what) => (book) => what(book[side][0]);

const BOOK = [
  { title: "Symbol", cell: ({ symbol }) => symbol },
  {
    title: "State",
    cell: ({ state }) => state.replace("_", " "),
    meant: ({ state }) => (state === "halted" ? "bad" : state === "open" ? null : "quiet"),
  },
  {
    title: "Quantity",
    kind: "number",
    cell: best("buys", (it) => (it ? short(it.quantity) : "")),
  },
  {
    title: "Buy",
    kind: "number buy",
    cell: best("buys", (it) => (it ? price(it.price) : "")),
  },
  {
    title: "Sell",
    kind: "number sell",
    cell: best("sells", (it) => (it ? price(it.price) : "")),
  },
  {
    title: "Quantity",
    kind: "number",
    cell: best("sells", (it) => (it ? short(it.quantity) : "")),
  },
  {
    title: "Reference",
    kind: "number",
    cell: ({ reference }) => (reference === "0.0000" ? "" : price(reference)),
  },
];

export class Books extends Panes {
  name = "books";
  title = "Books";

  constructor(go) {
    super(go, {
      name: "books",
      columns: BOOK,
      label: "Books",
      empty: "No instrument is called so.",
      field: { placeholder: "Symbol  ( / )", "aria-label": "Symbol" },
      one: { every: 1000, words: `?levels=${LEVELS}` },
    });
    this.books = [];
    this.ladder = new Ladder();
    const list = card("Books", make("p", { class: "row" }, this.filter), this.table.element);
    const depth = card("Depth", this.why, this.ladder.element);
    [this.count, this.depth] = [list.aside, depth];
    this.heading = depth.element.querySelector("h2 span");
    this.sum = new Depth();
    depth.element.append(this.sum.element);
    this.element = make("div", { class: "columns books" }, list.element, depth.element);
  }

  told({ books }) {
    this.books = books;
    this.list();
    // Without a wish the first one that trades.
    this.chosen ??= (
      books.find(({ buys, sells }) => buys.length + sells.length > 0) ?? books[0]
    )?.symbol;
    if (this.table.chosen !== this.chosen) {
      this.table.chosen = this.chosen;
      this.list();
      this.one.now();
    }
  }

  list() {
    const wanted = this.filter.value.trim().toUpperCase();
    const found = this.books.filter(({ symbol }) => symbol.toUpperCase().includes(wanted));
    this.table.show(found, ({ symbol }) => symbol);
    const live = this.books.filter(({ buys, sells }) => buys.length + sells.length > 0).length;
    say(this.count, `${live} of ${this.books.length} have orders`);
  }

  shown({ sequence, book }) {
    say(this.why, "");
    say(this.heading, book.symbol);
    const [buy, sell] = [book.buys[0], book.sells[0]];
    const spread =
      buy && sell && buy.price !== "0.0000" && sell.price !== "0.0000"
        ? `, spread ${price((sell.price - buy.price).toFixed(4))}`
        : "";
    say(
      this.depth.aside,
      `${book.state.replace("_", " ")}, reference ${price(book.reference)}${spread}` +
        ` · after command ${whole(sequence)}`,
    );
    this.ladder.show(book);
    this.sum.show(book);
  }
}

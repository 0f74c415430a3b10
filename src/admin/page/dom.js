// Elements, made and changed in few words. Nothing is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** An element of HTML. */
export const make = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** An element of SVG. */
export const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Changes a text where it differs. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function mark(element, name, value) {
  if (value === false || value == null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** A section with a heading, and what is said beside it. */
export function card(title, ...children) {
  const aside = make("span", { class: "aside" });
  const element = make(
    "section",
    { class: "card" },
    make("h2", {}, make("span", {}, title), aside),
    ...children,
  );
  return { element, aside };
}

/** Facts, each with a name: `show` takes name and text, and how that is meant. */
export class Facts {
  constructor(...names) {
    this.element = make("dl", { class: "facts" });
    this.values = new Map();
    for (const name of names) {
      const value = make("dd", {}, "–");
      this.values.set(name, value);
      this.element.append(make("div", {}, make("dt", {}, name), value));
    }
  }

  show(name, text, meant = "") {
    const value = this.values.get(name);
    say(value, text);
    mark(value, "class", meant || null);
    mark(value, "title", text.length > 18 ? text : null);
  }
}

/**
 * A table whose rows stay where they are while their texts change. A column has a `title`, a
 * `cell` that makes a text or an element of a row, and perhaps a `kind`: `number`, `mono`.
 */
export class Table {
  #rows = new Map();

  constructor(columns, { label, picked = null, empty = "There is nothing." }) {
    this.columns = columns;
    this.picked = picked;
    this.body = make("tbody");
    this.empty = make("p", { class: "empty" }, empty);
    const heads = columns.map(({ title, kind, hint }) =>
      make("th", { scope: "col", class: kind, title: hint }, title),
    );
    this.table = make(
      "table",
      { "aria-label": label },
      make("thead", {}, make("tr", {}, ...heads)),
      this.body,
    );
    this.element = make(
      "div",
      { class: "scroll", tabindex: picked ? null : "0" },
      this.table,
      this.empty,
    );
    this.chosen = null;
  }

  /** Shows these, each known by its key. */
  show(rows, keyOf) {
    const before = this.#rows;
    this.#rows = new Map();
    let place = this.body.firstChild;
    for (const row of rows) {
      const key = keyOf(row);
      let line = before.get(key);
      if (line) before.delete(key);
      else line = this.#line(key);
      line.row = row;
      this.#rows.set(key, line);
      this.columns.forEach(({ cell, meant }, index) => {
        const shown = cell(row);
        const field = line.fields[index];
        if (typeof shown === "string") say(field, shown);
        else field.replaceChildren(shown);
        if (meant) mark(field, "data-meant", meant(row));
      });
      if (line.element === place) place = place.nextSibling;
      else this.body.insertBefore(line.element, place);
    }
    for (const line of before.values()) line.element.remove();
    this.empty.hidden = rows.length > 0;
    this.#markChosen();
  }

  #line(key) {
    const fields = this.columns.map(({ kind }) => make("td", { class: kind }));
    const element = make("tr", {}, ...fields);
    if (this.picked) {
      element.tabIndex = -1;
      element.addEventListener("click", () => this.choose(key));
      element.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.choose(key);
      });
    }
    return { element, fields, row: null };
  }

  choose(key) {
    this.chosen = key;
    this.#markChosen();
    const line = this.#rows.get(key);
    if (line && this.picked) this.picked(line.row, key);
  }

  #markChosen() {
    // One row can be reached by Tab: the chosen one, or the first.
    const reached = this.#rows.has(this.chosen) ? this.chosen : this.#rows.keys().next().value;
    for (const [key, { element }] of this.#rows) {
      mark(element, "aria-selected", key === this.chosen ? "true" : null);
      if (this.picked) element.tabIndex = key === reached ? 0 : -1;
    }
  }

  /** One row further, or back. */
  move(by) {
    const keys = [...this.#rows.keys()];
    if (keys.length === 0) return;
    const at = keys.indexOf(this.chosen);
    const to = at < 0 ? 0 : Math.min(Math.max(at + by, 0), keys.length - 1);
    this.choose(keys[to]);
    this.#rows.get(keys[to])?.element.scrollIntoView({ block: "nearest" });
  }
}

// One key does one thing, while nobody types.

import { byId, make } from "./dom.js";

const known = [];

/** From now on this key does that; `what` says so in the help. */
export function on(key, what, action) {
  known.push({ key, what, action });
}

const NAMES = { ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc" };

function help() {
  // Digits first, then what works everywhere, then what is one panel's.
  const order = ({ key, what }) => (/\d/.test(key) ? 0 : what.includes(":") ? 2 : 1);
  const told = known.filter(({ what }) => what !== null).sort((a, b) => order(a) - order(b));
  const lines = told.map(({ key, what }) =>
    make("div", {}, make("dt", {}, make("kbd", {}, NAMES[key] ?? key)), make("dd", {}, what)),
  );
  byId("keys-list").replaceChildren(...lines);
  byId("keys").showModal();
}

export function listen() {
  on("?", "these keys", help);
  byId("help").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape" && typing) {
      typing.blur();
      return;
    }
    if (typing || document.querySelector("dialog[open]")) return;
    const found = known.find(({ key }) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found.action();
  });
}

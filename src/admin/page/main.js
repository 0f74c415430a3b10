// Puts the page together: asks for the status every second, and shows one panel of it.

import { byId, make, mark, say } from "./dom.js";
import { short, span, whole } from "./figures.js";
import { History } from "./history.js";
import * as keys from "./keys.js";
import { Poller, ask, token } from "./node.js";
import { Books } from "./books.js";
import { Events } from "./events.js";
import { Latency } from "./latency.js";
import { Operate } from "./operate.js";
import { Overview, isDegraded } from "./overview.js";
import { Sessions } from "./sessions.js";
import { Storage } from "./storage.js";

const EVERY_MS = 1000;
/** Older figures are greyed. */
const STALE_MS = 3500;
const DARK = matchMedia("(prefers-color-scheme: dark)");

const go = (where) => {
  location.hash = where;
};
const panels = [
  new Overview(),
  new Latency(),
  new Books(go),
  new Sessions(go),
  new Events(go),
  new Storage(),
  new Operate(() => signIn("Give the token of somebody who may.")),
];
const history = new History();
let [panel, latest, heard, why] = [null, null, 0, "asking …"];

/** Shows what the address names: `#books/AAPL`, `#events?token=A1`. */
function route() {
  const [, name, rest] = location.hash.match(/^#?([a-z]*)[/?]?(.*)$/) ?? [];
  const found = panels.find((it) => it.name === name) ?? panels[0];
  if (panel !== found) {
    panel?.close?.();
    panel = found;
    byId("panel").replaceChildren(panel.element);
    mark(byId("panel"), "data-panel", panel.name);
    for (const link of byId("panels").children) {
      mark(link, "aria-current", link.dataset.panel === panel.name ? "page" : null);
    }
    document.title = `${panel.title} · Ringframe`;
  }
  panel.open?.(rest && decodeURIComponent(rest));
  if (latest) panel.show?.(latest, history);
}

function told(status) {
  [latest, heard, why] = [status, performance.now(), ""];
  history.add(status);
  facts(status);
  say(byId("state"), ...state(status));
  panel.show?.(status, history);
  pulse();
}

function facts(status) {
  const { replication } = status;
  const shown = [
    ["node", location.host],
    ["role", replication?.role ?? "alone"],
    ["epoch", whole(status.epoch)],
    ["up", span(status.uptime_nanos / 1e9)],
    ["version", status.version],
  ];
  const list = byId("facts");
  if (list.children.length === 0) {
    list.append(...shown.map(([name]) => make("div", {}, make("dt", {}, name), make("dd"))));
  }
  shown.forEach(([, text], at) => say(list.children[at].lastChild, text));
}

/** What an operator has to know first, and how bad it is. */
function worst(status) {
  const { replication, rings, disk, snapshots } = status;
  if (isDegraded(status)) {
    return [
      "bad",
      `DEGRADED: a reply means ${status.release}, and is to mean ${replication.wanted}: ` +
        "no standby is there for it",
    ];
  }
  if (replication?.role === "follower" && !replication.leader) {
    return ["bad", "No leader is heard: if it is gone for good, promote this node"];
  }
  if (disk.free_bytes < 0.05 * disk.total_bytes)
    return ["bad", "The disk is nearly full: archive, then prune"];
  if (status.state === "recovering") {
    const { applied, last } = status.recovery;
    return ["warn", `Recovering: ${whole(applied)} of ${whole(last)} commands are replayed`];
  }
  if (status.state === "draining") return ["warn", "Draining: it takes no more commands"];
  if (status.sequence === null) return ["warn", "The processor does not say where it stands"];
  if (rings && rings.commands > 0.75 * rings.slots)
    return ["warn", "The command ring is nearly full"];
  if (snapshots.last_failure) return ["warn", `A snapshot failed: ${snapshots.last_failure}`];
  if (disk.free_bytes < 0.1 * disk.total_bytes) return ["warn", "The disk is filling up"];
  return null;
}

function state(status) {
  const found = worst(status);
  // Only what is amiss is read out to those who listen.
  mark(byId("state"), "role", found ? "alert" : null);
  mark(byId("state"), "data-meant", found?.[0] ?? "good");
  if (found) return [found[1]];
  const follows = status.replication?.role === "follower";
  return [
    follows
      ? `Following ${status.replication.leader}, ${short(status.replication.lag)} behind`
      : `Serving: a reply means ${status.release}, command ${whole(status.positions?.released)} is released`,
  ];
}

/** How old the figures are; nobody is to take old ones for new. */
function pulse() {
  const age = heard === 0 ? Infinity : performance.now() - heard;
  const stale = age > STALE_MS;
  mark(document.body, "data-stale", stale);
  if (!stale) say(byId("pulse"), "live");
  else if (heard === 0) say(byId("pulse"), why);
  else say(byId("pulse"), `no answer for ${span(age / 1000)}`);
  if (stale && heard > 0) {
    const then = new Date(Date.now() - age).toLocaleTimeString();
    say(byId("state"), `The node does not answer (${why}); these figures are of ${then}`);
    mark(byId("state"), "role", "alert");
    mark(byId("state"), "data-meant", "bad");
  }
}

function failed(error) {
  why =
    error.name === "TimeoutError"
      ? "it takes too long"
      : error.status
        ? error.message
        : "no connection";
  if (error.status === 401 && error.used === token.get()) signIn(token.get() ? error.message : "");
  pulse();
}

function signIn(reason) {
  const dialog = byId("token");
  if (dialog.open) return;
  say(byId("token-why"), reason);
  byId("token-field").value = "";
  dialog.showModal();
}

async function signedIn() {
  const given = byId("token-field").value.trim();
  if (given === "") return;
  const before = token.get();
  token.set(given);
  try {
    await ask("/who");
  } catch (error) {
    token.set(before);
    return signIn(error.message);
  }
  status.now();
  panel.close?.();
  route();
}

/** Dark or light: as the system is, until the button says otherwise. */
function theme(chosen) {
  if (chosen) localStorage.setItem("theme", chosen);
  const wanted = localStorage.getItem("theme") ?? (DARK.matches ? "dark" : "light");
  document.documentElement.dataset.theme = wanted;
}

function otherTheme() {
  theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

panels.forEach(({ name, title }, at) => {
  const link = make(
    "a",
    { href: `#${name}`, "data-panel": name },
    make("kbd", { "aria-hidden": "true" }, String(at + 1)),
    title,
  );
  byId("panels").append(link);
  keys.on(String(at + 1), title.toLowerCase(), () => go(name));
});
keys.on("/", "search", () => {
  if (!panel.search) go("events");
  // The address tells the panel in a moment.
  setTimeout(() => panel.search?.());
});
keys.on("j", "next row", () => panel.move?.(1));
keys.on("k", "row before", () => panel.move?.(-1));
keys.on("ArrowDown", null, () => panel.move?.(1));
keys.on("ArrowUp", null, () => panel.move?.(-1));
keys.on("t", "dark or light", otherTheme);
keys.listen();
theme();
DARK.addEventListener("change", () => theme());
byId("theme").addEventListener("click", otherTheme);
byId("token-form").addEventListener("submit", signedIn);
addEventListener("hashchange", route);

const status = new Poller(EVERY_MS, () => "/status", told, failed);
route();
status.start();
setInterval(pulse, 500);

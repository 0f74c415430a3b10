// A panel of two panes: a list of all that there is, and the one of them that is chosen.

import { Table, make, say } from "./dom.js";
import { Poller } from "./node.js";

export class Panes {
  /**
   * `name` is the panel's, and the path at the node; `field` what the search is called; `one` how
   * often the chosen one is asked for, and with which words. A panel says what it does with all of
   * them (`told`), which of them it lists (`list`), and how it shows one (`shown`).
   */
  constructor(go, { name, columns, label, empty, field, one }) {
    this.chosen = null;
    this.table = new Table(columns, {
      label,
      picked: (_, key) => go(`${name}/${key}`),
      empty,
    });
    this.filter = make("input", {
      type: "search",
      spellcheck: "false",
      ...field,
      oninput: () => this.list(),
    });
    this.why = make("p", { class: "why", role: "status" });
    const failed = (error) => say(this.why, error.message);
    this.all = new Poller(
      2000,
      () => `/${name}`,
      (said) => this.told(said),
      failed,
    );
    this.one = new Poller(
      one.every,
      () =>
        this.chosen == null ? null : `/${name}/${encodeURIComponent(this.chosen)}${one.words}`,
      (said) => this.shown(said),
      failed,
    );
  }

  /** `chosen` as the address has it. */
  open(chosen) {
    if (chosen) this.chosen = this.key(chosen);
    this.table.chosen = this.chosen;
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

  key(text) {
    return text;
  }
}

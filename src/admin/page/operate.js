// What an operator does: each call is confirmed here, written down by the node, and its answer
// shown. What the token may not, the node refuses, whatever this page shows.

import { byId, card, make, mark, say } from "./dom.js";
import { ask, operate } from "./node.js";

const CALLS = [
  {
    name: "Snapshot",
    path: "/snapshot",
    does: "Saves the state beside the running node. Nobody waits for it.",
    yes: "Save the state",
  },
  {
    name: "Drain",
    path: "/drain",
    strong: true,
    yes: "End the node",
    does: "Takes no more commands, finishes those that it has, and ends. Clients are cut off.",
  },
  {
    name: "Drain with snapshot",
    path: "/drain?snapshot=true",
    strong: true,
    yes: "Save and end the node",
    does: "The same, and saves the state before it ends.",
  },
  {
    name: "Hand over",
    path: "/drain?hand_over=true",
    strong: true,
    yes: "Let the standby lead",
    does: "Finishes what it has, lets the standby lead, and ends. Clients reconnect once.",
  },
];

export class Operate {
  name = "operate";
  title = "Operate";

  constructor(signIn) {
    this.who = make("p", { class: "who" }, "–");
    this.buttons = CALLS.map((call) =>
      make(
        "button",
        {
          type: "button",
          class: call.strong ? "strong" : null,
          onclick: () => this.#confirmed(call),
        },
        call.name,
      ),
    );
    const offers = CALLS.map(({ does }, at) =>
      make("div", { class: "offer" }, this.buttons[at], make("p", {}, does)),
    );
    this.answers = make("ol", { class: "answers", "aria-live": "polite" });
    this.none = make("p", { class: "empty" }, "Nothing was done from here yet.");
    const calls = card(
      "Operate",
      this.who,
      ...offers,
      make(
        "p",
        { class: "row" },
        make("button", { type: "button", onclick: signIn }, "Another token …"),
      ),
    );
    const answers = card("Answers", this.none, this.answers);
    this.aside = calls.aside;
    this.element = make("div", { class: "columns operate" }, calls.element, answers.element);
  }

  async open() {
    try {
      const { name, role } = await ask("/who");
      const may = role === "operate";
      say(
        this.who,
        may
          ? `You are ${name}, and may operate this node. Its audit log names you.`
          : `You are ${name}, with the role ${role}: these calls need operate.`,
      );
      mark(this.who, "data-meant", may ? null : "warn");
      for (const button of this.buttons) button.disabled = !may;
    } catch (error) {
      say(this.who, error.message);
    }
  }

  show({ state, replication }) {
    say(this.aside, `${state}${replication ? `, ${replication.role}` : ""}`);
  }

  #confirmed(call) {
    const dialog = byId("confirm");
    say(byId("confirm-title"), `${call.name}?`);
    say(byId("confirm-text"), `${call.does} POST ${call.path} at ${location.host}.`);
    say(byId("confirm-yes"), call.yes);
    byId("confirm-yes").classList.toggle("strong", call.strong === true);
    // What closes a dialog is told a moment later, when the next one may be open.
    byId("confirm-form").onsubmit = ({ submitter }) => {
      if (submitter?.value === "yes") this.#carryOut(call);
    };
    dialog.showModal();
    byId("confirm-no").focus();
  }

  async #carryOut(call) {
    const answer = make("pre", {}, "…");
    const line = make(
      "li",
      {},
      make("h3", {}, `${call.name} · ${new Date().toLocaleTimeString()}`),
      answer,
    );
    this.answers.prepend(line);
    this.none.hidden = true;
    try {
      say(answer, JSON.stringify(await operate(call.path), null, 2));
      mark(line, "data-meant", "good");
    } catch (error) {
      say(
        answer,
        error.status
          ? `refused (${error.status}): ${error.message}`
          : `no answer: ${error.message}. The node may have ended; its log says so.`,
      );
      mark(line, "data-meant", "bad");
    }
  }
}

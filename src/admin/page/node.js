// Asks the node. One request is in flight for each thing at most, and none waits for ever.

const PATIENCE_MS = 4000;
const TOKEN = "token";

export class Refusal extends Error {
  /** `used` is the token that was shown: another one may have been given meanwhile. */
  constructor(status, why, used) {
    super(why);
    this.status = status;
    this.used = used;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (text) => sessionStorage.setItem(TOKEN, text),
};

/** A number of more digits than a number here has room for stays a text. */
const exact = (_, value, context) =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)
    ? (context?.source ?? value)
    : value;

async function call(method, path, patience) {
  const used = token.get();
  const headers = used ? { Authorization: `Bearer ${used}` } : {};
  const signal = patience ? AbortSignal.timeout(patience) : undefined;
  const response = await fetch(path, { method, headers, signal, cache: "no-store" });
  const said = JSON.parse(await response.text(), exact);
  if (!response.ok) throw new Refusal(response.status, said.error ?? JSON.stringify(said), used);
  return said;
}

/** What the node says at this path. */
export const ask = (path) => call("GET", path, PATIENCE_MS);

/** Has the node do something, which may take as long as it takes. */
export const operate = (path) => call("POST", path, 0);

/** Names and values as a query; those without a value are left out. */
export function query(words) {
  const given = Object.entries(words).filter(([, value]) => value !== "" && value != null);
  return given.length === 0 ? "" : "?" + new URLSearchParams(given);
}

/** Asks for something again and again, while it is wanted. */
export class Poller {
  #every;
  #path;
  #told;
  #failed;
  #timer = 0;
  #busy = false;
  #wanted = false;

  /** `path` says what to ask for, or nothing when there is nothing to ask. */
  constructor(every, path, told, failed) {
    this.#every = every;
    this.#path = path;
    this.#told = told;
    this.#failed = failed;
  }

  start() {
    this.#wanted = true;
    this.now();
  }

  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  /** At once, unless an answer is under way; then right after it. */
  async now() {
    clearTimeout(this.#timer);
    if (this.#busy) {
      this.again = true;
      return;
    }
    this.#busy = true;
    this.again = false;
    const begun = performance.now();
    const path = this.#path();
    try {
      const said = path === null ? undefined : await ask(path);
      if (said !== undefined && this.#wanted && path === this.#path()) this.#told(said);
    } catch (error) {
      if (this.#wanted) this.#failed(error);
    }
    this.#busy = false;
    if (!this.#wanted) return;
    const rest = this.again ? 0 : this.#every - (performance.now() - begun);
    this.#timer = setTimeout(() => this.now(), Math.max(rest, 0));
  }
}

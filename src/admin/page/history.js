// What the node said in the last minutes: rates follow from two answers, and so do latencies of
// a while, because the node counts from its start and forgets nothing.

const SAMPLES_MAX = 900;

/** Which counters rates are made of. */
const COUNTERS = {
  orders: (status) => status.traffic.find((it) => it.what === "messages in")?.count ?? 0,
  commands: (status) => status.positions?.applied ?? 0,
  events: (status) => status.event_log?.handed_on ?? 0,
};

export class History {
  constructor() {
    this.samples = [];
    this.started = null;
  }

  add(status) {
    const start = `${status.pid} ${status.started}`;
    if (start !== this.started) {
      // Another process counts from zero.
      this.samples = [];
      this.started = start;
    }
    const at = status.uptime_nanos / 1e9;
    const counts = {};
    for (const [name, count] of Object.entries(COUNTERS)) counts[name] = count(status);
    const stages = new Map(status.stages.map((it) => [it.name, it]));
    this.samples.push({ at, counts, stages, rates: this.#rates(at, counts) });
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
  }

  #rates(at, counts) {
    const before = this.samples.at(-1);
    const rates = {};
    for (const name of Object.keys(counts)) {
      const gone = before ? at - before.at : 0;
      rates[name] = gone > 0 ? Math.max(counts[name] - before.counts[name], 0) / gone : null;
    }
    return rates;
  }

  get last() {
    return this.samples.at(-1);
  }

  /** Per second, between the last two answers. */
  rate(name) {
    return this.last?.rates[name] ?? null;
  }

  /** Of the last so many seconds: how long ago, and how many per second. */
  series(name, seconds) {
    const now = this.last?.at ?? 0;
    return this.samples
      .filter(({ at, rates }) => now - at <= seconds && rates[name] !== null)
      .map(({ at, rates }) => [at - now, rates[name]]);
  }

  /** The sample that is so old, or the oldest; none for all time. */
  #since(seconds) {
    if (seconds === Infinity) return null;
    const now = this.last?.at ?? 0;
    return this.samples.findLast(({ at }) => now - at >= seconds) ?? this.samples[0];
  }

  /** What a stage did per second, and the share of time that it took. */
  stage(name) {
    const [before, last] = this.samples.slice(-2);
    if (!last || !before.stages.has(name) || !last.stages.has(name)) return null;
    const [was, is] = [before.stages.get(name), last.stages.get(name)];
    const gone = last.at - before.at;
    return {
      items: (is.items - was.items) / gone,
      busy: Math.min((is.busy_nanos - was.busy_nanos) / 1e9 / gone, 1),
    };
  }

  /** How many batches of a stage were no older than each age, in the last so many seconds. */
  ages(name, seconds) {
    const last = this.last?.stages.get(name);
    if (!last) return [];
    const before = new Map(this.#since(seconds)?.stages.get(name)?.ages ?? []);
    return last.ages
      .map(([age, count]) => [age, count - (before.get(age) ?? 0)])
      .filter(([, count]) => count > 0);
  }
}

/** The age that a share of all is no older than. */
export function percentile(ages, part) {
  const all = ages.reduce((sum, [, count]) => sum + count, 0);
  if (all === 0) return null;
  let seen = 0;
  for (const [age, count] of ages) {
    seen += count;
    if (seen >= part * all) return age;
  }
  return ages.at(-1)[0];
}

/** Stages that say how old commands are when they are done with them, in the order of travel. */
export const TIMED = [
  ["journaler", "journaled", "c0"],
  ["processor", "applied, released ones handed on", "c1"],
  ["event_log", "event logged", "c2"],
];

// What hangs on the wall: rates, the pipeline, latencies, and what replies mean.

import { Ages, Lines, spark } from "./chart.js";
import { Facts, card, make, mark, say } from "./dom.js";
import { bytes, moment, nanos, share, short, span, whole } from "./figures.js";
import { TIMED, percentile } from "./history.js";
import { Pipeline } from "./pipeline.js";

/** Latencies are of the last so many seconds. */
const WHILE = 10;
const RATES_SECONDS = 300;

class Tile {
  constructor(name, hint) {
    this.value = make("dd", {}, "–");
    this.more = make("dd", { class: "more" }, "");
    this.place = make("dd", { class: "sparks" });
    this.element = make(
      "div",
      { class: "tile", title: hint },
      make("dt", {}, name),
      this.value,
      this.more,
      this.place,
    );
  }

  show(value, more = "", points = null, meant = null) {
    say(this.value, value);
    say(this.more, more);
    mark(this.element, "data-meant", meant);
    if (points?.length > 5) this.place.replaceChildren(spark(points, "c0"));
  }
}

export class Overview {
  name = "overview";
  title = "Overview";

  constructor() {
    this.tiles = {
      orders: new Tile("Orders in", "Messages of clients that became commands, per second"),
      events: new Tile("Events out", "Released events, per second"),
      p50: new Tile(
        "Applied, p50",
        "Age of the oldest command of a batch when it was applied, since its place in the order was decided",
      ),
      p99: new Tile("Applied, p99", "The same"),
      sessions: new Tile("Sessions", "Sessions that somebody has"),
      release: new Tile("A reply means", "The release policy in force"),
      disk: new Tile("Disk free", "Where the data directory is"),
    };
    this.pipeline = new Pipeline();
    this.rates = new Lines("Rates over the last minutes");
    this.ages = new Ages("Ages of commands by stage");
    this.replication = new Facts(
      "Role",
      "Epoch",
      "Policy",
      "Wanted",
      "Standby",
      "Lag",
      "Day",
      "Connections",
    );
    this.state = new Facts(
      "Command",
      "Event",
      "Digest",
      "Logic",
      "Snapshot",
      "Replay",
      "Held",
      "Up",
    );
    const cards = [
      card("Rates", this.rates.element),
      card(`Ages, last ${WHILE} s`, this.ages.element),
      card("Release and replication", this.replication.element),
      card("State", this.state.element),
    ];
    this.rate = cards[0].aside;
    this.element = make(
      "div",
      { class: "overview" },
      make("dl", { class: "tiles" }, ...Object.values(this.tiles).map(({ element }) => element)),
      this.pipeline.element,
      make("div", { class: "four" }, ...cards.map(({ element }) => element)),
    );
  }

  show(status, history) {
    this.#tiles(status, history);
    this.pipeline.show(status, history);
    this.rates.show([
      { name: "orders", color: "c0", points: history.series("orders", RATES_SECONDS) },
      { name: "events", color: "c2", points: history.series("events", RATES_SECONDS) },
    ]);
    say(this.rate, `${short(history.rate("commands"))} commands applied/s`);
    this.ages.show(
      TIMED.map(([name, , color]) => ({
        name: name.replace("_", " "),
        color,
        ages: history.ages(name, WHILE),
      })),
    );
    this.#facts(status);
  }

  #tiles(status, history) {
    const { tiles } = this;
    const ages = history.ages("processor", WHILE);
    const sum = (what) => short(status.traffic.find((it) => it.what === what)?.count);
    tiles.orders.show(
      `${short(history.rate("orders"))}/s`,
      `${sum("messages in")} since the start`,
      history.series("orders", 120),
    );
    tiles.events.show(
      `${short(history.rate("events"))}/s`,
      `${short(status.event_log?.handed_on)} in all`,
      history.series("events", 120),
    );
    tiles.p50.show(nanos(percentile(ages, 0.5)), `p90 ${nanos(percentile(ages, 0.9))}`);
    tiles.p99.show(nanos(percentile(ages, 0.99)), `p99.9 ${nanos(percentile(ages, 0.999))}`);
    tiles.sessions.show(
      whole(status.clients?.sessions),
      `${whole(status.clients?.readers)} market data readers`,
    );
    const degraded = isDegraded(status);
    tiles.release.show(
      status.release,
      degraded ? `DEGRADED from ${status.replication.wanted}` : "as it is to be",
      null,
      degraded ? "bad" : null,
    );
    const { free_bytes: free, total_bytes: total, seconds_to_full: seconds } = status.disk;
    const scarce = free / total;
    tiles.disk.show(
      bytes(free),
      seconds === null ? `${share(scarce)} of ${bytes(total)}` : `full in ${span(seconds)}`,
      null,
      scarce < 0.05 ? "bad" : scarce < 0.1 || isSoon(seconds) ? "warn" : null,
    );
  }

  #facts(status) {
    const { replication, snapshots } = status;
    const follows = replication?.role === "follower";
    const [follower] = replication?.followers ?? [];
    const it = this.replication;
    it.show("Role", replication ? replication.role : "alone");
    it.show("Epoch", whole(status.epoch));
    it.show("Policy", status.release, isDegraded(status) ? "bad" : "");
    it.show("Wanted", replication?.wanted ?? status.release);
    it.show(
      "Standby",
      follows ? `of ${replication.leader ?? "nobody heard"}` : follower ? follower.address : "none",
      follows && !replication.leader ? "bad" : "",
    );
    it.show(
      "Lag",
      follows
        ? `${short(replication.lag)} commands`
        : follower
          ? `${short(follower.lag)}, ${nanos(follower.behind_nanos)}`
          : "–",
    );
    it.show("Day", status.clients?.day_began ? status.clients.day : "–", "mono");
    it.show("Connections", whole(status.clients?.connections));
    const has = this.state;
    has.show("Command", whole(status.sequence));
    has.show("Event", whole(status.events));
    has.show("Digest", status.digest?.slice(0, 12) ?? "–", "mono");
    has.show("Logic", `${status.logic.name} ${status.logic.active ?? ""}`);
    has.show(
      "Snapshot",
      snapshots.sequence === 0 ? "none" : `${span(snapshots.age_seconds)} old`,
      snapshots.failures > 0 ? "warn" : "",
    );
    has.show("Replay", `${nanos(snapshots.recovery_nanos)} at a start`);
    const { journal_bytes: journal, events_bytes: events, snapshots_bytes: saved } = status.disk;
    has.show("Held", `${bytes(journal + events + saved)} on the disk`);
    has.show("Up", `${span(status.uptime_nanos / 1e9)}, since ${moment(status.started)}`);
  }
}

/** As the alert rules have it: there is less than four hours left. */
const isSoon = (seconds) => seconds !== null && seconds < 4 * 3600;

/** Replies mean less than they are to. */
export const isDegraded = ({ release, replication }) =>
  replication?.role === "leader" && replication.wanted !== release;

// The way of an order through the node, alive: stages, rings and how full they are, positions and
// how far each is behind the one before it.

import { card, draw, mark, say } from "./dom.js";
import { NONE, nanos, short, whole } from "./figures.js";

const [WIDTH, HEIGHT] = [1200, 340];
const TOP = 92;
const RING = 47;
/** A ring that is fuller than this holds up those before it. */
const FULL = 0.75;
/** So many commands behind is worth a look. */
const FAR = 10000;

const text = (x, y, kind, words = "") => draw("text", { x, y, class: kind }, words);
const arrow = (d) => draw("path", { class: "way", d, "marker-end": "url(#arrow)" });

/** A stage: what it is called, what it does per second, and how busy it is. */
class Stage {
  constructor(name, title, x, y, width = 140, height = 62) {
    this.name = name;
    this.items = text(x + width / 2, y + height - 19, "items", NONE);
    this.bar = draw("rect", { x, y: y + height - 6, width: 0, height: 6, class: "busy" });
    this.width = width;
    this.group = draw(
      "g",
      { class: "stage", "data-stage": name },
      draw("rect", { x, y, width, height, class: "box" }),
      text(x + width / 2, y + height / 2 - 8, "name", title),
      this.items,
      this.bar,
    );
  }

  show(history) {
    const now = history.stage(this.name);
    mark(this.group, "data-idle", !history.last?.stages.has(this.name));
    say(this.items, now ? `${short(now.items)}/s` : NONE);
    mark(this.bar, "width", (this.width * (now?.busy ?? 0)).toFixed(1));
  }
}

/** A ring: what waits in it stands between its two ends. */
class Ring {
  constructor(title, x) {
    this.x = x;
    this.waiting = text(x, TOP + 2, "waiting", NONE);
    this.part = text(x, TOP + 20, "small");
    this.arc = draw("path", { class: "held" });
    this.head = draw("circle", { r: 5, class: "head" });
    this.group = draw(
      "g",
      { class: "ring" },
      draw("circle", { cx: x, cy: TOP, r: RING, class: "track" }),
      this.arc,
      this.head,
      this.waiting,
      this.part,
      text(x, TOP - RING - 15, "name", title),
    );
  }

  #at(part) {
    const angle = 2 * Math.PI * part - Math.PI / 2;
    return [this.x + RING * Math.cos(angle), TOP + RING * Math.sin(angle)];
  }

  show(head, waiting, slots) {
    if (head == null || !slots) return;
    const part = Math.min(waiting / slots, 0.9999);
    const place = (head % slots) / slots;
    const [fromX, fromY] = this.#at(place - part);
    const [toX, toY] = this.#at(place);
    mark(
      this.arc,
      "d",
      `M${fromX} ${fromY}A${RING} ${RING} 0 ${part > 0.5 ? 1 : 0} 1 ${toX} ${toY}`,
    );
    mark(this.head, "cx", toX);
    mark(this.head, "cy", toY);
    mark(this.group, "data-full", part > FULL);
    say(this.waiting, short(waiting));
    say(this.part, `of ${short(slots)}`);
  }
}

/** A position: how far, and how far behind the one before. */
class Position {
  constructor(name, x, y) {
    this.at = text(x, y + 17, "position", NONE);
    this.behind = text(x, y + 33, "behind");
    this.group = draw(
      "g",
      { "data-position": name },
      text(x, y, "small", name),
      this.at,
      this.behind,
    );
  }

  show(at, behind, what = "behind", far = Infinity) {
    say(this.at, whole(at));
    say(this.behind, behind == null ? "" : `${short(Math.max(behind, 0))} ${what}`);
    mark(this.group, "data-far", behind > far);
  }
}

export class Pipeline {
  constructor() {
    const middle = TOP - 31;
    this.stages = [
      new Stage("gateway", "gateway", 128, middle),
      new Stage("journaler", "journaler", 446, middle),
      new Stage("processor", "processor", 652, middle),
      new Stage("event_log", "event log", 1010, 14),
      new Stage("syncer", "syncer", 446, 222, 140, 56),
      new Stage("replicator", "replicator", 652, 222, 140, 56),
      new Stage("shadow", "shadow", 1010, 222, 140, 56),
    ];
    this.commands = new Ring("command ring", 357);
    this.events = new Ring("event ring", 900);
    this.positions = {
      published: new Position("published", 357, 162),
      journaled: new Position("journaled", 516, 148),
      applied: new Position("applied", 722, 148),
      released: new Position("released", 900, 162),
      synced: new Position("synced", 516, 292),
      snapshotted: new Position("snapshotted", 1080, 292),
    };
    this.who = text(60, TOP - 8, "name", "clients");
    this.whoMore = text(60, TOP + 12, "small");
    this.other = text(892, 247, "name", "no standby");
    this.otherMore = text(892, 267, "small");
    this.told = text(1080, 126, "name", "sessions and market data");
    this.toldMore = text(1080, 146, "small");
    this.toOther = arrow("M792 250H832");
    // A follower's commands come from its leader, by way of the replicator, into the ring.
    this.fromOther = draw("g", {}, arrow("M832 250H796"), arrow("M722 278V334H286V112H309"));
    const svg = draw(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        class: "pipeline",
        role: "img",
        "aria-label": "The pipeline: stages, rings, positions",
      },
      draw(
        "defs",
        {},
        draw(
          "marker",
          {
            id: "arrow",
            viewBox: "0 0 8 8",
            refX: 7,
            refY: 4,
            markerWidth: 7,
            markerHeight: 7,
            orient: "auto",
          },
          draw("path", { d: "M0 0L8 4L0 8Z" }),
        ),
      ),
      arrow("M106 92H124"),
      arrow("M268 92H304"),
      arrow("M410 92H442"),
      arrow("M586 92H648"),
      arrow("M792 92H847"),
      arrow("M950 76C980 60 975 45 1006 45"),
      arrow("M950 108C968 118 962 124 980 124"),
      // The journal, from which those behind it read.
      arrow("M516 186V218"),
      arrow("M516 204H722V218"),
      arrow("M722 204H1080V218"),
      this.toOther,
      this.fromOther,
      ...this.stages.map(({ group }) => group),
      this.commands.group,
      this.events.group,
      ...Object.values(this.positions).map(({ group }) => group),
      this.who,
      this.whoMore,
      this.other,
      this.otherMore,
      this.told,
      this.toldMore,
    );
    const { element, aside } = card("Pipeline", svg);
    element.classList.add("wide");
    [this.element, this.aside] = [element, aside];
  }

  show(status, history) {
    for (const stage of this.stages) stage.show(history);
    const { positions, rings, event_log: log, clients, replication } = status;
    if (positions && rings && log) {
      this.commands.show(positions.published, rings.commands, rings.slots);
      this.events.show(log.handed_on, rings.events, rings.slots);
      const { published, journaled, applied, released, synced, snapshotted } = positions;
      this.positions.published.show(published, null);
      this.positions.journaled.show(journaled, published - journaled, "behind", FAR);
      this.positions.applied.show(applied, journaled - applied, "behind", FAR);
      this.positions.released.show(released, applied - released, "held", FAR);
      this.positions.synced.show(synced, journaled - synced, "behind", FAR);
      this.positions.snapshotted.show(snapshotted, applied - snapshotted, "since");
      say(this.toldMore, `event ${whole(log.left)}, ${short(log.handed_on - log.left)} behind`);
    }
    const follows = replication?.role === "follower";
    say(this.who, follows ? "no clients" : "clients");
    say(
      this.whoMore,
      follows ? "they are the leader's" : `${whole(clients?.connections)} connected`,
    );
    mark(this.toOther, "display", follows ? "none" : null);
    mark(this.fromOther, "display", follows ? null : "none");
    this.#others(replication, follows);
    say(this.aside, `event ${whole(log?.journaled)} in the log, ${whole(log?.synced)} synced`);
  }

  #others(replication, follows) {
    const [follower] = replication?.followers ?? [];
    if (follower) {
      say(this.other, follower.stands_by ? "standby" : "follower");
      const more =
        replication.followers.length > 1 ? `, ${replication.followers.length - 1} more` : "";
      say(this.otherMore, `${short(follower.lag)} behind, ${nanos(follower.behind_nanos)}${more}`);
    } else {
      say(this.other, follows ? "leader" : "no standby");
      say(
        this.otherMore,
        follows ? `${replication.leader ?? "not heard"}, ${short(replication.lag)} ahead` : "",
      );
    }
  }
}

"""Two nodes in network namespaces of their own, and the wire between them cut. Arguments: the
program, and the load generator.

A packet for a place that has no way is dropped where it is sent: so the wire loses one direction.
Whatever is cut, a leader that is told to halt lets nothing go that the standby does not have, the
load generator hears every answer once when the wire is back, and a node that was promoted behind
the cut leads on while the other one comes back as its standby, with the same bytes.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM, LOADGEN = (str(pathlib.Path(it).resolve()) for it in sys.argv[1:3])
PATIENCE_SECONDS = 60
# Longer than a link may be silent.
CUT_SECONDS = 2
NAMES = [f"ringframe-{os.getpid()}-{side}" for side in "ab"]
# Of a network that is for tests alone, and leaves no namespace.
ADDRESSES = ["198.18.0.1", "198.18.0.2"]


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"ip {' '.join(words)}: {done.stderr}")


def within(side, *command):
    return ["ip", "netns", "exec", NAMES[side], *map(str, command)]


def ask(side, *command, codes=(0,)):
    done = subprocess.run(within(side, PROGRAM, *command), capture_output=True, text=True,
                          timeout=PATIENCE_SECONDS, check=False)
    if done.returncode not in codes:
        sys.exit(f"{command} at {NAMES[side]}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def status(side):
    return json.loads(ask(side, "status", "--json"))


def wait_until(what, holds):
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > until:
            sys.exit(f"never so: {what}\n" + "\n".join(json.dumps(status(it)) for it in (0, 1)))
        time.sleep(0.05)


class Node:
    def __init__(self, side, home, on_standby_loss):
        self.side, self.data, self.log = side, home / "ab"[side], home / f"{'ab'[side]}.log"
        other = "--peer" if side == 0 else "--standby-of"
        self.command = within(
            side, PROGRAM, "serve", "--data", self.data, "--log", "text", "--node", side + 1,
            "--release", "replicated", "--on-standby-loss", on_standby_loss,
            "--segment-bytes", "1MiB", "--event-segment-bytes", "1MiB",
            "--replication", f"{ADDRESSES[side]}:9003", other, f"{ADDRESSES[1 - side]}:9003")
        self.process = None

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log,
                                            text=True)

    def is_there(self):
        for line in self.process.stdout:
            if line.strip() in ("ready", "standing by"):
                return
        sys.exit(f"{NAMES[self.side]} does not start:\n{self.log.read_text()}")

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process and self.process.returncode


def pair(home, on_standby_loss):
    home.mkdir()
    nodes = [Node(side, home, on_standby_loss) for side in (0, 1)]
    for node in nodes:
        node.start()
    # The first start of a leader that is told to halt waits for its standby.
    for node in nodes:
        node.is_there()
    wait_until("the standby is there", lambda: status(0)["replication"]["followers"])
    return nodes


def lose(sides):
    """What these send to the other one goes nowhere."""
    for side in sides:
        ip("-n", NAMES[side], "route", "add", "blackhole", ADDRESSES[1 - side], "metric", "0")


def heal(sides):
    for side in sides:
        ip("-n", NAMES[side], "route", "del", "blackhole", ADDRESSES[1 - side], "metric", "0")


def load(side, seconds, out):
    return subprocess.Popen(
        within(side, LOADGEN, "run", "--rate", 400, "--sessions", 3, "--duration", f"{seconds}s",
               "--polite", "--quiet", "--out", out),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def is_whole(played, out):
    _, errors = played.communicate(timeout=PATIENCE_SECONDS)
    if played.returncode != 0:
        sys.exit(f"the load: exit code {played.returncode}\n{errors}")
    summary = json.loads((out / "summary.json").read_text())
    counts = {name: summary[name] for name in ("sent", "answered", "lost", "repeated")}
    if counts["lost"] or counts["repeated"] or not counts["answered"]:
        sys.exit(f"the load heard otherwise than once: {counts}")
    return counts


def are_the_same(nodes):
    wait_until("both have applied as much",
               lambda: len({status(side)["sequence"] for side in (0, 1)}) == 1)
    for node in reversed(nodes):
        if node.end() != 0:
            sys.exit(f"{NAMES[node.side]} ended with {node.process.returncode}:\n"
                     f"{node.log.read_text()}")
    ask(0, "journal", "diff", nodes[0].data, nodes[1].data)
    digests = {ask(0, "replay", "--digest", "--data", node.data) for node in nodes}
    if len(digests) != 1:
        sys.exit(f"they differ: {digests}")


def halts(home):
    nodes = pair(home, "halt")
    try:
        for name, sides in [("to the standby", [0]), ("from the standby", [1]), ("both", [0, 1])]:
            out = home / name.replace(" ", "-")
            played = load(0, 3 + CUT_SECONDS, out)
            time.sleep(1)
            lose(sides)
            time.sleep(CUT_SECONDS)
            leader, standby = status(0), status(1)
            told = leader["positions"]["released"]
            if leader["replication"]["followers"] or told >= leader["positions"]["journaled"]:
                over = played.poll() is not None and played.stderr.read()
                sys.exit(f"{name}: nothing is held back: {json.dumps(leader)}\n{over}")
            if told > standby["positions"]["journaled"]:
                sys.exit(f"{name}: {told} were told, the standby has {standby['positions']}")
            heal(sides)
            print(f"cut {name} for {CUT_SECONDS} s: {is_whole(played, out)}", flush=True)
        are_the_same(nodes)
    finally:
        for node in nodes:
            node.end()


def promoted_behind(home):
    nodes = pair(home, "degrade")
    try:
        is_whole(load(0, 1, home / "before"), home / "before")
        lose([0, 1])
        wait_until("the leader goes on alone", lambda: not status(0)["replication"]["followers"])
        alone = load(0, 1, home / "alone")
        is_whole(alone, home / "alone")
        surplus = status(0)["sequence"]
        wait_until("the standby may be promoted",
                   lambda: "leads" in ask(1, "promote", "--force", codes=(0, 1)))
        wait_until("it leads", lambda: status(1)["state"] == "serving")
        print(f"promoted behind the cut: {is_whole(load(1, 1, home / 'after'), home / 'after')}",
              flush=True)
        heal([0, 1])
        wait_until("the former leader follows", lambda: status(0)["state"] == "following")
        wait_until("it stands by", lambda: status(1)["replication"]["followers"])
        lists = list(nodes[0].data.glob("cut-after-*.jsonl"))
        cut = sum(len(it.read_text().splitlines()) for it in lists)
        if not cut:
            sys.exit(f"nothing is listed of what only the former leader had, up to {surplus}")
        print(f"the former leader follows, and lists {cut} commands that only it had", flush=True)
        are_the_same(nodes)
    finally:
        for node in nodes:
            node.end()


def main():
    # Whoever ends this wants what it made to go, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory(dir=os.environ.get("RINGFRAME_BENCH_DIR")) as home:
        made = []
        try:
            for name in NAMES:
                ip("netns", "add", name)
                made.append(name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("-n", NAMES[0], "link", "add", "wire", "type", "veth", "peer", "name", "wire",
               "netns", NAMES[1])
            for name, address in zip(NAMES, ADDRESSES, strict=True):
                ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
                ip("-n", name, "link", "set", "wire", "up")
            halts(pathlib.Path(home) / "halt")
            promoted_behind(pathlib.Path(home) / "degrade")
        finally:
            for name in made:
                ip("netns", "del", name)


main()

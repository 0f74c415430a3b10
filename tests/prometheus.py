"""A Prometheus server scrapes a pair of nodes under load, and its figures are the load generator's
own, to the last message. Every metric and label value that the alert rules and the Grafana dashboard
name is one that nodes export, and every expression is one that the server takes. Arguments: the
programs ringframe and loadgen."""

import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE_SECONDS = 60
# A warm-up of two messages, because what is refused in it is not in the summary.
LOAD = ["--rate", "2000", "--duration", "3s", "--warm-up", "1ms", "--sessions", "4"]
SESSIONS = 4
RULES = pathlib.Path("ops/prometheus/ringframe.rules.yml")
DASHBOARD = pathlib.Path("ops/grafana/ringframe.json")
# What a node knows only after its first minute must at least stand where it would be written.
WRITER = pathlib.Path("src/admin/metrics.rs")
LATER = {"ringframe_disk_seconds_to_full"}


def free_ports(count):
    """Ports that nobody listens at, for now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def until(what, look):
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            found = look()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            found = None
        if found:
            return found
        if time.monotonic() > end:
            sys.exit(f"no {what} within {PATIENCE_SECONDS} s")
        time.sleep(0.1)


def start(directory, name, arguments):
    """Starts a program, with its log beside the others'."""
    with open(directory / f"{name}.log", "wb") as log:
        return subprocess.Popen(arguments, stdout=log, stderr=log)


def node(program, directory, name, ports, more):
    listen, market, glimpse, replication, admin = (f"127.0.0.1:{port}" for port in ports)
    settings = [
        "--data", directory / name, "--listen", listen, "--market-data", market,
        "--mold-requests", market, "--glimpse", glimpse, "--replication", replication,
        "--admin", admin, "--release", "replicated", *more,
    ]
    return start(directory, name, [program, "serve", *settings])


class Prometheus:
    """What the server has gathered."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def query(self, expression):
        """The values of an expression now, with their labels."""
        asked = urllib.parse.urlencode({"query": expression})
        try:
            answer = get(f"{self.url}/api/v1/query?{asked}")
        except urllib.error.HTTPError as error:
            sys.exit(f"Prometheus does not take '{expression}': {error.read().decode()}")
        return [(it["metric"], float(it["value"][1])) for it in json.loads(answer)["data"]["result"]]

    def number(self, expression):
        """The one value of an expression."""
        values = self.query(expression)
        return values[0][1] if len(values) == 1 else None


def prometheus(directory, targets, port):
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(RULES.resolve())],
        "scrape_configs": [{"job_name": "ringframe", "static_configs": [{"targets": targets}]}],
    }
    # What is JSON is YAML, too.
    (directory / "prometheus.yml").write_text(json.dumps(config))
    arguments = [
        "prometheus", f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/tsdb", f"--web.listen-address=127.0.0.1:{port}",
    ]
    return start(directory, "prometheus", arguments)


def expressions():
    """All that rules and dashboard ask, and where they do."""
    lines = RULES.read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if not line.lstrip().startswith("#")]
    asked = [(str(RULES), "\n".join(rules))]

    def walk(part):
        if isinstance(part, dict):
            for key, value in part.items():
                if key in ("expr", "query") and isinstance(value, str):
                    asked.append((f"{DASHBOARD}", value))
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(json.loads(DASHBOARD.read_text(encoding="utf-8")))
    return asked


def check_names(server):
    """Only what is exported, or recorded, is asked for."""
    # Figures are recorded every 15 seconds, whenever the server began.
    for figure in re.findall(r"record: (ringframe:\w+:\w+)", RULES.read_text(encoding="utf-8")):
        until(figure, lambda: server.query(figure))
    there = {}
    for labels, _ in server.query('{__name__=~"ringframe.+"}'):
        values = there.setdefault(labels.pop("__name__"), {})
        for name, value in labels.items():
            values.setdefault(name, set()).add(value)
    wrong, count = [], 0
    for where, asked in expressions():
        for name, chosen in re.findall(r"\b(ringframe[_:][\w:]+)\s*(?:\{([^}]*)\})?", asked):
            count += 1
            if name in LATER:
                if f'"{name.removeprefix("ringframe_")}"' not in WRITER.read_text():
                    wrong.append(f"{where}: {WRITER} writes no {name}")
            elif name not in there:
                wrong.append(f"{where}: no node exports {name}")
            for label, value in re.findall(r'(\w+)="([^"$]+)"', chosen):
                if value not in there.get(name, {}).get(label, ()):
                    wrong.append(f"{where}: {name} has no {label}=\"{value}\"")
    if wrong:
        sys.exit("\n".join(sorted(set(wrong))))
    return count


def check_dashboard(server, leader):
    """The server takes each expression, and shows something for those that must have a value."""
    count = 0
    for where, asked in expressions():
        if where != str(DASHBOARD) or asked.startswith("label_values") or asked == "prometheus":
            continue
        asked = asked.replace("$job", "ringframe").replace("$instance", leader)
        server.query(asked)
        count += 1
    return count


def check_counts(server, leader, summary, played, by_hand):
    """What was counted at the node is what was sent and heard."""
    def here(name, **labels):
        chosen = "".join(f', {label}="{value}"' for label, value in labels.items())
        return f'{name}{{job="ringframe", instance="{leader}"{chosen}}}'

    kinds = {it["name"]: int(it["value"]) for it in summary["kinds"]}
    sent = played + by_hand
    messages = here("ringframe_traffic_total", what="messages in")
    # What it scraped last may be half a second old.
    until("scrape after the load", lambda: (server.number(messages) or 0) >= sent)
    # What comes too late to cancel is refused without a word: OUCH has none for it.
    refused = summary["silent"] + kinds.get("rejected", 0) + 1
    figures = {
        messages: sent,
        f"sum({here('ringframe_rejects_total')})": refused,
        here("ringframe_duplicates_total"): 1,
        here("ringframe_traffic_total", what="logins"): SESSIONS + 1,
        here("ringframe_traffic_total", what="malformed messages"): 0,
        here("ringframe_unauthorised_total", at="order_entry"): 0,
        # Everything that was emitted was told, and everything that was ordered was released.
        f'{here("ringframe_event_position", position="emitted")} - ignoring (position) '
        f'{here("ringframe_event_position", position="left")}': 0,
        f'{here("ringframe_position", position="published")} - ignoring (position) '
        f'{here("ringframe_position", position="released")}': 0,
        f"max({here('ringframe_follower_lag_commands')})": 0,
        here("ringframe_degraded"): 0,
        # Each batch of the journal has an age, and is in one bucket of each histogram.
        f'{here("ringframe_stage_latency_seconds_bucket", stage="journaler", le="+Inf")} '
        f'- ignoring (le) {here("ringframe_stage_latency_seconds_count", stage="journaler")}': 0,
    }
    wrong = []
    for expression, expected in figures.items():
        found = server.number(expression)
        if found != expected:
            wrong.append(f"{expression} is {found}, and the load generator says {expected}")
    if wrong or summary["lost"] or summary["repeated"] or summary["unexpected"]:
        sys.exit("\n".join(wrong) or f"the load generator is not content: {summary['errors']}")
    return sent, refused


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ringframe, loadgen = sys.argv[1:]
    ports = free_ports(11)
    one, other, port = ports[:5], ports[5:10], ports[10]
    leader, follower = f"127.0.0.1:{one[4]}", f"127.0.0.1:{other[4]}"
    running = []
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        try:
            running.append(node(ringframe, directory, "a", one, ["--peer", f"127.0.0.1:{other[3]}"]))
            until("leader", lambda: get(f"http://{leader}/readyz"))
            follows = ["--standby-of", f"127.0.0.1:{one[3]}"]
            running.append(node(ringframe, directory, "b", other, follows))
            running.append(prometheus(directory, [leader, follower], port))
            server = Prometheus(port)
            until("Prometheus", lambda: get(f"{server.url}/-/ready"))
            settled = f'ringframe_degraded{{instance="{leader}"}} == 0'
            until("standby", lambda: server.query(settled))
            # A token that is used twice, by hand; for the second one there is no answer.
            target = ["--target", f"127.0.0.1:{one[0]}"]
            twice = "buy 1 AAPL 229.00 token=TWICE\n" * 2
            client = [ringframe, "client", *target, "--user", "TRDR99", "--wait", "1"]
            subprocess.run(client, input=twice, text=True, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            play = [loadgen, "run", *target, *LOAD, "--keep-orders", "--polite", "--quiet"]
            out = directory / "out"
            # The summary leaves out what filled the books; the record has it, line by line.
            flow = directory / "flow"
            play += ["--record", flow, "--out", out]
            subprocess.run(play, check=True, stdout=subprocess.DEVNULL)
            lines = flow.read_text().splitlines()
            played = sum(1 for line in lines if line and not line.startswith("#"))
            # And each session ends with an order that tells it that all before were answered.
            played += SESSIONS
            subprocess.run([ringframe, "snapshot", "--admin", leader], check=True,
                           stdout=subprocess.DEVNULL)
            summary = json.loads((out / "summary.json").read_text())
            sent, refused = check_counts(server, leader, summary, played, 2)
            until("age of a snapshot", lambda: server.query("ringframe_snapshot_age_seconds"))
            until("burn rates", lambda: server.query("ringframe:burn:6h"))
            names = check_names(server)
            asked = check_dashboard(server, leader)
            firing = server.query('ALERTS{alertstate="firing", severity="page"}')
            print(f"{sent} messages and {refused} refusals, as the load generator counts them; "
                  f"{names} names of metrics, {asked} expressions of the dashboard; "
                  f"{len(firing)} pages")
        finally:
            for process in reversed(running):
                process.terminate()
            for process in running:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


main()

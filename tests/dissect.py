"""Orders, replies and market data between the real server and its own clients, recorded on the way
and dissected by tshark: nothing is malformed, and the fields that it shows are the ones that were
sent. Arguments: the program.

Connections go through a relay that notes every byte, and the notes become a capture file, cut into
segments at odd places. So nobody needs the right to capture, and no busy machine loses a packet.
"""

import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as xml

PATIENCE_SECONDS = 60
BUFFER_BYTES = 1 << 22
LINKTYPE_IPV4 = 228
ACCEPTED_BYTES = 33  # The server's first packet, when it lets somebody in.
CLIENT, SERVER = 0x7F000002, 0x7F000001

ONE = """
buy 300 AAPL 230.00 token=A1
buy 200 MSFT 419.50 token=A2 hidden seconds=3600
replace A2 250 419.75 token=A3
modify A1 buy 250
cancel A3 100
buy 10 NOSUCH 1.00 token=A4
sell 5 NVDA 141.00 token=A5
buy 50 NVDA 141.00 token=A6
"""
OTHER = """
sell 100 AAPL 230.00 token=B1 ioc min=50
sell 500 AAPL market token=B2 ioc
short 20 AAPL 240.00 token=B3 post-only
"""
# What tshark must show, by the letters of the packet and of the message: each line is a message, in
# the order in which they were sent. The protocol's price of a market order is 0x7FFFFFFF.
MARKET = 0x7FFFFFFF
DAY, HOUR, IOC = 99_998, 3_600, 0
ONE_ASKED = [
    ("U", "O", dict(token="A1", side="B", shares=300, stock="AAPL", price=2_300_000, tif=DAY,
                    display="Y", minimum=0, cross="N")),
    ("U", "O", dict(token="A2", side="B", shares=200, stock="MSFT", price=4_195_000, tif=HOUR,
                    display="N", minimum=0, cross="N")),
    ("U", "U", dict(existing="A2", replacement="A3", shares=250, price=4_197_500)),
    ("U", "M", dict(token="A1", side="B", shares=250)),
    ("U", "X", dict(token="A3", shares=100)),
    ("U", "O", dict(token="A4", side="B", shares=10, stock="NOSUCH", price=10_000)),
    ("U", "O", dict(token="A5", side="S", shares=5, stock="NVDA", price=1_410_000)),
    ("U", "O", dict(token="A6", side="B", shares=50, stock="NVDA", price=1_410_000)),
]
ONE_TOLD = [
    ("S", "S", dict(event="S")),
    ("S", "A", dict(token="A1", side="B", shares=300, stock="AAPL", price=2_300_000, tif=DAY,
                    display="Y", reference=1, state="L", firm="F001")),
    ("S", "A", dict(token="A2", side="B", shares=200, stock="MSFT", price=4_195_000, tif=HOUR,
                    display="N", reference=2, state="L")),
    ("S", "U", dict(replacement="A3", previous="A2", side="B", shares=250, stock="MSFT",
                    price=4_197_500, reference=3, state="L")),
    ("S", "M", dict(token="A1", side="B", shares=250)),
    ("S", "C", dict(token="A3", decrement=150, canceled="U")),
    ("S", "J", dict(token="A4", rejected="S")),
    ("S", "A", dict(token="A5", side="S", shares=5, stock="NVDA", price=1_410_000)),
    ("S", "A", dict(token="A6", side="B", shares=50, stock="NVDA", price=1_410_000)),
    ("S", "D", dict(token="A6", decrement=50, canceled="Q", prevented=5, traded_at=1_410_000)),
]
ONE_TOLD_LATER = [
    ("S", "E", dict(token="A1", executed=100, traded_at=2_300_000, liquidity="A", match=1)),
    ("S", "E", dict(token="A1", executed=150, traded_at=2_300_000, liquidity="A", match=2)),
]
OTHER_ASKED = [
    ("U", "O", dict(token="B1", side="S", shares=100, stock="AAPL", price=2_300_000, tif=IOC,
                    minimum=50)),
    ("U", "O", dict(token="B2", side="S", shares=500, stock="AAPL", price=MARKET, tif=IOC)),
    ("U", "O", dict(token="B3", side="T", shares=20, stock="AAPL", price=2_400_000, display="P")),
]
OTHER_TOLD = [
    ("S", "S", dict(event="S")),
    ("S", "A", dict(token="B1", side="S", shares=100, minimum=50, firm="F002")),
    ("S", "E", dict(token="B1", executed=100, traded_at=2_300_000, liquidity="R", match=1)),
    ("S", "A", dict(token="B2", side="S", shares=500, price=MARKET, tif=IOC)),
    ("S", "E", dict(token="B2", executed=150, traded_at=2_300_000, liquidity="R", match=2)),
    ("S", "C", dict(token="B2", decrement=350, canceled="I")),
    ("S", "A", dict(token="B3", side="T", shares=20, price=2_400_000, display="P")),
]
# What tshark calls them, and how long they are.
FIELDS = {
    "token": ("order_token", 14), "existing": ("existing_order_token", 14),
    "replacement": ("replacement_order_token", 14), "previous": ("previous_order_token", 14),
    "side": ("buy_sell_indicator", 1), "shares": ("shares", 4), "stock": ("stock", 8),
    "price": ("price", 4), "tif": ("tif", 4), "display": ("display", 1),
    "minimum": ("min_quantity", 4), "cross": ("cross_type", 1), "event": ("event_code", 1),
    "reference": ("order_reference_number", 8), "state": ("order_state", 1), "firm": ("firm", 4),
    "decrement": ("decrement_shares", 4), "canceled": ("cancel_reason", 1),
    "rejected": ("reject_reason", 1), "executed": ("executed_shares", 4),
    "prevented": ("quantity_prevented_from_trading", 4), "traded_at": ("execution_price", 4),
    "liquidity": ("liquidity_flag", 1), "match": ("match_number", 8),
}

WRONG = "_ws.malformed", "ouch.unknown_message", "moldudp64.end_of_session_extra"


class Capture:
    """IPv4 packets, as a file that tshark reads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.random = random.Random(1)
        self.packets = []
        self.clients = 0
        self.sent = {}  # By connection and direction.

    def add(self, protocol, source, target, packet):
        header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(packet), 0, 0, 64, protocol, 0,
                             source, target)
        self.packets.append(header + packet)

    def open(self, server_port):
        """A new connection; it is named by its client's port."""
        with self.lock:
            self.clients += 1
            connection = (20_000 + self.clients, server_port)
            self.sent[connection, True] = self.sent[connection, False] = b""
            self.segment(connection, True, 0, 0, b"", 0x02)
            self.segment(connection, False, 0, 1, b"", 0x12)
            return connection

    def segment(self, connection, is_from_client, number, answered, data, flags):
        ports, ends = connection, (CLIENT, SERVER)
        if not is_from_client:
            ports, ends = ports[::-1], ends[::-1]
        self.add(6, *ends, struct.pack(">HHIIBBHHH", *ports, number, answered, 5 << 4, flags,
                                       65_535, 0, 0) + data)

    def stream(self, connection, is_from_client, data):
        with self.lock:
            answered = 1 + len(self.sent[connection, not is_from_client])
            while data:
                sent = len(self.sent[connection, is_from_client])
                cut = self.random.randint(1, 600)
                if not is_from_client and sent < ACCEPTED_BYTES:
                    # tshark follows a new conversation from here on: a packet that only begins in
                    # this segment would be lost to it.
                    cut = min(cut, ACCEPTED_BYTES - sent)
                piece, data = data[:cut], data[cut:]
                number = 1 + sent
                self.segment(connection, is_from_client, number, answered, piece, 0x18)
                self.sent[connection, is_from_client] += piece

    def datagram(self, source, target, data):
        with self.lock:
            self.add(17, SERVER, SERVER, struct.pack(">HHHH", source, target, 8 + len(data), 0)
                     + data)

    def write(self, path):
        with path.open("wb") as file:
            file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, LINKTYPE_IPV4))
            for number, packet in enumerate(self.packets):
                file.write(struct.pack("<IIII", 0, number, len(packet), len(packet)) + packet)


class Relay:
    """A port that leads to another one."""

    def __init__(self, capture, port):
        self.capture, self.port = capture, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "%s:%d" % self.listener.getsockname()
        self.pumps = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.port))
            connection = self.capture.open(self.port)
            for ends in (client, server, True), (server, client, False):
                pump = threading.Thread(target=self.pump, args=(connection, *ends), daemon=True)
                pump.start()
                self.pumps.append(pump)

    def settle(self):
        """Everything that was said until now is noted, where nobody is connected any more."""
        for pump in self.pumps:
            pump.join(PATIENCE_SECONDS)

    def pump(self, connection, source, target, is_from_client):
        try:
            while data := source.recv(1 << 16):
                self.capture.stream(connection, is_from_client, data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The other end is gone, and so are its readers.


class Datagrams:
    """Somebody who listens to MoldUDP64."""

    def __init__(self, capture):
        self.capture = capture
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE_SECONDS)
        self.port = self.socket.getsockname()[1]

    def receive(self):
        data, (_, source) = self.socket.recvfrom(1 << 16)
        self.capture.datagram(source, self.port, data)
        session, sequence, count = struct.unpack_from(">10sQH", data)
        return session, sequence, count

    def receive_until(self, what, enough):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not enough(*self.receive()):
            if time.monotonic() > deadline:
                sys.exit(f"MoldUDP64: no {what}")

    def ask(self, port, session, sequence, count):
        """The answer is an ordinary datagram, from the port of requests."""
        data = struct.pack(">10sQH", session, sequence, count)
        self.capture.datagram(self.port, port, data)
        self.socket.sendto(data, ("127.0.0.1", port))


def ringframe(program, arguments, lines="", password="secret", code=0):
    environment = {**os.environ, "RINGFRAME_PASSWORD": password}
    done = subprocess.run([program, *arguments], input=lines, env=environment, text=True,
                          capture_output=True, timeout=PATIENCE_SECONDS)
    if done.returncode != code:
        sys.exit(f"{arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


def talk(program, capture, directory):
    """All that is recorded; says on which ports, and how many market messages there were."""
    mold = Datagrams(capture)
    serve = [program, "serve", "--data", directory / "data", "--release", "journaled",
             "--listen", "127.0.0.1:0", "--market-data", "127.0.0.1:0", "--admin", "off", "--replication", "off",
             "--glimpse", "127.0.0.1:0",
             "--mold", f"127.0.0.1:{mold.port}", "--mold-requests", "127.0.0.1:0"]
    with (directory / "serve.err").open("w") as errors:
        server = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        line = server.stdout.readline()
        ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", line)]
        if len(ports) != 5:
            sys.exit(f"serve: {line}{(directory / 'serve.err').read_text()}")
        orders, market, _, _, requests = ports
        server.stdout.readline()
        relay = Relay(capture, orders)
        one, other = (["client", "--target", relay.address, "--sequence", "1", "--user", user]
                      for user in ("TRDR01", "TRDR02"))
        ringframe(program, one, ONE)
        ringframe(program, other, OTHER)
        ringframe(program, one)
        ringframe(program, one, password="wrong", code=3)
        ringframe(program, [*one, "--session", "NOSUCH"], code=3)
        relay.settle()
        relay = Relay(capture, market)
        ringframe(program, ["watch", "AAPL", "--once", "--target", relay.address])
        relay.settle()
        told = sum(packet[:1] == b"S" for connection, packet in packets(capture, False)
                   if connection[1] == market)
        # An idle sender says how far it is.
        mold.receive_until("heartbeat", lambda _, sequence, count: sequence > told and count == 0)
        session, _, _ = mold.receive()
        mold.ask(requests, session, 3, 4)
        mold.receive_until("answer", lambda _, sequence, count: (sequence, count) == (3, 4))
        return orders, market, mold.port, requests, told
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()


def packets(capture, is_from_client):
    """The SoupBinTCP packets of one direction, by connection, without their lengths."""
    with capture.lock:
        sent = dict(capture.sent)
    for (connection, from_client), data in sent.items():
        while from_client == is_from_client and data:
            (length,) = struct.unpack_from(">H", data)
            yield connection, data[2:2 + length]
            data = data[2 + length:]


def dissect(path, orders, market, mold, requests):
    """Packets as tshark's protocols and fields."""
    decode_as = [f"tcp.port=={orders},soupbintcp", f"tcp.port=={market},soupbintcp",
                 f"udp.port=={mold},moldudp64", f"udp.port=={requests},moldudp64"]
    command = ["tshark", "-n", "-r", path, "-T", "pdml"]
    for rule in decode_as:
        command += ["-d", rule]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        sys.exit(f"tshark: {done.stderr.decode()}")
    return xml.fromstring(done.stdout).findall("packet")


def value(proto, name):
    """A field's bytes, in hexadecimal; none where there is no such field."""
    field = proto.find(f".//field[@name='{name}']")
    return None if field is None else field.get("value")


def number(packet, name):
    return int(packet.find(f".//field[@name='{name}']").get("show"))


def is_wrong(item):
    name, shown = item.get("name", ""), item.get("showname", "")
    if name == "_ws.expert.severity":
        # TCP tells of a new connection; MoldUDP64 tells which datagram is a request.
        return not shown.endswith(("Chat", "Comment"))
    return name in WRONG or name.endswith(".invalid")


def check_sound(packets):
    for packet in packets:
        for item in packet.iter():
            if is_wrong(item):
                print(xml.tostring(packet, encoding="unicode")[-4000:])
                sys.exit(f"tshark: {item.get('name')} {item.get('showname')}")


def conversations(packets, port):
    """By the client's port: what it sent and what it was sent, as (letter, SoupBinTCP, OUCH)."""
    found = {}
    for packet in packets:
        if packet.find("proto[@name='soupbintcp']") is None:
            continue
        ends = number(packet, "tcp.srcport"), number(packet, "tcp.dstport")
        if port not in ends:
            continue
        protos = packet.findall("proto")
        for place, proto in enumerate(protos):
            if proto.get("name") == "soupbintcp":
                letter = chr(int(value(proto, "soupbintcp.packet_type"), 16))
                inner = protos[place + 1] if place + 1 < len(protos) else None
                ouch = inner if inner is not None and inner.get("name") == "ouch" else None
                is_server = ends[0] == port
                client = ends[1] if is_server else ends[0]
                found.setdefault(client, ([], []))[is_server].append((letter, proto, ouch))
    return found


def hexadecimal(wanted, length):
    if isinstance(wanted, int):
        return wanted.to_bytes(length, "big").hex()
    return wanted.ljust(length).encode().hex()


def check_messages(who, found, wanted):
    messages = [(letter, ouch) for letter, _, ouch in found if letter in "SU"]
    if len(messages) != len(wanted):
        sys.exit(f"{who}: {len(messages)} messages and not {len(wanted)}")
    for at, ((letter, ouch), (packet, kind, fields)) in enumerate(zip(messages, wanted), 1):
        if ouch is None:
            sys.exit(f"{who}: tshark finds no OUCH in message {at}, which is {kind} {fields}")
        fields = {FIELDS[name][0]: hexadecimal(it, FIELDS[name][1]) for name, it in fields.items()}
        fields["packet_type"] = kind.encode().hex()
        shown = {name: value(ouch, f"ouch.{name}") for name in fields}
        if letter != packet or shown != fields:
            print(xml.tostring(ouch, encoding="unicode"))
            sys.exit(f"{who}: message {at} is {letter} {shown} and not {packet} {fields}")


def letters(found):
    """Of the packets, without heartbeats and data."""
    return "".join(letter for letter, _, _ in found if letter not in "HRSU")


def check_orders(found):
    (one, other, again, refused, unknown) = (found[client] for client in sorted(found))
    check_messages("TRDR01 sent", one[0], ONE_ASKED)
    check_messages("TRDR01 was told", one[1], ONE_TOLD)
    check_messages("TRDR02 sent", other[0], OTHER_ASKED)
    check_messages("TRDR02 was told", other[1], OTHER_TOLD)
    check_messages("TRDR01 was told again", again[1], ONE_TOLD + ONE_TOLD_LATER)
    for who, (asked, told), user, answer in [
        ("TRDR01", one, "TRDR01", "A"),
        ("TRDR02", other, "TRDR02", "A"),
        ("a wrong password", refused, "TRDR01", "JA"),
        ("an unknown session", unknown, "TRDR01", "JS"),
    ]:
        (login, accepted) = (found[0][1] for found in (asked, told))
        said = value(login, "soupbintcp.username"), value(login, "soupbintcp.req_seq_num")
        if (bytes.fromhex(said[0]).decode(), int(bytes.fromhex(said[1]))) != (user, 1):
            sys.exit(f"{who}: logs in as {said}")
        code = value(accepted, "soupbintcp.reject_code") or ""
        if letters(told)[:1] + bytes.fromhex(code).decode() != answer:
            sys.exit(f"{who}: is answered {letters(told)} {code}")
    if letters(one[0]) != "LO":
        sys.exit(f"TRDR01 sends {letters(one[0])} and no login, then logout")


def check_market(packets, found, mold, requests, told):
    """The same messages, under the same numbers, in SoupBinTCP and in MoldUDP64."""
    ((_, answers),) = found.values()
    session = value(answers[0][1], "soupbintcp.session")
    if any(ouch is not None for _, _, ouch in answers):
        sys.exit("tshark takes ITCH for OUCH")
    messages = {}
    for letter, proto, _ in answers:
        if letter == "S":
            # As `Sequence number: 7 (Calculated)`: the field itself is a dummy of tshark's.
            counted = proto.find(".//field[@name='soupbintcp.seq_num']").get("showname")
            sequence = int(re.search(r"\d+", counted).group())
            messages[sequence] = value(proto, "soupbintcp.message")
    if sorted(messages) != list(range(1, told + 1)):
        sys.exit(f"tshark numbers {len(messages)} messages of {told}")
    live, again, asked, idle = {}, {}, 0, 0
    for packet in packets:
        proto = packet.find("proto[@name='moldudp64']")
        if proto is None:
            continue
        if value(proto, "moldudp64.session") != session:
            sys.exit(f"MoldUDP64 is of session {value(proto, 'moldudp64.session')}, not {session}")
        blocks = proto.findall(".//field[@name='moldudp64.msgblock']")
        if number(packet, "udp.dstport") == requests:
            if proto.find(".//field[@name='moldudp64.request']") is None:
                sys.exit("tshark takes the request for something else")
            asked += 1
            continue
        idle += not blocks
        place = again if number(packet, "udp.srcport") == requests else live
        for block in blocks:
            place[number(block, "moldudp64.msgseq")] = value(block, "moldudp64.msgdata")
    if wrong := [at for at in messages if live.get(at) != messages[at]]:
        sys.exit(f"MoldUDP64 has other messages, {len(wrong)} of {told}, from {wrong[0]} on")
    if again != {at: messages[at] for at in range(3, 7)}:
        sys.exit(f"the answer to a request is {again}")
    if asked != 1 or idle == 0:
        sys.exit(f"{asked} requests, {idle} heartbeats")
    return idle


def main(program):
    capture = Capture()
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        *ports, told = talk(program, capture, directory)
        orders, market, mold, requests = ports
        path = directory / "capture.pcap"
        capture.write(path)
        dissected = dissect(path, *ports)
    check_sound(dissected)
    entry = conversations(dissected, orders)
    feed = conversations(dissected, market)
    for is_server in False, True:
        ours = sum(1 for _ in packets(capture, not is_server))
        theirs = sum(len(sides[is_server]) for sides in (*entry.values(), *feed.values()))
        if ours != theirs:
            sys.exit(f"tshark finds {theirs} SoupBinTCP packets of {ours}")
    check_orders(entry)
    idle = check_market(dissected, feed, mold, requests, told)
    print(f"{len(dissected)} packets dissected: {len(entry)} order entry connections, {told} "
          f"market messages twice, {idle} heartbeats in MoldUDP64; "
          "nothing malformed, all fields as sent")


if __name__ == "__main__":
    main(sys.argv[1])

"""Random flow of every kind of order through the exchange; then two independent readers of ITCH 5.0
accept the feed that `ringframe feed` writes, rebuild the book from it, and agree with the server,
order by order and level by level. Arguments: the program, and a seed to repeat a run."""

import collections
import datetime
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

import itch_book
from itch.parser import MessageParser

PATIENCE_SECONDS = 120
TICKS = 20  # Prices on each side of an instrument's middle.
SESSIONS = range(1, 9)
SYMBOLS = {"AAPL": 2_300_000, "LOTS": 500_000, "PENNY": 25_000, "X": 1_000_000}
EVENTS = (
    "accepted replaced canceled modified traded rested triggered mass_canceled instrument_added "
    "instrument_changed state_changed crossed participant_set session_set killed day_ended rejected"
).split()
SLICES = "new slice where the old one is still seen"
MESSAGES = "SRHAECXDUPQ"


class Flow:
    """Commands, as lines of JSON."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []
        self.tokens = {session: [] for session in SESSIONS}
        self.count = 0
        self.icebergs = 0.15  # So many of the orders.

    def say(self, command, **fields):
        self.lines.append(json.dumps({command: fields}))

    def take(self):
        lines, self.lines = self.lines, []
        return "\n".join(lines) + "\n"

    def terms(self, symbol):
        lot = 100 if symbol == "LOTS" else 1
        middle = SYMBOLS[symbol]
        collar = 300_000 if symbol == "AAPL" else 0
        return dict(symbol=symbol, tick=100, lot=lot, lowest=100, highest=9_000_000,
                    collar=collar, reference=middle)

    def world(self):
        modes = ["allow", "cancel_newest", "cancel_oldest", "cancel_both"]
        for participant, mode in enumerate(modes, 1):
            self.say("set_participant", participant=participant, self_trade=mode,
                     quantity_max=50_000)
        for session in SESSIONS:
            self.say("set_session", session=session, participant=(session - 1) // 2 + 1,
                     cancel_on_disconnect=session % 2 == 0)
        for symbol in SYMBOLS:
            self.say("add_instrument", **self.terms(symbol))

    def to(self, state, *symbols):
        for symbol in symbols or SYMBOLS:
            self.say("change_state", symbol=symbol, state=state)

    def new_token(self, session):
        self.count += 1
        token = f"T{self.count}"
        self.tokens[session].append(token)
        return token

    def old_token(self, session):
        newest = self.tokens[session][-80:]
        return self.random.choice(newest) if newest else "NONE"

    def price(self, symbol):
        return SYMBOLS[symbol] + 100 * self.random.randint(-TICKS, TICKS)

    def shape(self, symbol):
        """What a new order and a replacing one have in common."""
        lot = 100 if symbol == "LOTS" else 1
        shares = lot * self.random.randint(1, 400)
        shape = dict(price=self.price(symbol), quantity=shares)
        kind = self.random.random()
        if self.random.random() < self.icebergs and shares > 2 * lot:
            shape["display"] = max(lot, shares // self.random.randint(2, 9) // lot * lot)
        elif kind < 0.20:
            shape["handling"] = "hidden"
        elif kind < 0.27:
            shape["handling"] = "post_only"
        elif kind < 0.36:
            shape["lifetime"] = "immediate"
            shape["minimum"] = self.random.choice([0, lot, shares])
        elif kind < 0.41:
            shape["lifetime"] = "all_or_nothing"
        elif kind < 0.48:
            shape["lifetime"] = "good_till"
            shape["expires"] = time.time_ns() + self.random.randint(10**8, 3 * 10**9)
        return shape

    def enter(self, symbol, session):
        order = dict(session=session, symbol=symbol, token=self.new_token(session))
        order["side"] = self.random.choice(["buy", "buy", "sell", "short", "short_exempt"])
        order |= self.shape(symbol)
        kind = self.random.random()
        if kind < 0.05 and "display" not in order and "handling" not in order:
            order |= dict(pricing="market", price=0)
        elif kind < 0.12 and order.get("lifetime") in (None, "good_till"):
            order["stop"] = self.price(symbol)
            if order.get("handling") == "post_only":
                del order["handling"]
        elif kind < 0.13:
            order["price"] += 1  # Off the tick: refused.
        elif kind < 0.14:
            order["token"] = self.old_token(session)  # Used: nothing happens.
        self.say("enter", **order)

    def act(self, *symbols):
        symbol = self.random.choice(symbols or list(SYMBOLS))
        session = self.random.choice(SESSIONS)
        dice = self.random.random()
        old = dict(session=session, token=self.old_token(session))
        if dice < 0.60:
            self.enter(symbol, session)
        elif dice < 0.75:
            self.say("replace", session=session, old=old["token"], new=self.new_token(session),
                     marks_kept=65535, **self.shape(symbol))
        elif dice < 0.87:
            self.say("cancel", quantity=self.random.choice([0, 0, 50, 100]), **old)
        elif dice < 0.97:
            self.say("modify", quantity=self.random.randint(1, 300),
                     side=self.random.choice(["buy", "sell", "short"]), **old)
        elif dice < 0.975:
            self.say("mass_cancel", session=session, symbol=self.random.choice([symbol, ""]),
                     sides=self.random.choice(["both", "buy", "sell"]))
        elif dice < 0.98:
            self.say("disconnected", session=session)
        elif dice < 0.982:
            self.say("kill", participant=1, on=True)
            self.say("kill", participant=1, on=False)
        else:
            self.say("tick")

    def acts(self, times, *symbols):
        for _ in range(times):
            self.act(*symbols)

    def halts(self, times):
        """Many small auctions of icebergs: one in each trades in part."""
        self.icebergs = 0.8
        for symbol in self.random.choices(list(SYMBOLS), k=times):
            self.say("mass_cancel", session=self.random.choice(SESSIONS))
            self.to("halted", symbol)
            self.to("pre_open", symbol)
            self.acts(40, symbol)
            self.to("open", symbol)
        self.icebergs = 0.15

    def parts(self, times):
        """Where to stop and compare, and whether orders are being collected then."""
        self.world()
        self.to("pre_open")
        self.acts(times // 4)
        yield "opening auction, first day", True
        self.to("open")
        self.acts(times)
        yield "first day", False
        self.to("halted", "AAPL", "X")
        self.acts(times // 4)
        self.to("pre_open", "AAPL")
        self.acts(times // 4)
        self.to("open", "AAPL")
        self.to("pre_open", "X")
        self.to("open", "X")
        self.acts(times // 4)
        yield "after a halt", False
        self.halts(45)
        yield "after many halts", False
        self.to("pre_close", "AAPL", "LOTS", "PENNY")
        self.acts(times // 4)
        yield "closing auction, first day", True
        self.to("closed")
        for symbol in SYMBOLS:
            self.say("change_instrument", **self.terms(symbol))
        self.say("end_day")
        yield "end of the first day", False
        self.tokens = {session: [] for session in SESSIONS}
        self.to("pre_open")
        self.acts(times // 4)
        self.to("open")
        self.acts(times)
        self.to("halted", "PENNY")
        self.acts(times // 10)
        yield "second day", False


class Server:
    """The program on a data directory."""

    def __init__(self, program, data):
        self.program, self.data = program, data

    def run(self, *arguments, **rest):
        command = [self.program, *arguments, "--data", self.data]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, **rest)
        if done.returncode != 0:
            sys.exit(f"{command}: exit code {done.returncode}\n{done.stderr[-4000:]}")
        return done.stdout

    def apply(self, lines):
        """The kinds of events that came of them."""
        told = self.run("apply", "--empty", "--release", "journaled", input=lines, text=True)
        kinds = collections.Counter()
        for line in told.splitlines():
            kind, event = list(json.loads(line).items())[-1]
            kinds[kind] += 1
            kinds[SLICES] += kind == "rested" and event["old_shown"] > 0
        return kinds

    def views(self, *views):
        printed = [argument for view in views for argument in ("--print", view)]
        return [json.loads(line) for line in self.run("replay", "--json", *printed).splitlines()]

    def orders(self):
        """By reference: symbol, side, displayed shares, price."""
        orders = {}
        for view in self.views(*(f"session {session}" for session in SESSIONS)):
            for it in view["session"]["orders"]:
                if it["displayed"] > 0:
                    side = "B" if it["side"] == "buy" else "S"
                    orders[it["reference"]] = (it["symbol"], side, it["displayed"],
                                               ten_thousandths(it["price"]))
        return orders

    def levels(self):
        """By symbol and side, the best first: price and displayed shares."""
        levels = {}
        for view in self.views(*(f"book {symbol}" for symbol in SYMBOLS)):
            book = view["book"]
            for side in "buys", "sells":
                shown = [(ten_thousandths(level["price"]), level["displayed"])
                         for level in book[side] if level["displayed"] > 0]
                levels[book["symbol"], side] = shown
        return levels


def ten_thousandths(text):
    whole, decimals = text.split(".")
    return int(whole) * 10_000 + int(decimals)


class Book:
    """The book from itchfeed's messages, with the rules that a reader relies on."""

    def __init__(self):
        self.orders, self.states, self.symbols = {}, {}, {}
        self.kinds = collections.Counter()
        self.group = None

    def fail(self, why, message):
        sys.exit(f"itchfeed: {why}: {message!r}")

    def take(self, message):
        kind = message.message_type.decode()
        self.kinds[kind] += 1
        locate = message.stock_locate
        # All messages of a command have its time.
        if self.group not in (None, (locate, message.timestamp)):
            self.check_crossed(self.group[0], message)
        self.group = (locate, message.timestamp)
        if kind == "R":
            self.symbols[locate] = message.stock.decode().rstrip()
        elif kind == "H":
            self.states[locate] = message.trading_state.decode()
        elif kind == "A":
            side = message.buy_sell_indicator.decode()
            self.add(message.order_reference_number, locate, side, message.shares, message.price,
                     message)
        elif kind in "EC":
            self.reduce(message.order_reference_number, message.executed_shares, message)
        elif kind == "X":
            self.reduce(message.order_reference_number, message.cancelled_shares, message)
        elif kind == "D":
            self.remove(message.order_reference_number, message)
        elif kind == "U":
            old = self.remove(message.order_reference_number, message)
            self.add(message.new_order_reference_number, locate, old[1], message.shares,
                     message.price, message)

    def add(self, reference, locate, side, shares, price, message):
        if reference in self.orders or shares == 0:
            self.fail("an order that is there, or none", message)
        self.orders[reference] = (locate, side, shares, price)

    def remove(self, reference, message):
        if reference not in self.orders or self.orders[reference][0] != message.stock_locate:
            self.fail("an unknown order", message)
        return self.orders.pop(reference)

    def reduce(self, reference, shares, message):
        locate, side, left, price = self.remove(reference, message)
        if not 0 < shares <= left:
            self.fail(f"{left} shares left", message)
        if shares < left:
            self.orders[reference] = (locate, side, left - shares, price)

    def check_crossed(self, locate, message):
        if self.states.get(locate) != "T":
            return
        sides = {"B": [0], "S": [1 << 40]}
        for place, side, _, price in self.orders.values():
            if place == locate:
                sides[side].append(price)
        if max(sides["B"]) >= min(sides["S"]):
            self.fail(f"the book of {locate} was crossed before", message)

    def named(self):
        return {reference: (self.symbols[locate], side, shares, price)
                for reference, (locate, side, shares, price) in self.orders.items()}


def messages_of(feed):
    """The messages of a BinaryFILE."""
    messages, at = [], 0
    while True:
        (length,) = struct.unpack_from(">H", feed, at)
        at += 2
        if length == 0:
            break
        messages.append(feed[at:at + length])
        at += length
    if at != len(feed):
        sys.exit(f"the feed goes on after its end: {at} of {len(feed)} bytes")
    return messages


def read_with_itchfeed(path):
    raw = messages_of(path.read_bytes())
    book, count = Book(), 0
    with path.open("rb") as file:
        for message in MessageParser().parse_file(file):
            if count < len(raw) and message.to_bytes() != raw[count]:
                book.fail(f"other bytes than {raw[count].hex()}", message)
            book.take(message)
            count += 1
            if count == len(raw):
                break
    if count != len(raw):
        sys.exit(f"itchfeed: {count} of {len(raw)} messages")
    return book


def read_with_itch_book(path, is_collecting):
    feed = itch_book.open(str(path), date=datetime.date(2026, 1, 2), price_type="fixed")
    last, names = {}, {}
    for batch in feed.batches(tables=("depth", "symbols"), depth=50):
        names |= dict(zip(batch.symbols["locate"], batch.symbols["symbol"]))
        for row, locate in enumerate(batch.depth["locate"].tolist()):
            last[locate] = {name: int(cells[row]) for name, cells in batch.depth.items()}
    wrong = ["unknown", "malformed", "pending_bytes", "missing_ref", "rejected", "dup_ref",
             "clamped"]
    if not is_collecting:
        wrong.append("crossed_books")
    if found := {name: feed.stats[name] for name in wrong if feed.stats[name]}:
        sys.exit(f"itch-book: {found}")
    levels = {(symbol, side): [] for symbol in SYMBOLS for side in ("buys", "sells")}
    for locate, row in last.items():
        for side, of in ("buys", "bid"), ("sells", "ask"):
            levels[names[locate], side] = [
                (row[f"{of}_px_{level:02}"], row[f"{of}_sz_{level:02}"])
                for level in range(50) if row[f"{of}_sz_{level:02}"]
            ]
    return levels


def verify_with_itch_book(path):
    command = [sys.executable, "-m", "itch_book", "verify", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        sys.exit(f"itch-book verify: {done.stdout}{done.stderr}")


def same(who, theirs, ours):
    if theirs != ours:
        keys = sorted(set(theirs) | set(ours), key=str)
        first = next(key for key in keys if theirs.get(key) != ours.get(key))
        sys.exit(f"{who} has {first}: {theirs.get(first)}, the server has {ours.get(first)}")


def check(server, path, what, is_collecting):
    server.run("feed", "--out", path)
    orders, levels = server.orders(), server.levels()
    book = read_with_itchfeed(path)
    same(f"{what}: itchfeed's book", book.named(), orders)
    same(f"{what}: itch-book's book", read_with_itch_book(path, is_collecting), levels)
    if not is_collecting:
        verify_with_itch_book(path)
    print(f"{what}: {book.kinds.total()} messages, {len(orders)} orders displayed, both agree")
    return book.kinds


def main(program, seed):
    print(f"seed {seed}")
    flow = Flow(seed)
    events, kinds = collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        server, path = Server(program, directory / "data"), directory / "feed.itch"
        for what, is_collecting in flow.parts(6000):
            events += server.apply(flow.take())
            kinds += check(server, path, what, is_collecting)
        days = []
        for day in "1", "2", "all":
            server.run("feed", "--day", day, "--out", path)
            days.append(messages_of(path.read_bytes()))
            verify_with_itch_book(path)
        if days[2] != days[0] + days[1]:
            sys.exit("all days are not one after the other")
        if days[1] != messages_of(server.run("feed")):
            sys.exit("the last day is not the second one")
    missing = [kind for kind in (*EVENTS, SLICES) if not events[kind]]
    missing += [kind for kind in MESSAGES if not kinds[kind]]
    if missing:
        sys.exit(f"the flow caused none of {missing}")
    print(*(f"{kind} {events[kind]}" for kind in (*EVENTS, SLICES)), sep=", ")
    print(" ".join(f"{kind} {kinds[kind]}" for kind in MESSAGES))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)

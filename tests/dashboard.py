"""The page of a node, as an operator uses it. Arguments: the node's program, the load generator,
the directory for pictures, and the browser."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

from devtools import Browser

PATIENCE_SECONDS = 15
RATE = 1000
VIEWER, ROOT = "0123456789abcdef-viewer", "fedcba9876543210-root"
PANELS = ["overview", "latency", "books", "sessions", "events", "storage", "operate"]

# Texts that are wider than their place and are not meant to be cut, and what leaves the window.
AUDIT = """(() => {
  const found = [];
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth)
    found.push('the page is wider than the window');
  for (const element of document.querySelectorAll('.tile dd, #facts dd, nav a, button, h2 > span:first-child'))
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== 'inline')
      found.push(`"${element.textContent}" is cut`);
  for (const card of document.querySelectorAll('.card')) {
    const box = card.getBoundingClientRect();
    if (box.width < 60 || box.height < 40) found.push(`a card has no room: ${card.textContent}`);
  }
  return found;
})()"""

# How well texts stand out, by the formula of WCAG 2: 4.5 is what it asks of small ones.
CONTRAST = """(() => {
  const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255).map((part) =>
    part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const color = rgb(getComputedStyle(it).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (element.closest('dialog:not([open]), noscript, :disabled') || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    if (style.opacity !== '1') continue;
    const inSvg = element.namespaceURI.endsWith('svg');
    const [one, other] = [light(rgb(inSvg ? style.fill : style.color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.add(`${element.tagName} ${element.className.baseVal ?? element.className} ` +
      `"${element.textContent.slice(0, 20)}": ${ratio.toFixed(1)}`);
  }
  return [...found];
})()"""


def fail(text):
    sys.exit(f"tests/dashboard.py: {text}")


class Node:
    """`ringframe serve` on a data directory, with a token for each role."""

    def __init__(self, program, home):
        tokens = home / "tokens"
        tokens.write_text(f"viewer read {VIEWER}\nroot operate {ROOT}\n")
        tokens.chmod(0o600)
        anywhere = "127.0.0.1:0"
        arguments = [program, "serve", "--data", home / "data", "--release", "journaled",
                     "--admin-tokens", tokens, "--segment-bytes", "256KiB"]
        for place in ("listen", "market-data", "glimpse", "replication", "admin"):
            arguments += [f"--{place}", anywhere]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        said = ""
        for line in self.process.stdout:
            said += line
            if line == "ready\n":
                break
        addresses = {what: re.search(rf"{what} (?:on|at) (\S+?)(?:,|\s)", said)
                     for what in ("order entry", "operators")}
        if not all(addresses.values()):
            fail(f"the node said {said!r}, and ended with {self.process.poll()}")
        self.orders, self.admin = (found[1] for found in addresses.values())
        # Nobody reads what it says from now on.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def ask(self, path, token, method="GET"):
        request = urllib.request.Request(f"http://{self.admin}{path}", method=method,
                                         headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


class Page:
    """What is on the screen."""

    def __init__(self, browser, pictures):
        self.browser, self.pictures = browser, pictures

    def go(self, place):
        self.browser.evaluate(f"location.hash = {json.dumps(place)}; 0")
        panel = re.match("[a-z]+", place)[0]
        self.browser.wait(f"document.getElementById('panel').dataset.panel === '{panel}'")

    def text(self, selector):
        return self.browser.evaluate(f"document.querySelector({json.dumps(selector)})?.textContent")

    def texts(self, selector):
        return self.browser.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((it) => it.textContent)")

    def click(self, words):
        """A button by its words."""
        self.browser.evaluate(
            "[...document.querySelectorAll('button')].find((it) => it.checkVisibility() && "
            f"it.textContent.startsWith({json.dumps(words)})).click(); 0")

    def sign_in(self, token):
        self.browser.wait("document.getElementById('token').open")
        self.browser.type(token)
        self.browser.press("Enter")

    def picture(self, name):
        for scheme in ("light", "dark"):
            self.browser.scheme(scheme)
            self.browser.wait(f"document.documentElement.dataset.theme === '{scheme}'")
            self.browser.picture(self.pictures / f"{name}-{scheme}.png")
            found = self.browser.evaluate(AUDIT) + self.browser.evaluate(CONTRAST)
            if found:
                fail(f"{name}, {scheme}: " + "; ".join(found))


def number(text):
    """`3.02 k/s` as a number."""
    value, unit = re.match(r"([\d.]+)\s?([kMG]?)", text).groups()
    return float(value) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[unit]


def let_in(page, node):
    """Who has no token sees nothing, and who has a wrong one is told so."""
    page.browser.open(f"http://{node.admin}/")
    page.sign_in("nobody's token, really")
    page.browser.wait("document.getElementById('token-why').textContent.includes('nobody has this')")
    page.sign_in(VIEWER)
    page.browser.wait("document.getElementById('pulse').textContent === 'live'")


def rates_move(page):
    page.browser.wait("document.querySelector('.tile dd')?.textContent.match(/^[1-9]/)")
    rate = number(page.text(".tile dd"))
    if not RATE / 4 < rate < RATE * 4:
        fail(f"the page says {rate} orders/s under a load of {RATE}")
    before = page.text("[data-position=applied] .position")
    page.browser.wait(
        f"document.querySelector('[data-position=applied] .position').textContent !== '{before}'")
    page.browser.wait("document.querySelectorAll('.overview .chart .line').length >= 4")


def book_fills(page):
    page.go("books/AAPL")
    page.browser.wait("document.querySelectorAll('.ladder i').length > 0 && "
                      "[...document.querySelectorAll('.ladder .buy')].filter((it) => it.textContent).length > 5")
    widths = page.browser.evaluate(
        "[...document.querySelectorAll('.ladder i')].map((it) => it.getBoundingClientRect().width)")
    if max(widths) < 20:
        fail(f"the bars of a book stay {widths}")
    before = page.texts(".ladder td.bar span")
    page.browser.wait(
        "JSON.stringify([...document.querySelectorAll('.ladder td.bar span')].map((it) => "
        f"it.textContent)) !== {json.dumps(json.dumps(before, separators=(',', ':')))}")


def order_is_found(page):
    """By the token that the open orders of a session show, typed into the search."""
    page.go("sessions/1")
    link = ".sessions .stack a"
    page.browser.wait(f"document.querySelector('{link}')")
    token = page.text(link)
    page.browser.wait("document.querySelector('.sessions tbody tr')?.textContent.startsWith('1TRDR01')")
    # The token that nobody has.
    page.browser.wait("[...document.querySelectorAll('.sessions .stack tbody tr')].some((it) => "
                      "it.textContent.match(/^calls of operators refused[1-9]/))")
    page.picture("sessions")
    page.go("events")
    page.browser.wait("document.querySelectorAll('.events tbody tr').length >= 50")
    page.picture("events-newest")
    page.browser.press("/")
    page.browser.wait("document.activeElement.name === 'token'")
    page.browser.type(token)
    page.browser.press("Enter")
    # The address is another one a moment before the page has seen that.
    page.browser.wait(f"location.hash.includes('token={token}') && "
                      "document.querySelector('.events .why').textContent.startsWith('Looked') && "
                      f"document.querySelector('.events tbody tr')?.textContent.includes('{token}')")
    events = page.texts(".events tbody tr")
    if not events or not all(token in event for event in events):
        fail(f"of {token} the page finds {events}")
    if not any("accepted" in event for event in events):
        fail(f"of {token} the page finds no beginning: {events}")


def operating_takes_its_role(page, node):
    page.go("operate")
    page.browser.wait("document.querySelector('.who').textContent.includes('role read')")
    buttons = "[...document.querySelectorAll('.offer button')]"
    if not page.browser.evaluate(f"{buttons}.every((it) => it.disabled)"):
        fail("what the role read may not is offered to it")
    # The page may offer what it likes: the node refuses it.
    refusal = page.browser.evaluate(
        "import('/assets/node.js').then(({ operate }) => operate('/snapshot'))"
        ".then(() => null, ({ status, message }) => `${status} ${message}`)")
    if not refusal or not refusal.startswith("403 viewer has the role read"):
        fail(f"a viewer's snapshot is answered by {refusal}")
    page.picture("operate-viewer")
    page.click("Another token")
    page.sign_in(ROOT)
    page.browser.wait(f"{buttons}.every((it) => !it.disabled)")
    page.click("Snapshot")
    page.browser.wait("document.getElementById('confirm').open")
    page.picture("confirm")
    page.click("No, leave it")
    page.browser.wait("!document.getElementById('confirm').open")
    if page.texts(".answers li"):
        fail("what was not confirmed was done")
    page.click("Snapshot")
    page.click("Save the state")
    page.browser.wait("document.querySelector('.answers li[data-meant=good]')")
    if len(page.texts(".answers li")) != 1:
        fail(f"one confirmation did {page.texts('.answers li')}")
    sequence = json.loads(page.text(".answers pre"))["sequence"]
    snapshots = node.ask("/segments", VIEWER)[1]["snapshots"]["newest"]
    if sequence not in [it["sequence"] for it in snapshots]:
        fail(f"the page says a snapshot of {sequence}, the node has {snapshots}")
    # Without a standby that is refused, and said.
    page.click("Hand over")
    page.click("Let the standby lead")
    page.browser.wait("document.querySelector('.answers li[data-meant=bad]')")
    if "refused (409): no standby" not in page.text(".answers pre"):
        fail(f"without a standby a hand-over is answered by {page.text('.answers pre')}")


def degraded_is_loud(page, node):
    """Replies that are to wait for a standby, and there is none."""
    node.ask("/release?policy=replicated", ROOT, "POST")
    state = "document.getElementById('state')"
    page.browser.wait(f"{state}.textContent.startsWith('DEGRADED: a reply means synced')")
    page.browser.wait("document.querySelector('.tile[data-meant=bad]')")
    page.picture("degraded")
    node.ask("/release?policy=journaled", ROOT, "POST")
    # This machine's disk may be rather full, which it says then.
    page.browser.wait(f"!{state}.textContent.startsWith('DEGRADED')")


def end_is_told(page, node):
    page.click("Drain")
    page.click("End the node")
    page.browser.wait("document.querySelectorAll('.answers li').length === 3")
    page.browser.wait("document.body.dataset.stale === 'true'")
    if node.process.wait(PATIENCE_SECONDS) != 0:
        fail(f"the node ended with {node.process.returncode}")
    page.browser.wait("document.getElementById('state').textContent.includes('does not answer')")
    if '"last"' not in page.text(".answers pre"):
        fail(f"the drain is answered by {page.text('.answers pre')}")
    page.browser.picture(page.pictures / "ended.png")


def use(page, node):
    page.browser.resize(1280, 800)
    let_in(page, node)
    rates_move(page)
    page.picture("overview")
    book_fills(page)
    page.picture("books")
    order_is_found(page)
    page.picture("events")
    for panel in ("latency", "storage"):
        page.go(panel)
        page.browser.wait("document.querySelectorAll('main tbody tr').length > 2")
        page.picture(panel)
    operating_takes_its_role(page, node)
    page.picture("operate")
    page.go("overview")
    degraded_is_loud(page, node)
    for width, height in ((3840, 2160), (480, 900)):
        page.browser.resize(width, height)
        for panel in PANELS:
            page.go(panel)
            found = page.browser.evaluate(AUDIT)
            if found:
                fail(f"{panel}, {width} wide: " + "; ".join(found))
        page.go("overview")
        page.browser.picture(page.pictures / f"overview-{width}.png")
    page.browser.resize(1280, 800)
    page.go("operate")
    end_is_told(page, node)


def main():
    program, loadgen, pictures, browser = sys.argv[1:]
    pictures = pathlib.Path(pictures).resolve()
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        home = pathlib.Path(home)
        node = Node(program, home)
        load = subprocess.Popen(
            [loadgen, "run", "--target", node.orders, "--rate", str(RATE), "--duration", "120s",
             "--sessions", "4", "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shown = Browser(browser, home / "profile", PATIENCE_SECONDS)
        try:
            use(Page(shown, pictures), node)
            if shown.complaints:
                fail("the browser complains: " + "; ".join(shown.complaints))
        except AssertionError as why:
            shown.picture(pictures / "failed.png")
            fail(f"{why}; {pictures}/failed.png shows the page, which complains: {shown.complaints}")
        finally:
            shown.close()
            for process in (load, node.process):
                process.kill()
                process.wait()
    print(f"every panel of a node under load, in both colour schemes: {pictures}")


main()

"""The load generator's pages as a browser shows them. Arguments: the load generator, the program
that writes sample runs, the directory for pages and pictures, and the browser.

Each page is read as XML, loaded with a script that measures every text, and photographed in both
colour schemes. Nothing here measures time; a browser that hangs is ended after a generous while.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
import zlib

PATIENCE_SECONDS = 180
DARK, LIGHT = 0, 1  # Chromium's own numbers of the preferred colour scheme.
SVG = "{http://www.w3.org/2000/svg}"

# Charts with the names of their lines, by page.
OVER_TIME = ["hiccups", "p50", "p99", "max"]
RATES = ["answered", "sent"]
METRICS = ["p50", "p99", "p99.9", "max", "throughput"]


def panels(runs):
    charts = {}
    for index in range(runs):
        for kind in ("run", "floor"):
            charts[f"time-{kind}-{index}"] = OVER_TIME
            charts[f"rate-{kind}-{index}"] = RATES
    return charts


def alone(title):
    return ["echo floor", "hiccups", "service time", title]


JOURNALED, MISTAKES = "order to reply, journaled", "order to reply, with mistakes"
SWEEP = "sweep of rates, journaled"
SWEPT = ["floor p99", "p99.9", "p99", "p50"]
PAGES = {
    "run": (["report", "run"], 0, panels(1) | {"percentiles": alone(JOURNALED)}),
    "wrong": (["report", "wrong"], 0, panels(1) | {"percentiles": alone(MISTAKES)}),
    "sweep": (["report", "sweep"], 0, panels(1) | {"percentiles": alone(SWEEP), "sweep": SWEPT}),
    "overlaid": (["report", "run", "wrong", "sweep"], 0, panels(3) | {
        "percentiles": ["floor", JOURNALED, "floor", MISTAKES, "floor", SWEEP], "sweep": SWEPT}),
    # Of five runs each, the typical one has a name, and lies above the others.
    "compared": (["compare", "before", "same", "slower"], 1, panels(3) | {
        "forest-0": METRICS, "forest-1": METRICS,
        "percentiles": [""] * 12 + ["floor", "before", "floor", "same", "floor", "slower"]}),
}

# Every text with its place on the screen, by chart: which of them touch, or leave their chart.
AUDIT = """
const found = [];
for (const chart of document.querySelectorAll('svg.chart')) {
  const frame = chart.getBoundingClientRect();
  const texts = [...chart.querySelectorAll('text')].map(text => [text, text.getBoundingClientRect()]);
  texts.forEach(([text, box], index) => {
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 ||
        box.bottom > frame.bottom + 1)
      found.push(`${chart.id}: "${text.textContent}" leaves the chart`);
    for (const [other, place] of texts.slice(index + 1))
      if (box.left < place.right && place.left < box.right &&
          box.top + 3 < place.bottom && place.top + 3 < box.bottom)
        found.push(`${chart.id}: "${text.textContent}" touches "${other.textContent}"`);
  });
}
if (document.documentElement.scrollWidth > document.documentElement.clientWidth)
  found.push('the page is wider than the window');
const answer = document.createElement('pre');
answer.id = 'audit';
answer.textContent = JSON.stringify({ found, height: document.documentElement.scrollHeight });
document.body.append(answer);
"""


def fail(text):
    sys.exit(f"tests/report.py: {text}")


def command(arguments, code, cwd):
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != code:
        fail(f"{arguments} ended with {done.returncode}, not {code}: {done.stdout}{done.stderr}")
    return done.stdout


def browse(home, page, *options):
    """Runs the browser to its end, and returns what it said and printed."""
    arguments = [
        sys.argv[4], "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--hide-scrollbars", "--no-first-run", "--disable-extensions", "--disable-sync",
        "--disable-background-networking", "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
        f"--user-data-dir={home}", *options, page.resolve().as_uri()]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        try:
            out, said = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            fail(f"the browser still runs after {PATIENCE_SECONDS} s: {arguments}")
        finally:
            # Its helpers are in its own process group; most have gone with it.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    complaints = [line for line in said.splitlines() if ":CONSOLE" in line]
    if process.returncode != 0 or complaints:
        fail(f"{page}: the browser ended with {process.returncode}: {complaints or said}")
    return out


def charts_of(page):
    """By the chart's id, the names of its lines: the page must be well-formed for that."""
    root = xml.fromstring(page.removeprefix("<!DOCTYPE html>"))
    charts = {}
    for chart in root.iter():
        if chart.tag.removeprefix(SVG) == "svg":
            names = [part.get("data-series") for part in chart.iter()]
            charts[chart.get("id")] = [name for name in names if name is not None]
            parts = [part.tag.removeprefix(SVG) for part in list(chart)[:2]]
            if parts != ["title", "desc"] or chart.get("role") != "img":
                fail(f"{chart.get('id')} does not say what it is to those who do not see it")
    return charts


def brightness(picture):
    """Of the corner's colour, and the size of the picture: no filter changes the first pixel."""
    data = picture.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    chunks, at = b"", 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            chunks += data[at + 8:at + 8 + length]
        at += 12 + length
    first = zlib.decompressobj().decompress(chunks, 4)
    return sum(first[1:4]) / 3, (width, height)


def look_at(name, page, pictures, home):
    text = page.read_text()
    expected = PAGES[name][2]
    charts = charts_of(text)
    if charts != expected:
        fail(f"{page} has the charts {charts}, not {expected}")
    audited = home / f"{name}-audited.html"
    audited.write_text(text.replace("</body>", f"<script>{AUDIT}</script></body>"))
    dom = browse(home / "profile", audited, "--dump-dom", "--window-size=1200,900")
    answer = re.search(r'<pre id="audit">(.*?)</pre>', dom, re.S)
    if not answer:
        fail(f"{page}: the browser did not run to the page's end: {dom[:2000]}")
    answer = json.loads(answer[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    if answer["found"]:
        fail(f"{page}: " + "; ".join(answer["found"]))
    if dom.count("<svg ") != len(expected):
        fail(f"{page}: the browser shows {dom.count('<svg ')} charts, not {len(expected)}")
    for scheme, number in (("light", LIGHT), ("dark", DARK)):
        picture = pictures / f"{name}-{scheme}.png"
        size = f"--window-size=1200,{min(answer['height'], 8000)}"
        browse(home / "profile", page, f"--blink-settings=preferredColorScheme={number}", size,
                f"--screenshot={picture.resolve()}")
        bright, (width, height) = brightness(picture)
        if (bright > 128) != (scheme == "light") or width != 1200 or height < 900:
            fail(f"{picture}: {width} × {height}, brightness {bright}")


def main():
    loadgen, sample_runs, pictures = (pathlib.Path(path).resolve() for path in sys.argv[1:4])
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        home = pathlib.Path(home)
        command([sample_runs, home], 0, home)
        for name, (arguments, code, _) in PAGES.items():
            page = pictures / f"{name}.html"
            command([loadgen, *arguments, "--out", page], code, home)
            look_at(name, page, pictures, home)
    charts = sum(len(charts) for _, _, charts in PAGES.values())
    print(f"{len(PAGES)} pages with {charts} charts, in both colour schemes: {pictures}")


main()

"""Reads latency.hlog and latency.hgrm of a directory: both must say what summary.json says."""

import json
import sys
from pathlib import Path

from hdrh.log import HistogramLogReader
from hdrh.histogram import HdrHistogram

NAMES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "p99_99": 99.99, "max": 100.0}
DAY = 24 * 3600 * 10**9


def fail(what):
    sys.exit(f"tests/hdr.py: {what}")


def logged(path):
    """All intervals together, and how many there are."""
    total = HdrHistogram(1, DAY, 3)
    reader = HistogramLogReader(str(path), total)
    intervals = 0
    while True:
        interval = reader.get_next_interval_histogram()
        if interval is None:
            return total, intervals
        total.add(interval)
        intervals += 1


def percentile_file(path):
    """Percentile and microseconds of each row, and the footer's words."""
    rows, footer = [], ""
    for number, line in enumerate(path.read_text().splitlines()):
        if line.startswith("#"):
            footer += line
        elif number > 1:
            value, quantile, count = line.split()[:3]
            rows.append((float(quantile), float(value), int(count)))
    return rows, footer


def main():
    directory = Path(sys.argv[1])
    summary = json.loads((directory / "summary.json").read_text())
    expected = summary["latency_ns"]
    total, intervals = logged(directory / "latency.hlog")
    if intervals < len(summary["intervals"]):
        fail(f"{intervals} intervals in the log, {len(summary['intervals'])} in the summary")
    if total.get_total_count() != expected["count"] or expected["count"] == 0:
        fail(f"{total.get_total_count()} latencies in the log, {expected['count']} in the summary")
    for name, percentile in NAMES.items():
        # Where a percentile falls between two latencies, implementations round to one or the other.
        one = 100 / expected["count"]
        ranks = [max(percentile - one, 0), percentile, min(percentile + one, 100)]
        read = [total.get_value_at_percentile(rank) for rank in ranks]
        if expected[name] not in read:
            fail(f"{name} is about {read[1]} in the log, {expected[name]} in the summary")
    rows, footer = percentile_file(directory / "latency.hgrm")
    if rows != sorted(rows) or rows[-1][2] != expected["count"]:
        fail("the percentile file does not rise to all latencies")
    for quantile, micros, count in rows:
        # The row's own count says which value it is, whatever was rounded in its percentile.
        read = total.get_value_at_percentile(100.0 * count / expected["count"])
        if abs(read / 1e3 - micros) > 0.0006:
            fail(f"{micros} µs at {quantile} in the percentile file, {read} ns in the log")
    if f"Total count    = {expected['count']:>12}]" not in footer:
        fail(f"the footer has another count: {footer}")
    print(f"{intervals} intervals, {len(rows)} percentiles, {expected['count']} latencies: equal")


main()

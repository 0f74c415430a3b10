#!/usr/bin/env bash
# The load generator's pages in a real browser, headless and without a network: what it complains
# about, whether every chart is there, whether texts stand clear of each other, and pictures in both
# colour schemes, in report-pages/ below the target directory. Needs python3, and chromium from the
# package of that name, but no rights.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/beginnings.sh
with_browser
target=${CARGO_TARGET_DIR:-target}
# What `cargo test` makes of an example is a test, not the program.
cargo build -q -p loadgen --bins --examples
exec python3 tests/report.py "$target/debug/loadgen" "$target/debug/examples/sample_runs" \
    "$target/report-pages" "$browser"

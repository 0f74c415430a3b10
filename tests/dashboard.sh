#!/usr/bin/env bash
# The page of a real node in a real browser, headless: rates move under load, a book fills, an order
# is found by its token, operating takes the role for it, and the end of the node is told. Pictures
# of every panel in both colour schemes are in dashboard-pages/ below the target directory. Needs
# python3, and chromium from the package of that name, but no rights.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/beginnings.sh
with_browser
target=${CARGO_TARGET_DIR:-target}
if [[ -z ${RINGFRAME_PROGRAM:-} || -z ${LOADGEN_PROGRAM:-} ]]; then
    cargo build -q -p ringframe -p loadgen --bins
fi
exec python3 tests/dashboard.py "${RINGFRAME_PROGRAM:-$target/debug/ringframe}" \
    "${LOADGEN_PROGRAM:-$target/debug/loadgen}" "$target/dashboard-pages" "$browser"

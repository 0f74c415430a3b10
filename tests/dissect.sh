#!/usr/bin/env bash
# What goes over the wires, seen by somebody else: Wireshark's dissectors of SoupBinTCP,
# OUCH 4.2 and MoldUDP64. Needs python3, and tshark from the package of that name, but no rights.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v tshark >/dev/null; then
    echo "tests/dissect.sh needs tshark: install the package of that name"
    exit 1
fi
# All of the workspace is named to share its build.
# ./test has one already.
program=${RINGFRAME_PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/ringframe}
[[ -n ${RINGFRAME_PROGRAM:-} ]] || cargo build -q --bin ringframe
exec python3 tests/dissect.py "$program"

#!/usr/bin/env bash
# What the load generator writes, read back by an implementation of HdrHistogram that nobody here
# wrote: hdrhistogram from Python's registry, in a virtual environment below the target directory
# that later runs find there. Needs python3 with venv.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/beginnings.sh
with_python "HdrHistogram reader" hdr-reader hdrhistogram==0.10.3
# ./test has one already.
program=${LOADGEN_PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/loadgen}
[[ -n ${LOADGEN_PROGRAM:-} ]] || cargo build -q -p loadgen --bin loadgen
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
"$program" echo --rate 20000 --duration 500ms --sessions 2 --polite --quiet --out "$results" >/dev/null
"$home/bin/python" tests/hdr.py "$results"

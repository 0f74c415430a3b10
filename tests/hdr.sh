#!/usr/bin/env bash
# What the load generator writes, read back by an implementation of HdrHistogram that nobody here
# wrote: hdrhistogram from Python's registry, in a virtual environment below the target directory
# that later runs find there. Needs python3 with venv.
set -euo pipefail
cd "$(dirname "$0")/.."
package=hdrhistogram==0.10.3
home=${CARGO_TARGET_DIR:-target}/hdr-reader
if [[ $(cat "$home/installed" 2>/dev/null) != "$package" ]]; then
    rm -rf "$home"
    if ! { python3 -m venv "$home" && "$home/bin/pip" install -q --disable-pip-version-check \
        --retries 1 --timeout 15 "$package"; } >"$home.log" 2>&1; then
        echo "SKIPPED, HdrHistogram reader: cannot install $package: $(tail -n 1 "$home.log")"
        # Elsewhere a machine may have no network; there it would hide what nobody looked at.
        [[ -z ${CI:-} ]]
        exit
    fi
    echo "$package" >"$home/installed"
fi
# ./test has one already.
program=${LOADGEN_PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/loadgen}
[[ -n ${LOADGEN_PROGRAM:-} ]] || cargo build -q -p loadgen --bin loadgen
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
"$program" echo --rate 20000 --duration 500ms --sessions 2 --polite --quiet --out "$results" >/dev/null
"$home/bin/python" tests/hdr.py "$results"

#!/usr/bin/env bash
# A pair of nodes on two networks of their own, joined by one wire that is cut, in one direction or
# both. Needs root, to make network namespaces, and ip of iproute2.
set -euo pipefail
cd "$(dirname "$0")/.."
if ((EUID != 0)) || ! ip netns list >/dev/null 2>&1; then
    echo "SKIPPED, network namespaces: only root makes them, with ip of iproute2"
    # Elsewhere there may be none; there it would hide what nobody looked at.
    [[ -z ${CI:-} ]]
    exit
fi
program=${RINGFRAME_PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/ringframe}
loadgen=${LOADGEN_PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/loadgen}
# ./test has them already.
[[ -n ${RINGFRAME_PROGRAM:-} ]] || cargo build -q -p ringframe -p loadgen
python3 tests/netns.py "$program" "$loadgen"

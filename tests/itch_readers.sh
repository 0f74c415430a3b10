#!/usr/bin/env bash
# The market's messages against readers of ITCH 5.0 that nobody here wrote: itch-book and itchfeed,
# from Python's registry, in a virtual environment below the target directory that later runs find
# there. Needs python3 with venv. Another flow: tests/itch_readers.sh SEED.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/beginnings.sh
with_python "ITCH readers" itch-readers itch-book==0.2.1 itchfeed==1.6.4
# All of the workspace is named to share its build.
# ./test has one already.
program=${RINGFRAME_PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/ringframe}
[[ -n ${RINGFRAME_PROGRAM:-} ]] || cargo build -q --bin ringframe
exec "$home/bin/python" tests/itch_readers.py "$program" "$@"

#!/usr/bin/env bash
# The market's messages against readers of ITCH 5.0 that nobody here wrote: itch-book and itchfeed,
# from Python's registry, in a virtual environment below the target directory that later runs find
# there. Needs python3 with venv. Another flow: tests/itch_readers.sh SEED.
set -euo pipefail
cd "$(dirname "$0")/.."
readers=(itch-book==0.2.1 itchfeed==1.6.4)
home=${CARGO_TARGET_DIR:-target}/itch-readers
if [[ $(cat "$home/installed" 2>/dev/null) != "${readers[*]}" ]]; then
    rm -rf "$home"
    if ! { python3 -m venv "$home" && "$home/bin/pip" install -q --disable-pip-version-check \
        --retries 1 --timeout 15 "${readers[@]}"; } >"$home.log" 2>&1; then
        echo "SKIPPED, ITCH readers: cannot install ${readers[*]}: $(tail -n 1 "$home.log")"
        exit 0
    fi
    echo "${readers[*]}" >"$home/installed"
fi
# All of the workspace is named to share its build.
# ./test has one already.
program=${RINGFRAME_PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/ringframe}
[[ -n ${RINGFRAME_PROGRAM:-} ]] || cargo build -q --bin ringframe
exec "$home/bin/python" tests/itch_readers.py "$program" "$@"

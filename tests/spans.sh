#!/usr/bin/env bash
# Spans of sampled orders, read by OpenTelemetry's own definitions: opentelemetry-proto from
# Python's registry, in a virtual environment below the target directory that later runs find there.
# Needs python3 with venv.
set -euo pipefail
cd "$(dirname "$0")/.."
package=opentelemetry-proto==1.45.2
home=${CARGO_TARGET_DIR:-target}/spans-reader
if [[ $(cat "$home/installed" 2>/dev/null) != "$package" ]]; then
    rm -rf "$home"
    if ! { python3 -m venv "$home" && "$home/bin/pip" install -q --disable-pip-version-check \
        --retries 1 --timeout 15 "$package"; } >"$home.log" 2>&1; then
        echo "SKIPPED, reader of spans: cannot install $package: $(tail -n 1 "$home.log")"
        # Elsewhere a machine may have no network; there it would hide what nobody looked at.
        [[ -z ${CI:-} ]]
        exit
    fi
    echo "$package" >"$home/installed"
fi
# ./test has one already.
program=${RINGFRAME_PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/ringframe}
[[ -n ${RINGFRAME_PROGRAM:-} ]] || cargo build -q --bin ringframe
exec "$home/bin/python" tests/spans.py "$program"

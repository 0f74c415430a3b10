#!/usr/bin/env bash
# The archive against a server that speaks S3: moto's, from Python's registry, in a virtual
# environment below the target directory that later runs find there. Needs python3 with venv. All of
# the workspace is named to share its build.
set -euo pipefail
cd "$(dirname "$0")/.."
server='moto[server]==5.2.5'
home=${CARGO_TARGET_DIR:-target}/s3-server
if [[ $(cat "$home/installed" 2>/dev/null) != "$server" ]]; then
    rm -rf "$home"
    if ! { python3 -m venv "$home" && "$home/bin/pip" install -q --disable-pip-version-check \
        --retries 1 --timeout 15 "$server"; } >"$home.log" 2>&1; then
        echo "SKIPPED, S3 was not tested: cannot install $server: $(tail -n 1 "$home.log")"
        exit 0
    fi
    echo "$server" >"$home/installed"
fi
exec "$home/bin/python" tests/s3_server.py cargo test -q --workspace --test journal s3

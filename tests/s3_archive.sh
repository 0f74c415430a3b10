#!/usr/bin/env bash
# The archive against a server that speaks S3: moto's, from Python's registry, in a virtual
# environment below the target directory that later runs find there. Needs python3 with venv. All of
# the workspace is named to share its build.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/beginnings.sh
with_python S3 s3-server 'moto[server]==5.2.5'
exec "$home/bin/python" tests/s3_server.py cargo test -q --workspace --test journal s3

#!/bin/sh
# The archive against a server that speaks S3: moto's, on a loopback port. Takes `moto_server` from
# MOTO_SERVER or the path; without it the test is skipped, loudly. To get it:
#   python3 -m venv target/moto && target/moto/bin/pip install 'moto[server]'
set -eu
cd "$(dirname "$0")/.."
server=${MOTO_SERVER:-$(command -v moto_server || echo target/moto/bin/moto_server)}
if ! [ -x "$server" ]; then
    echo "SKIPPED: s3_archive: no moto_server; see the top of tests/s3_archive.sh" >&2
    exit 0
fi
port=${S3_PORT:-5617}
"$server" -H 127.0.0.1 -p "$port" >/dev/null 2>&1 &
pid=$!
trap 'kill $pid' EXIT
tries=0
until curl -sf -X PUT "http://127.0.0.1:$port/ringframe" >/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || { echo "the S3 server did not start" >&2; exit 1; }
    sleep 0.2
done
AWS_ENDPOINT="http://127.0.0.1:$port" AWS_ALLOW_HTTP=true AWS_REGION=us-east-1 \
    AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
    RINGFRAME_TEST_S3=s3://ringframe/some/prefix \
    cargo test -q -p ringframe-journal --test s3

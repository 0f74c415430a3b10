#!/usr/bin/env bash
# What Prometheus makes of a node: the alert rules by promtool, and a server that scrapes a pair
# under load, whose figures must be the load generator's own. Needs python3, and prometheus and
# promtool from the package `prometheus`, but no rights.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in prometheus promtool; do
    if ! command -v "$tool" >/dev/null; then
        echo "tests/prometheus.sh needs $tool: install the package prometheus"
        exit 1
    fi
done
promtool check config ops/prometheus/prometheus.yml >/dev/null
promtool test rules ops/prometheus/ringframe.test.yml >/dev/null || {
    promtool test rules ops/prometheus/ringframe.test.yml
    exit 1
}
target=${CARGO_TARGET_DIR:-target}
# ./test has them already.
ringframe=${RINGFRAME_PROGRAM:-$target/debug/ringframe}
loadgen=${LOADGEN_PROGRAM:-$target/debug/loadgen}
[[ -n ${RINGFRAME_PROGRAM:-} ]] || cargo build -q --workspace --bins
exec python3 tests/prometheus.py "$ringframe" "$loadgen"

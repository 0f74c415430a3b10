#!/usr/bin/env bash
# Every command that the pages tell a reader to type, typed: README, tutorial, runbooks and the rest,
# with the programs that ./test has built. Needs python3; as root, or where plain users may have
# network namespaces, in one of its own, so that the pages' ports are free. One page: tests/docs.sh
# docs/TUTORIAL.md.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
# What `cargo test` makes of an example is a test, not the program; all of the workspace is named to
# share its build.
cargo build -q --workspace --bins --examples
exec python3 tests/docs.py "$target/debug" "$@"

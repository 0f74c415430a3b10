#!/usr/bin/env bash
# The Debian package, made of the programs that ./test has: what is in it is where it belongs, what
# it holds works, and its scripts are scripts. Needs dpkg-deb, but no rights; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v dpkg-deb >/dev/null; then
    echo "skipped: there is no dpkg-deb"
    exit 0
fi
target=${CARGO_TARGET_DIR:-target}
[[ -n ${RINGFRAME_PROGRAM:-} ]] || cargo build -q --workspace --bins
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Their lines for debuggers are most of their size.
mkdir "$work/programs"
for program in ringframe loadgen; do
    strip -o "$work/programs/$program" "$target/debug/$program"
done
# Uncompressed: it is looked at once.
DPKG_DEB_COMPRESSOR_TYPE=none ops/package.sh "$work/programs" "$work" >/dev/null
package=("$work"/ringframe_*.deb)

fail() {
    echo "tests/package.sh: $1"
    exit 1
}
contents=$(dpkg-deb --contents "${package[0]}")
while read -r mode path; do
    grep -qE "^$mode root/root .* \.$path$" <<<"$contents" || fail "no $path with the mode $mode:
$contents"
done <<'LIST'
-rwxr-xr-x /usr/bin/ringframe
-rwxr-xr-x /usr/bin/loadgen
-rw-r--r-- /usr/lib/systemd/system/ringframe@.service
-rw-r--r-- /usr/lib/systemd/system/ringframe-nightly.service
-rw-r--r-- /usr/lib/systemd/system/ringframe-nightly.timer
-rw-r--r-- /usr/lib/sysusers.d/ringframe.conf
-rw-r----- /etc/ringframe/primary.toml
-rw-r----- /etc/ringframe/standby.toml
-rw-r--r-- /usr/share/man/man1/ringframe.1.gz
-rw-r--r-- /usr/share/man/man1/ringframe-serve.1.gz
-rw-r--r-- /usr/share/man/man1/ringframe-journal-verify.1.gz
-rw-r--r-- /usr/share/bash-completion/completions/ringframe
-rw-r--r-- /usr/share/zsh/vendor-completions/_ringframe
-rw-r--r-- /usr/share/fish/vendor_completions.d/ringframe.fish
-rw-r--r-- /usr/share/ringframe/prometheus/ringframe.rules.yml
-rw-r--r-- /usr/share/ringframe/grafana/ringframe.json
-rw-r--r-- /usr/share/doc/ringframe/copyright
LIST
dpkg-deb --extract "${package[0]}" "$work/root"
dpkg-deb --control "${package[0]}" "$work/control"
for field in Version Architecture Depends; do
    [[ -n $(dpkg-deb --field "${package[0]}" "$field") ]] || fail "the control file has no $field"
done
for script in postinst postrm; do
    sh -n "$work/control/$script" || fail "$script is no script"
done
root=$work/root
for file in primary standby; do
    "$root/usr/bin/ringframe" check-config --config "$root/etc/ringframe/$file.toml" >/dev/null ||
        fail "$file.toml is wrong"
done
# What a settings file offers in comments is right, too, but for addresses that other machines have.
for file in primary standby; do
    sed -n 's/^#\([a-z_.]* = .*\)/\1/p' "$root/etc/ringframe/$file.toml" |
        grep -vE '^(users|admin|admin_tokens|listen|market_data|glimpse) ' >"$work/$file.toml"
    "$root/usr/bin/ringframe" check-config --config "$work/$file.toml" >/dev/null 2>&1 ||
        fail "what $file.toml offers is wrong"
done
zcat "$root/usr/share/man/man1/ringframe-serve.1.gz" | grep -q '^\.TH' || fail "no manual page"
bash -c '
    source "$1"
    COMP_WORDS=(ringframe journal ver) COMP_CWORD=2 COMP_LINE="ringframe journal ver"
    _ringframe ringframe ver journal
    [[ " ${COMPREPLY[*]} " == *" verify "* ]]
' - "$root/usr/share/bash-completion/completions/ringframe" || fail "bash does not complete"
echo "$(wc -l <<<"$contents") files, $(du -h "${package[0]}" | cut -f1) of debug programs"

#!/usr/bin/env bash
# A Debian package: programs, units, alert rules, manual pages, completions, a user to run as.
# Needs dpkg-deb, and programs that were built:
#
#   cargo build --release --workspace && ops/package.sh target/release target
#
# The second directory gets ringframe_VERSION_ARCHITECTURE.deb.
set -euo pipefail
programs=$(realpath "${1:?the directory of the programs, such as target/release}")
into=$(realpath "${2:?the directory for the package}")
cd "$(dirname "$0")/.."
version=$("$programs/ringframe" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
# What the programs are linked with says how old a system may be.
libc=$(grep -aoE 'GLIBC_2\.[0-9]+' "$programs/ringframe" "$programs/loadgen" | cut -d_ -f2 | sort -uV | tail -n 1)

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
install -Dm755 -t "$root/usr/bin" "$programs/ringframe" "$programs/loadgen"
install -Dm644 -t "$root/usr/lib/systemd/system" ops/*.service ops/*.timer
install -Dm644 ops/sysusers.conf "$root/usr/lib/sysusers.d/ringframe.conf"
install -Dm644 -t "$root/usr/share/ringframe/prometheus" ops/prometheus/*.yml
install -Dm644 -t "$root/usr/share/ringframe/grafana" ops/grafana/*.json
install -Dm644 -t "$root/usr/share/doc/ringframe" README.md CHANGELOG.md
install -Dm644 -t "$root/usr/share/doc/ringframe/docs" docs/*.md
install -Dm644 LICENSE-MIT "$root/usr/share/doc/ringframe/copyright"
cat LICENSE-APACHE >>"$root/usr/share/doc/ringframe/copyright"
# A leader's and a standby's settings, to be looked at: neither is started by itself.
install -Dm640 -t "$root/etc/ringframe" ops/etc/primary.toml ops/etc/standby.toml

"$programs/ringframe" man "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*
complete() { # shell, file
    install -d "$(dirname "$root$2")"
    "$programs/ringframe" completions "$1" >"$root$2"
}
complete bash /usr/share/bash-completion/completions/ringframe
complete zsh /usr/share/zsh/vendor-completions/_ringframe
complete fish /usr/share/fish/vendor_completions.d/ringframe.fish

install -d "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<END
Package: ringframe
Version: $version
Architecture: $architecture
Maintainer: the Ringframe maintainers <maintainers@example.invalid>
Depends: libc6 (>= $libc), libgcc-s1
Recommends: systemd
Section: net
Priority: optional
Description: in-memory business logic processor, and an exchange on it
 Many clients' commands in one total order, journaled, replicated, run through
 single-threaded deterministic logic, replayable to the byte.
END
printf '%s\n' /etc/ringframe/primary.toml /etc/ringframe/standby.toml >"$root/DEBIAN/conffiles"
install -m755 /dev/stdin "$root/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers ringframe.conf
    elif ! getent passwd ringframe >/dev/null; then
        useradd --system --user-group --home-dir /var/lib/ringframe --shell /usr/sbin/nologin ringframe
    fi
    chgrp -R ringframe /etc/ringframe
    chmod 750 /etc/ringframe
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
END
# Nodes go on with the program that they were started with; `ringframe nightly` restarts them in turn.
install -m755 /dev/stdin "$root/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
END
# Nothing of it belongs to who built it.
dpkg-deb --root-owner-group --build "$root" "$into/ringframe_${version}_$architecture.deb"

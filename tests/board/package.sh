#!/usr/bin/env bash
# Installs, upgrades, removes and purges the Debian package in a fresh Debian 12 below a directory of
# its own: tests/board/package.sh PACKAGE.deb   (root; a minute)
#
# No systemd runs there, so the service is not started: that is the virtual board's to show. Seen
# here: the package's dependencies suffice, its user and modes are right, the configuration that
# somebody changed outlives an upgrade, recordings outlive a purge.
set -euo pipefail
package=$(realpath "$1")
work=$(mktemp -d)
root=$work/root
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$work"' EXIT
fail() { echo "package: $*" >&2; exit 1; }
in_root() { chroot "$root" env DEBIAN_FRONTEND=noninteractive "$@"; }

mmdebstrap --quiet --variant=minbase --include=systemd,libstdc++6 bookworm "$root" >/dev/null
mount -t proc proc "$root/proc"
cp "$package" "$root/holdfast.deb"

in_root dpkg -i /holdfast.deb >/dev/null || fail "it does not install on Debian 12"
[ "$(in_root stat -c '%U:%G %a' /etc/holdfast/holdfast.toml)" = "root:holdfast 640" ] || fail "the configuration can be read by others"
[ "$(in_root stat -c '%U:%G %a' /var/lib/holdfast)" = "holdfast:holdfast 750" ] || fail "the data directory is not its own"
in_root id -nG holdfast | grep -qw video || fail "its user is not in the group video"
in_root holdfast check-config /etc/holdfast/holdfast.toml >/dev/null || fail "its first configuration is faulty"
[ "$(in_root systemctl is-enabled holdfast)" = enabled ] || fail "the service is not enabled"
[ "$(in_root systemctl is-enabled holdfast-health)" = enabled ] || fail "the health unit is not enabled"
in_root dpkg --verify holdfast | grep -v ' c /etc' && fail "files differ from the package's"

in_root sh -c 'systemd-analyze verify --man=no /usr/lib/systemd/system/holdfast*' 2>&1 | grep holdfast && fail "a unit is faulty"
# What the README's section for installers says, as far as it goes without systemd.
in_root install -D -m 644 -t /etc/systemd/system.conf.d /usr/share/doc/holdfast/examples/system.conf.d/holdfast-watchdog.conf || fail "the watchdog's drop-in is not there"
in_root install -D -m 644 -t /etc/systemd/journald.conf.d /usr/share/doc/holdfast/examples/journald.conf.d/holdfast.conf || fail "the journal's drop-in is not there"
in_root holdfast recovery log --data-dir /var/lib/holdfast || fail "there is no recovery log to read"
in_root holdfast health --config /etc/holdfast/holdfast.toml | grep -q "no answer" || fail "a daemon that does not run is well"
rm "$root/etc/systemd/system.conf.d/holdfast-watchdog.conf" "$root/etc/systemd/journald.conf.d/holdfast.conf"

echo 'data_dir = "/var/lib/holdfast" # mine' >"$root/etc/holdfast/holdfast.toml"
mkdir -p "$root/var/lib/holdfast/ring"
echo footage >"$root/var/lib/holdfast/ring/000000.mp4"
mkdir "$work/newer"
dpkg-deb -R "$package" "$work/newer"
sed -i 's/^Version: .*/&+newer/' "$work/newer/DEBIAN/control"
echo '# a newer default' >>"$work/newer/etc/holdfast/holdfast.toml"
dpkg-deb --root-owner-group -Znone -b "$work/newer" "$root/newer.deb" >/dev/null
in_root dpkg -i --force-confdef --force-confold /newer.deb >/dev/null || fail "it does not upgrade"
grep -q mine "$root/etc/holdfast/holdfast.toml" || fail "an upgrade replaced the configuration"
[ "$(in_root stat -c '%U:%G %a' /etc/holdfast/holdfast.toml)" = "root:holdfast 640" ] || fail "an upgrade opened the configuration"

in_root dpkg -r holdfast >/dev/null || fail "it does not remove"
[ ! -e "$root/usr/bin/holdfast" ] || fail "the program stays"
grep -q mine "$root/etc/holdfast/holdfast.toml" || fail "removing took the configuration"
in_root dpkg -P holdfast >"$work/said" 2>&1 || fail "it does not purge"
[ ! -e "$root/etc/holdfast" ] || fail "a purge leaves the configuration"
[ "$(cat "$root/var/lib/holdfast/ring/000000.mp4")" = footage ] || fail "a purge deleted footage"
grep -q "recordings are kept" "$work/said" || fail "a purge does not say that footage stays"
[ -z "$(find "$root/etc/systemd" "$root/var/lib/systemd" -name '*holdfast*')" ] || fail "a purge leaves parts of the service"
echo "package: $(basename "$package") installs, upgrades, removes and purges"

# Run on the board with the package installed: upgrades it, removes it, purges it. What people
# changed outlives an upgrade, what was recorded outlives a purge.
set -eu
export DEBIAN_FRONTEND=noninteractive
fail() { echo "package: $*"; exit 1; }
pid() { systemctl show --property MainPID --value holdfast; }
cd /run

[ "$(stat -c '%U:%G %a' /etc/holdfast/holdfast.toml)" = "root:holdfast 640" ] || fail "the configuration can be read by others"
[ "$(stat -c '%U:%G %a' /var/lib/holdfast)" = "holdfast:holdfast 750" ] || fail "the data directory is not its own"
id -nG holdfast | grep -qw video || fail "its user is not in the group video"
for unit in holdfast holdfast-health; do
    [ "$(systemctl is-enabled $unit)" = enabled ] || fail "$unit is not enabled"
done
! dpkg --verify holdfast | grep -v ' c /etc' || fail "files differ from the package's"

before=$(pid)
dpkg-deb -R /mnt/holdfast.deb newer
sed -i 's/^Version: .*/&+newer/' newer/DEBIAN/control
echo '# a newer default' >>newer/etc/holdfast/holdfast.toml
dpkg-deb --root-owner-group -Znone -b newer newer.deb >/dev/null
rm -r newer
dpkg -i --force-confdef --force-confold newer.deb >/dev/null 2>&1 || fail "it does not upgrade"
rm newer.deb
[ "$(systemctl is-active holdfast)" = active ] || fail "it does not run after an upgrade"
[ "$(pid)" != "$before" ] || fail "an upgrade leaves the old daemon running"
grep -q account.viewer /etc/holdfast/holdfast.toml || fail "an upgrade replaced the configuration"
[ "$(stat -c '%U:%G %a' /etc/holdfast/holdfast.toml)" = "root:holdfast 640" ] || fail "an upgrade opened the configuration"

dpkg -r holdfast >/dev/null || fail "it does not remove"
[ ! -e /usr/bin/holdfast ] || fail "the program stays"
[ "$(systemctl is-active holdfast)" != active ] || fail "it runs on without its program"
grep -q account.viewer /etc/holdfast/holdfast.toml || fail "removing took the configuration"

dpkg -P holdfast >said 2>&1 || fail "it does not purge"
[ ! -e /etc/holdfast ] || fail "a purge leaves the configuration"
ls /var/lib/holdfast/ring/*.mp4 >/dev/null || fail "a purge deleted footage"
grep -q "recordings are kept" said || fail "a purge does not say that footage stays"
[ -z "$(find /etc/systemd /var/lib/systemd -name '*holdfast*' ! -path '*.conf.d/*')" ] || fail "a purge leaves parts of the service"

#!/usr/bin/env bash
# Makes a slot: image/slot.sh BOARD OUT
# OUT is the raw image of one root partition: ext4, its dm-verity tree, and in the last 4 KiB a footer that names
# both. Beside it `OUT.facts`: version, root hash, sizes. Needs root (owners of files); mounts nothing.
#   DEB      the arm64 package (target/deb/holdfast_*_arm64.deb)
#   VERSION  of the image (the package's)
#   MINIMUM  the oldest version that may be installed from it (VERSION's first release, 0.1.0)
#   KEYS     the directory of the certificate that bundles are checked with (target/image/keys)
#   EXTRA    a directory laid over the root: for tests alone
#   ROOT     what to use in place of root.sh's directory: for tests alone
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
. image/board.sh
board_facts "$1"
out=$2
root_made=${ROOT:-$(image/root.sh)}
deb=${DEB:-$(find target/deb -name 'holdfast_*_arm64.deb' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)}
[ -e "$deb" ] || { echo "image: no package in target/deb; make deb-arm64 makes it" >&2; exit 1; }
version=${VERSION:-$(dpkg-deb -f "$deb" Version)}
minimum=${MINIMUM:-0.1.0}
keys=${KEYS:-target/image/keys}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1764460800)}
export SOURCE_DATE_EPOCH=$epoch E2FSPROGS_FAKE_TIME=$epoch MKE2FS_DETERMINISTIC=1
export PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d "${TMPDIR:-/tmp}/slot.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
mkdir "$root"
tar -C "$root" --numeric-owner --xattrs -xf "$root_made/root.tar"

# The kernel, and those of its modules that a board here can use.
release=$(ls "$root_made/kernel/lib/modules")
modules=$root/usr/lib/modules/$release
mkdir -p "$root/usr/lib/modules"
cp -a "$root_made/kernel/lib/modules/$release" "$modules"
rm -rf "$modules"/kernel/{sound,drivers/{gpu,infiniband,ata,target,hwmon,staging,iio,isdn,bluetooth,media/pci,media/dvb-frontends,media/tuners,net/wireless,net/can}}
rm -rf "$modules"/kernel/{net/bluetooth,net/mac80211,net/wireless,fs/{ocfs2,gfs2,ceph,cifs,smb,nfs,nfsd,xfs,jfs,reiserfs,ubifs,f2fs}}
find "$modules/kernel/drivers/net/ethernet" -mindepth 1 -maxdepth 1 ! -name broadcom -exec rm -rf {} +
find "$modules/kernel/drivers/scsi" -mindepth 1 -maxdepth 1 ! -name 'scsi_mod*' ! -name 'scsi_common*' ! -name 'sd_mod*' -exec rm -rf {} +
depmod -b "$root" "$release"
install -m 0644 "$root_made"/kernel/boot/vmlinuz-* "$root/boot/vmlinuz"

# The package, without its scripts: what they do is done below, for a system that is not running.
dpkg-deb --fsys-tarfile "$deb" | tar -C "$root" --keep-directory-symlink -xf -
cp -a --no-preserve=ownership image/root/. "$root/"
install -m 0644 image/rauc/system.conf -D "$root/etc/rauc/system.conf"
sed -i "s/@COMPATIBLE@/$COMPATIBLE/" "$root/etc/rauc/system.conf"
install -m 0644 "$keys/ca.pem" -D "$root/usr/share/holdfast/update-ca.pem"
install -m 0644 "systemd/system.conf.d/$WATCHDOG.conf" -D "$root/usr/lib/systemd/system.conf.d/holdfast-watchdog.conf"
install -m 0644 systemd/journald.conf.d/holdfast.conf -D "$root/usr/lib/systemd/journald.conf.d/holdfast.conf"
mkdir -p "$root"/{data,boot/firmware} "$root/usr/lib/modules-load.d"
[ -z "$MODULES" ] || printf '%s\n' "$MODULES" >"$root/usr/lib/modules-load.d/board.conf"
cat >"$root/usr/lib/holdfast/image" <<FACTS
VERSION=$version
MINIMUM_VERSION=$minimum
COMPATIBLE=$COMPATIBLE
FACTS
sed -i -e '/^\(IMAGE_ID\|IMAGE_VERSION\)=/d' "$root/usr/lib/os-release"
printf 'IMAGE_ID=%s\nIMAGE_VERSION=%s\n' "$COMPATIBLE" "$version" >>"$root/usr/lib/os-release"
: >"$root/etc/machine-id"
# Of the builder: each device has its own in /etc.
rm -f "$root/var/lib/dbus/machine-id"
# /etc is as this image has it: no caches are made again at each boot.
: >"$root/etc/.updated"
echo holdfast >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
[ -z "${EXTRA:-}" ] || cp -a --no-preserve=ownership "$EXTRA/." "$root/"
systemd-sysusers --root="$root" 2>&1 | grep -v 'Conflict with earlier\|^Creating' || true
# The day on which a user was made is the day of the build.
sed -i -E 's/^([^:]*:[^:]*:)[0-9]+:/\120000:/' "$root/etc/shadow"
rm -f "$root"/etc/{passwd,group,shadow,gshadow}-
chown root:880 "$root/etc/holdfast" "$root/etc/holdfast/holdfast.toml"
chmod 0770 "$root/etc/holdfast"
chmod 0640 "$root/etc/holdfast/holdfast.toml"
systemctl --root="$root" preset-all --quiet 2>/dev/null
systemctl --root="$root" set-default --quiet multi-user.target
systemctl --root="$root" mask --quiet e2scrub_reap.service e2scrub_all.timer fstrim.timer dpkg-db-backup.timer \
    apt-daily.timer apt-daily-upgrade.timer getty@tty1.service serial-getty@ttyAMA0.service
# Consoles show the box's messages; there is no login.
mkdir -p "$root/etc/systemd/system-generators"
ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-getty-generator"

"$here/initramfs.sh" "$root" "$release" >"$root/boot/initrd"
"$here/checksum.py" "$root/boot/vmlinuz" "$root/boot/initrd"
# All of one date: what maintainer scripts made has that of the day on which the root was made.
find "$root" -print0 | xargs -0 touch -h -d "@$epoch"

# The file system, then the hash tree behind it, then the footer.
slot=$(partition_mib root-a)
fs=$((slot - 16))
id=$(printf %s "$COMPATIBLE $version" | sha256sum | sed 's/\(.\{8\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)\(.\{12\}\).*/\1-\2-\3-\4-\5/')
rm -f "$out"
# 4 KiB blocks whatever the size, as dm-verity has them; no journal on what is never written.
mke2fs -q -t ext4 -b 4096 -O '^has_journal,^metadata_csum_seed' -m 0 -L root -U "$id" \
    -E "hash_seed=$id,root_owner=0:0" -d "$root" "$out" "${fs}M"
# mke2fs copies the moment at which each file was made here into its inode.
"$here/fixed_times.sh" "$out" "$epoch"
used=$(du -sm --apparent-size "$root" | cut -f1)
printf 'VERSION=%s\nCOMPATIBLE=%s\nROOT_MIB=%s\nEPOCH=%s\n' "$version" "$COMPATIBLE" "$used" "$epoch" >"$out.facts"
truncate -s "${slot}M" "$out"
"$here/seal.sh" "$out" $fs
echo "$out: version $version, $used MiB of files, root hash $(sed -n 's/^HASH=//p' "$out.facts")"

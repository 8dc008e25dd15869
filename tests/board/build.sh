#!/usr/bin/env bash
# Makes what the virtual boards boot, once per machine, and says where it is:
#   tests/board/build.sh     (root, for mmdebstrap and the binfmt of qemu-user; minutes)
#
# In the directory that it prints: `kernel` (Debian's), `initramfs`, `root.ext4`, a Debian 12 for arm64
# with systemd and the agent of guest/, and the device trees of boards that qemu knows. Holdfast is
# not in it: its package is installed by the tests. The directory's name is a hash of this recipe, so
# that a changed recipe makes a new one.
set -euo pipefail
cd "$(dirname "$0")"
# The answer alone goes to standard output, whatever the programs below say.
exec 3>&1 1>&2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast-board
key=$(cat build.sh guest/{init,agent,agent.service,network} | sha256sum | cut -c1-16)
board=$cache/$key
if [ -e "$board/complete" ]; then
    echo "$board" >&3
    exit 0
fi
[ "$(id -u)" -eq 0 ] || { echo "board: the first run makes a root file system and needs root"; exit 1; }

# Other processors' programs run by qemu-user: what systemd-binfmt does where there is systemd.
binfmt=/proc/sys/fs/binfmt_misc
[ -e $binfmt/register ] || mount -t binfmt_misc none $binfmt
[ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -e "$board/complete" ]; then # made meanwhile by who held the lock
    echo "$board" >&3
    exit 0
fi
# What earlier recipes made, and what a run that was ended left behind.
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +7 -exec rm -rf --one-file-system {} +
work=$(mktemp -d "$cache/making.XXXXXX")
# Whatever is mounted below it is not ours to delete.
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

# In a mount namespace of its own, so that nothing stays mounted when it is interrupted.
unshare --mount mmdebstrap --quiet --arch=arm64 --variant=minbase --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-include=/usr/share/doc/holdfast/*' \
    --include=systemd,systemd-sysv,udev,kmod,libstdc++6,init-system-helpers,procps,busybox-static \
    bookworm "$root"

# The kernel's files alone: its package would have an initramfs made, which takes minutes here.
image=$(apt-cache depends linux-image-arm64:arm64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -1)
(cd "$work" && apt-get download -q "$image" && dpkg-deb -x linux-image-*.deb kernel)
release=$(ls "$work/kernel/lib/modules")
install -m 0644 "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz"
cp "$work"/kernel/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb "$work/"
modules=$root/usr/lib/modules/$release
mkdir -p "$root/usr/lib/modules"
mv "$work/kernel/lib/modules/$release" "$modules"
# What no board of ours has, and is most of it.
rm -rf "$modules"/kernel/{sound,drivers/{gpu,infiniband,scsi,net/ethernet,net/wireless}}
depmod -b "$root" "$release"

# The initramfs loads the disk's driver and hands over.
early=$work/early
mkdir -p "$early"/{bin,dev,proc,sys,root,modules}
cp "$root/bin/busybox" "$early/bin/busybox"
install -m 0755 guest/init "$early/init"
for module in virtio_pci virtio_blk sdhci-iproc bcm2835 mmc_block ext4 crc32c_generic; do
    modprobe -d "$root" -S "$release" --show-depends "$module" 2>/dev/null || true
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
    cp "$file" "$early/modules/"
    basename "$file" >>"$early/modules/order"
done
(cd "$early" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initramfs"

# What the test needs in the guest beside Debian itself.
install -m 0755 guest/agent "$root/usr/local/sbin/board-agent"
install -m 0644 guest/agent.service "$root/etc/systemd/system/board-agent.service"
install -m 0644 guest/network "$root/etc/systemd/network/eth.network"
ln -s /etc/systemd/system/board-agent.service "$root/etc/systemd/system/multi-user.target.wants/"
chroot "$root" systemctl enable --quiet systemd-networkd
chroot "$root" systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer
chroot "$root" passwd --quiet --delete root
echo board >"$root/etc/hostname"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*

mke2fs -q -t ext4 -L root -d "$root" "$work/root.ext4" 1G
rm -rf "$root" "$early" "$work/kernel" "$work"/*.deb
touch "$work/complete"
mv "$work/vmlinuz" "$work/kernel"
chmod 0755 "$work"
mv "$work" "$board"
echo "$board" >&3

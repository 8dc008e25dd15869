#!/usr/bin/env bash
# Writes the initramfs of a root to standard output: image/initramfs.sh ROOT KERNEL_RELEASE
# busybox, three programs of the root with their libraries, the modules that reach its disk, `initramfs/init`.
set -euo pipefail
root=$1 release=$2
here=$(cd "$(dirname "$0")" && pwd)
early=$(mktemp -d "${TMPDIR:-/tmp}/initramfs.XXXXXX")
trap 'rm -rf "$early"' EXIT
mkdir -p "$early"/{bin,lib,dev,proc,sys,run,root,modules,etc}
ln -s lib "$early/lib64"
: >"$early/etc/mtab"
cp "$root/bin/busybox" "$early/bin/"
install -m 0755 "$here/initramfs/init" "$early/init"

# with_libraries FILE: copies the libraries that it names, and those that they name.
with_libraries() {
    local name library
    for name in $(objdump -p "$1" 2>/dev/null | awk '$1 == "NEEDED" { print $2 }'); do
        [ ! -e "$early/lib/$name" ] || continue
        library=$(find "$root/usr/lib/aarch64-linux-gnu" -maxdepth 1 -name "$name" -print -quit)
        [ -n "$library" ] || continue
        cp -L "$library" "$early/lib/$name"
        with_libraries "$early/lib/$name"
    done
}
for program in usr/sbin/veritysetup usr/sbin/findfs usr/sbin/e2fsck; do
    cp "$root/$program" "$early/bin/"
    with_libraries "$root/$program"
done
cp -L "$root/lib/ld-linux-aarch64.so.1" "$early/lib/"

# Disks: virtio, SD (with the supplies and the reset line that they hang on), USB. Then what the root needs;
# then the watchdogs. What is built into the kernel has no file.
for module in virtio_pci virtio_blk regulator_gpio gpio-regulator fixed sdhci-iproc bcm2835 mmc_block \
    reset-raspberrypi xhci-pci uas usb-storage sd_mod dm-mod dm-verity ext4 crc32c_generic sha256-arm64 \
    sha256_generic overlay i6300esb bcm2835_wdt; do
    modprobe -d "$root" -S "$release" --show-depends "$module" 2>/dev/null || true
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
    cp "$file" "$early/modules/"
    basename "$file" >>"$early/modules/order"
done
find "$early" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0 -r touch -h -d "@$SOURCE_DATE_EPOCH"
(cd "$early" && find . -print0 | LC_ALL=C sort -z |
    cpio -0 -o -H newc --reproducible --quiet --owner=0:0 | gzip -9n)

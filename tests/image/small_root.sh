#!/usr/bin/env bash
# Makes a root like image/root.sh's in seconds: tests/image/small_root.sh DIR  (root; DIR as `ROOT` of slot.sh and disk.sh)
# It is the virtual boards' Debian (tests/board/build.sh) with the image's packages unpacked on top. Their maintainer
# scripts, which take most of a quarter of an hour under emulation, are not run: so it shows boot chain, slots and units,
# and is never flashed.
set -euo pipefail
cd "$(dirname "$0")/../.."
made=$1
boards=$(tests/board/build.sh)
work=$(mktemp -d "${TMPDIR:-/tmp}/small-root.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
mkdir -p "$root" "$work/debs/partial" "$made"/kernel/{boot,lib/modules} "$made/u-boot/usr/lib/u-boot"
export PATH=$PATH:/usr/sbin:/sbin
debugfs -R "rdump / $root" "$boards/root.ext4" >/dev/null 2>&1

read -ra packages < <(sed 's/#.*//' image/packages | xargs)
# The builder's own lists of arm64, which may be old: refreshed when something is not there any more.
download() {
    apt-get install -q -y --no-install-recommends --download-only -o Dir::State::status="$root/var/lib/dpkg/status" \
        -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::Cache::archives="$work/debs" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root "${packages[@]}" >"$work/apt.log" 2>&1
}
download || { apt-get update -q >/dev/null 2>&1 && download; } || { cat "$work/apt.log" >&2; exit 1; }
for package in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$root" --keep-directory-symlink -xf -
done

# The kernel where slot.sh looks for it, with the directories of drivers that the boards' Debian leaves out.
release=$(ls "$root/usr/lib/modules")
mv "$root/usr/lib/modules/$release" "$made/kernel/lib/modules/"
mkdir -p "$made/kernel/lib/modules/$release/kernel/drivers"/{scsi,net/ethernet}
cp "$boards/kernel" "$made/kernel/boot/vmlinuz-$release"
cp -r /usr/lib/u-boot/qemu_arm64 "$made/u-boot/usr/lib/u-boot/"
# And the Raspberry Pi's, with the device tree that its firmware would hand over.
(cd "$work" && apt-get download -q u-boot-rpi:arm64 >/dev/null 2>&1)
dpkg-deb --fsys-tarfile "$work"/u-boot-rpi_*.deb | tar -C "$made/u-boot" -xf - ./usr/lib/u-boot/rpi_3
cp "$boards/bcm2837-rpi-3-b.dtb" "$made/u-boot/"

# What is of the boards' tests, and what root.sh leaves out as well.
rm -rf "$root"/usr/local/sbin/board-agent "$root"/etc/systemd/{system,network}/* "$root"/lost+found
rm -rf "$root"/var/{cache,log,backups,tmp}/* "$root"/var/lib/{apt,dpkg} "$root"/{tmp,run}/*
rm -f "$root"/etc/{hostname,resolv.conf,machine-id,.pwd.lock}
tar -C "$root" --sort=name --numeric-owner -cf "$made/root.tar" .

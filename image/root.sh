#!/usr/bin/env bash
# Makes the root that all boards share, once per machine and recipe, and prints the directory:
#   image/root.sh     (root, for mmdebstrap and the binfmt of qemu-user; minutes)
#
# In it: `root.tar` (Debian's packages, no kernel, none of our files), `status` (dpkg's list of them),
# `kernel/` (Debian's kernel, modules and device trees), `firmware/` and `u-boot/` (files of the boot
# partition). The directory's name is a hash of this recipe; ROOT_CACHE names another place for it.
#
# Packages come from the mirrors' present state. For two builds of the same bytes name a snapshot:
#   DEBIAN_MIRROR=http://snapshot.debian.org/archive/debian/20261101T000000Z \
#   DEBIAN_SECURITY_MIRROR=http://snapshot.debian.org/archive/debian-security/20261101T000000Z
set -euo pipefail
cd "$(dirname "$0")"
# The answer alone goes to standard output, whatever the programs below say.
exec 3>&1 1>&2
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
cache=${ROOT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast-image}
key=$({ cat root.sh packages; echo "$mirror $security"; } | sha256sum | cut -c1-16)
made=$cache/root-$key
if [ -e "$made/complete" ]; then
    echo "$made" >&3
    exit 0
fi
[ "$(id -u)" -eq 0 ] || { echo "image: the first run makes a root file system and needs root"; exit 1; }

# Programs of other processors are run by qemu-user: what systemd-binfmt does where systemd runs.
binfmt=/proc/sys/fs/binfmt_misc
[ -e $binfmt/register ] || mount -t binfmt_misc none $binfmt
[ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -e "$made/complete" ]; then # by the run that held the lock
    echo "$made" >&3
    exit 0
fi
# What earlier recipes made, and what an interrupted run left behind.
find "$cache" -mindepth 1 -maxdepth 1 -type d \( -name 'making.*' -o -name 'root-*' -mtime +7 \) \
    -exec rm -rf --one-file-system {} +
work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir -p "$work"/apt/{state/lists/partial,cache/archives/partial} "$work"/{debs,kernel,firmware,u-boot}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cat >"$work/sources.list" <<SOURCES
deb [signed-by=$keyring] $mirror bookworm main non-free-firmware
deb [signed-by=$keyring] $mirror bookworm-updates main non-free-firmware
deb [signed-by=$keyring] $security bookworm-security main non-free-firmware
SOURCES

# An apt of its own for arm64: the builder's lists and packages stay as they are.
: >"$work/apt/state/status"
cat >"$work/apt.conf" <<CONF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Dir::State "$work/apt/state";
Dir::State::status "$work/apt/state/status";
Dir::Cache "$work/apt/cache";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "-";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
CONF
export APT_CONFIG=$work/apt.conf
apt-get update -q
kernel=$(apt-cache depends linux-image-arm64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -1)
(cd "$work/debs" && apt-get download -q "$kernel" raspi-firmware u-boot-rpi u-boot-qemu)
# The kernel's files alone: installed, its package would make an initramfs under emulation.
dpkg-deb -x "$work"/debs/linux-image-*.deb "$work/kernel"
dpkg-deb -x "$work"/debs/raspi-firmware_*.deb "$work/firmware"
for package in "$work"/debs/u-boot-*.deb; do dpkg-deb -x "$package" "$work/u-boot"; done
for package in "$work"/debs/*.deb; do dpkg-deb -f "$package" Package Version Architecture; echo; done >"$work/status.extra"
unset APT_CONFIG

# The base by mmdebstrap, whose dpkg is emulated; the rest by this machine's own dpkg, so that of most packages only the
# scripts are: a third of the time. In mount namespaces, so that nothing stays mounted when it is interrupted.
root=$work/root
plain=(--path-exclude='/usr/share/doc/*' --path-include='/usr/share/doc/*/copyright' --path-include='/usr/share/doc/holdfast/*'
    --path-exclude='/usr/share/locale/*' --path-exclude='/usr/share/man/*')
unshare --mount mmdebstrap --quiet --arch=arm64 --variant=minbase --dpkgopt=force-unsafe-io \
    --aptopt='Acquire::Check-Valid-Until "false"' "${plain[@]/#--/--dpkgopt=}" bookworm "$root" "$work/sources.list"
cp "$root/var/lib/dpkg/status" "$work/apt/state/status"
read -ra packages < <(sed 's/#.*//' packages | xargs)
APT_CONFIG=$work/apt.conf apt-get install -y -q --no-install-recommends --download-only "${packages[@]}"
own_dpkg() { # of another architecture, and the packages come in no order
    # shellcheck disable=SC2016
    DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 unshare --mount sh -c '
        mount --bind /dev "$1/dev" && mount -t proc proc "$1/proc" && shift && exec dpkg "$@"' - "$root" --root="$root" \
        --force-architecture --force-depends --force-unsafe-io "${plain[@]}" "$@"
}
own_dpkg --no-triggers --install "$work"/apt/cache/archives/*.deb >"$work/dpkg.log"
own_dpkg --triggers-only --pending >>"$work/dpkg.log"
unready=$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${db:Status-Abbrev} ${Package}\n' | grep -v '^ii ' || true)
[ -z "$unready" ] || { cat "$work/dpkg.log"; echo "image: not installed: $unready"; exit 1; }
# dpkg's list becomes the bill of materials; on a root that only a bundle changes nothing reads it.
cat "$work/root/var/lib/dpkg/status" - "$work/status.extra" <<<"" >"$work/status"
# What carries the builder's name, and what is made again at each start.
rm -rf "$work"/root/var/{cache,log,backups,tmp}/* "$work"/root/var/lib/{apt,dpkg} "$work"/root/{tmp,run}/*
rm -f "$work"/root/etc/{hostname,resolv.conf,machine-id,.pwd.lock}
tar -C "$work/root" --sort=name --numeric-owner --xattrs -cf "$work/root.tar" .
rm -rf --one-file-system "$work"/{root,debs,apt,apt.conf,sources.list,status.extra,dpkg.log}
touch "$work/complete"
chmod 0755 "$work"
mv "$work" "$made"
echo "$made" >&3

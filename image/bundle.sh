#!/usr/bin/env bash
# Signs a slot as an update: image/bundle.sh SLOT OUT.raucb
# A RAUC bundle in verity format: its manifest holds the image's SHA-256, the signature covers all of it.
#   KEYS  the directory of signer.pem and signer.key (target/image/keys)
set -euo pipefail
slot=$1 out=$2
keys=${KEYS:-$(cd "$(dirname "$0")/.." && pwd)/target/image/keys}
fact() { sed -n "s/^$1=//p" "$slot.facts"; }
work=$(mktemp -d "$(dirname "$out")/bundle.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/content"
ln "$(realpath "$slot")" "$work/content/rootfs.img" 2>/dev/null || cp --sparse=always "$slot" "$work/content/rootfs.img"
# For the box's own checks, which RAUC 1.8 does not hand the version to.
printf 'VERSION=%s\nSHA256=%s\n' "$(fact VERSION)" "$(fact SHA256)" >"$work/content/image"
cat >"$work/content/manifest.raucm" <<MANIFEST
[update]
compatible=$(fact COMPATIBLE)
version=$(fact VERSION)

[bundle]
format=verity

[image.rootfs]
filename=rootfs.img
MANIFEST
rm -f "$out"
rauc bundle --cert "$keys/signer.pem" --key "$keys/signer.key" --keyring "$keys/ca.pem" \
    --mksquashfs-args="-comp zstd -Xcompression-level 6 -mkfs-time $(fact EPOCH) -all-time $(fact EPOCH)" "$work/content" "$out" >/dev/null
echo "$out: $(($(stat -c %s "$out") >> 20)) MiB, version $(fact VERSION) for $(fact COMPATIBLE)"

#!/usr/bin/env bash
# Makes an image to flash and the update of the same version: image/build.sh BOARD  (root; what `make image` runs)
# In target/image: NAME.img.xz, .bmap, .sha256, .json (facts), .cdx.json (bill of materials), and, until
# `make clean`, the unpacked slot and disk that tests boot and `make bundle` signs.
#   RELEASE=1   refuses development keys
#   IMAGE_URL   where the list for Raspberry Pi Imager says that images lie
# The other variables are those of slot.sh and disk.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. image/board.sh
board_facts "$1"
out=target/image
keys=${KEYS:-$out/keys}
mkdir -p $out
if [ -n "${RELEASE:-}" ]; then
    [ -e "$keys/ca.pem" ] || { echo "image: KEYS names no keys; image/keys.sh makes them"; exit 1; }
    ! openssl x509 -in "$keys/ca.pem" -noout -subject | grep -q development ||
        { echo "image: $keys are development keys, which no release may carry (image/keys.sh DIR \"NAME\")"; exit 1; }
fi >&2
image/keys.sh "$keys"
export KEYS=$keys
image/slot.sh "$IMAGE" "$out/$IMAGE.slot"
version=$(sed -n 's/^VERSION=//p' "$out/$IMAGE.slot.facts")
epoch=$(sed -n 's/^EPOCH=//p' "$out/$IMAGE.slot.facts")
name=holdfast-$version-$IMAGE
image/disk.sh "$IMAGE" "$out/$IMAGE.slot" "$out/$name.img"

bmaptool create -o "$out/$name.img.bmap" "$out/$name.img" 2>/dev/null
xz -T2 -4 --keep --force --stdout "$out/$name.img" >"$out/$name.img.xz"
(cd $out && sha256sum "$name.img.xz" >"$name.img.xz.sha256")
image/sbom.py sbom --version "$version" --status "$(image/root.sh)/status" "$out/$name.cdx.json"
board=$(sed -n 's/^name = "\(.*\)"/\1/p' "$BOARD_DIR/board.toml")
jq -n --arg file "$name.img.xz" --arg version "$version" --arg board "$board" --arg devices "$DEVICES" \
    --argjson size "$(stat -c %s "$out/$name.img")" --arg sum "$(sha256sum <"$out/$name.img" | cut -c1-64)" \
    --argjson packed "$(stat -c %s "$out/$name.img.xz")" --arg date "$(date -u -d "@$epoch" +%F)" \
    '{file: $file, version: $version, board: $board, devices: ($devices | split(" ")), extract_size: $size,
      extract_sha256: $sum, image_download_size: $packed, release_date: $date}' >"$out/$name.img.xz.json"
image/imager.py $out --url "${IMAGE_URL:-https://holdfast.example/images}"

packed=$(($(stat -c %s "$out/$name.img.xz") >> 20)) used=$(sed -n 's/^ROOT_MIB=//p' "$out/$IMAGE.slot.facts")
echo "$out/$name.img.xz: $packed MiB; root $used MiB"
if [ "$packed" -gt 300 ] || [ "$used" -gt 700 ]; then
    echo "image: over 300 MiB compressed, or a root over 700 MiB" >&2
    exit 1
fi

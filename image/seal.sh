#!/usr/bin/env bash
# Seals the file system of a slot: image/seal.sh SLOT MIB
# Behind its MIB mebibytes comes the dm-verity tree, and in the last 4 KiB a footer that names both. Adds the root
# hash and the checksum to `SLOT.facts`.
set -euo pipefail
slot=$1 fs=$2
PATH=$PATH:/usr/sbin:/sbin
id=$(blkid -p -s UUID -o value "$slot")
salt=$(printf %s "$id" | sha256sum | cut -c1-64)
hash=$(veritysetup format --hash-offset=$((fs << 20)) --data-blocks=$((fs << 8)) --salt="$salt" --uuid="$id" \
    "$slot" "$slot" | awk '/^Root hash/ { print $3 }')
printf 'HFV1 %s %s\n' $((fs << 20)) "$hash" |
    dd of="$slot" bs=1 seek=$(($(stat -c %s "$slot") - 4096)) conv=notrunc status=none
sed -i '/^\(HASH\|SHA256\)=/d' "$slot.facts"
printf 'HASH=%s\nSHA256=%s\n' "$hash" "$(sha256sum <"$slot" | cut -c1-64)" >>"$slot.facts"

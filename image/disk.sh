#!/usr/bin/env bash
# Makes what is flashed: image/disk.sh BOARD SLOT OUT
# OUT is the raw disk: GPT, with an MBR beside it that names the boot partition, for boot ROMs that read nothing
# else; the boot loader's sector at 1 MiB; then the partitions of board/<board>/partitions. Slot B is empty, and
# the sector says so, so that no boot is tried on it.
#   DROP   a holdfast.toml for the boot partition, applied at the first boot
#   ROOT   what to use in place of root.sh's directory: for tests alone
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
. image/board.sh
board_facts "$1"
slot=$2 out=$3
root_made=${ROOT:-$(image/root.sh)}
epoch=$(sed -n 's/^EPOCH=//p' "$slot.facts")
export SOURCE_DATE_EPOCH=$epoch E2FSPROGS_FAKE_TIME=$epoch MKE2FS_DETERMINISTIC=1 PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d "${TMPDIR:-/tmp}/disk.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work"/{boot,in,tmp,empty}

# The boot partition: the script that chooses the slot, and on boards whose firmware reads it, that too.
sed "s/@CMDLINE@/$(sed 's/[\/&]/\\&/g' "$BOARD_DIR/cmdline")/" image/start.cmd image/boot.cmd >"$work/boot.cmd"
mkimage -A arm64 -T script -C none -d "$work/boot.cmd" "$work/boot/boot.scr" >/dev/null
loader=$root_made/u-boot/usr/lib/u-boot/$U_BOOT/u-boot.bin
if [[ $IMAGE == raspberrypi* ]]; then
    cp "$loader" "$work/boot/"
    cp "$BOARD_DIR/firmware" "$work/boot/config.txt"
    cp "$root_made"/firmware/usr/lib/raspi-firmware/{bootcode.bin,start.elf,fixup.dat,start4.elf,fixup4.dat} "$work/boot/"
    for dtb in $DTB; do cp "$root_made"/kernel/usr/lib/linux-image-*/broadcom/"$dtb.dtb" "$work/boot/"; done
fi
cp image/boot-partition.txt "$work/boot/README.txt"
# What an installer begins with: a file of their own replaces all of this one, ports included.
cp image/root/etc/holdfast/holdfast.toml "$work/boot/holdfast.toml.example"
[ -z "${DROP:-}" ] || cp "$DROP" "$work/boot/holdfast.toml"
find "$work/boot" -exec touch -d "@$epoch" {} +

printf 'BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=0\n' | mkenvimage -s 512 -o "$work/in/env.bin" -
ln -s "$(realpath "$slot")" "$work/in/slot.img"
data_id=0401dfa5-0000-4000-8000-0000000000d4
mke2fs -q -t ext4 -b 4096 -m 1 -L data -U $data_id -E "hash_seed=$data_id,root_owner=0:0" \
    "$work/in/data.ext4" "$(partition_mib data)M"

cp -p "$work"/boot/* "$work/in/"
files=$(cd "$work/boot" && printf '"%s", ' ./* | sed 's/, $//; s,\./,,g')
id=0401dfa5-0000-4000-8000-00000000000
root_type=B921B045-1DF0-41C3-AF44-4C6F280D3FAE # root of arm64, so that repart sees one data partition
cat >"$work/genimage.cfg" <<CFG
image boot.vfat {
    vfat { files = { $files } label = "HOLDFAST" extraargs = "-i 0401dfa5 --invariant" }
    size = $(partition_mib boot)M
}
image disk.img {
    hdimage { partition-table-type = "hybrid" align = 1M disk-uuid = "${id}0" disk-signature = 0x0401dfa5 }
    partition env { in-partition-table = false image = "env.bin" offset = 1M }
    partition boot { image = "boot.vfat" offset = 4M partition-type-uuid = "F" partition-uuid = "${id}1" partition-type = 0xC }
    partition root-a { image = "slot.img" partition-type-uuid = "$root_type" partition-uuid = "${id}2" }
    partition root-b { size = $(partition_mib root-b)M partition-type-uuid = "$root_type" partition-uuid = "${id}3" }
    partition data { image = "data.ext4" partition-type-uuid = "L" partition-uuid = "${id}4" }
}
CFG
# mtools writes the current time into directories unless it is given another.
TZ=UTC genimage --config "$work/genimage.cfg" --rootpath "$work/empty" --inputpath "$work/in" \
    --outputpath "$work/out" --tmppath "$work/tmp/genimage" --loglevel 0
mv "$work/out/disk.img" "$out"
cp "$loader" "$out.u-boot.bin"
echo "$out: $(($(stat -c %s "$out") >> 20)) MiB"

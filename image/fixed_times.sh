#!/usr/bin/env bash
# Sets the times of every used inode of an ext4 image to EPOCH: image/fixed_times.sh FILE EPOCH
# mke2fs -d copies ctime from the builder's files, which no option and no variable changes.
set -euo pipefail
file=$1 epoch=$2
commands=$(mktemp)
trap 'rm -f "$commands"' EXIT
total=$(dumpe2fs -h "$file" 2>/dev/null | awk -F: '/^Inode count/ { print $2 + 0 }')
free=$(dumpe2fs "$file" 2>/dev/null | sed -n 's/^  Free inodes: *//p')
awk -v total="$total" -v free="$free" -v epoch="$epoch" 'BEGIN {
    parts = split(free, ranges, /, */)
    for (i = 1; i <= parts; i++) {
        ends = split(ranges[i], range, "-")
        for (n = range[1]; n <= (ends > 1 ? range[2] : range[1]); n++) unused[n] = 1
    }
    for (n = 2; n <= total; n++) {
        if (n in unused || (n > 2 && n < 11)) continue
        split("ctime atime crtime", names, " ")
        for (k = 1; k <= 3; k++) {
            printf "sif <%d> %s @%d\n", n, names[k], epoch
            printf "sif <%d> %s_extra 0\n", n, names[k]
        }
    }
}' >"$commands"
debugfs -w -f "$commands" "$file" >/dev/null 2>&1

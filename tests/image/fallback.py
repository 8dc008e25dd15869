#!/usr/bin/env python3
"""A damaged slot: tests/image/fallback.py IMAGE.img SLOT, both of a test image.

Slot B holds the same version as slot A, and one block of A's systemd is damaged on the disk. Three times dm-verity stops A,
each of them costs it a try, and the boot loader goes on to B by itself: it takes the configuration from the boot
partition, records the board's camera, serves it to ffmpeg, says in its log what was left and why, and is marked good."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import board
import boot

BLOCK = 4096


def offset(disk, number):
    """Where a partition begins, in bytes."""
    listed = subprocess.run(["/usr/sbin/sfdisk", "--json", disk], check=True, stdout=subprocess.PIPE).stdout
    table = json.loads(listed)["partitiontable"]
    found = next(one for one in table["partitions"] if one["node"].endswith(str(number)))
    return found["start"] * table["sectorsize"]


def write_at(disk, at, data):
    """Overwrites a piece of the disk."""
    with open(disk, "r+b") as file:
        file.seek(at)
        file.write(data)


def spoil(disk, slot):
    """Fills slot B, gives both their tries, and damages a block of slot A."""
    board.run("dd", f"if={slot}", f"of={disk}", "bs=1M", f"seek={offset(disk, 3) >> 20}", "conv=notrunc,sparse", "status=none")
    sector = pathlib.Path(f"{disk}.sector")
    board.run("mkenvimage", "-s", "512", "-o", sector, "-", input=b"BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n")
    write_at(disk, 1 << 20, sector.read_bytes())
    said = subprocess.run(["/usr/sbin/debugfs", "-R", "bmap /usr/lib/systemd/systemd 1", slot], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    write_at(disk, offset(disk, 2) + int(said.stdout) * BLOCK, bytes(BLOCK))


def main():
    disk = boot.with_drop(sys.argv[1])
    spoil(disk, sys.argv[2])
    guest = board.Board(disk)
    seen = 0

    def says(pattern):
        nonlocal seen
        seen = guest.says(pattern, after=seen)

    def done(what):
        print(f"{guest.up_seconds():6.0f} s  {what}", flush=True)

    try:
        guest.power_on()
        for left in (2, 1, 0):
            says(rf"holdfast: slot A \(order A B, left A {left}, B 3\)")
            says("dm-verity device corrupted")
            done(f"slot A is damaged, {left} tries are left")
        says(r"holdfast: slot B \(order A B, left A 0, B 2\)")
        done("slot B is started by itself")
        says("the configuration on .* is applied")
        guest.until("a durable fragment", guest.durable_until)
        done("slot B records its camera")
        assert boot.frames_over_rtsp(guest.rtsp_port) == 10, "ffmpeg does not get ten pictures"
        done("ffmpeg got ten pictures over RTSP")
        failed = guest.run("systemctl --failed --no-legend --plain | grep -v holdfast-claim || true").strip()
        assert not failed, failed
        log = guest.run("for i in $(seq 30); do holdfast recovery log --data-dir /var/lib/holdfast | grep 'rung 6' && exit; sleep 2; done; exit 1")
        assert re.search("slot A was left: it did not get well in three boots", log), log
        # A machine that is too busy makes the box unwell: then it is not waited for.
        judged = "systemctl is-active -q holdfast-mark-good || systemctl is-failed -q holdfast-health"
        guest.run(f"until {judged}; do sleep 5; done", seconds=600)
        left = guest.run("fw_printenv")
        assert "BOOT_ORDER=B\n" in left and "BOOT_A_LEFT=0" in left and "BOOT_B_LEFT=3" in left, left
        done("the log says why; slot B is marked good")
    finally:
        print(guest.said()[-3000:] if sys.exc_info()[0] else "", end="")
        guest.forget()
        shutil.rmtree(disk.parent)


if __name__ == "__main__":
    main()

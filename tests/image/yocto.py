#!/usr/bin/env python3
"""The U-Boot script of the Yocto image, in Debian's U-Boot: tests/image/yocto.py KERNEL

Slot A holds a kernel whose root cannot be mounted: it panics, and each boot of it costs a try. Slot B is empty. The script
counts A's three tries down, passes B over, and when no try is left it starts A once more without counting."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import board

MIB = 1 << 20
SCRIPTS = ("yocto/meta-holdfast/dynamic-layers/raspberrypi/recipes-bsp/rpi-u-boot-scr/files/start.cmd", "image/boot.cmd")


def disk_with(kernel, work):
    """The first two partitions of the Yocto image, and an empty third one."""
    cmdline = (board.TREE / "board/virtual/arm64/cmdline").read_text().splitlines()
    cmdline = " ".join(line for line in cmdline if line and not line.startswith("#"))
    script = "".join((board.TREE / name).read_text() for name in SCRIPTS).replace("@CMDLINE@", cmdline)
    (work / "boot.cmd").write_text(script)
    board.run("mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-d", work / "boot.cmd", work / "boot.scr", stdout=subprocess.DEVNULL)
    boot, root, disk = work / "boot.vfat", work / "root.ext4", work / "disk.img"
    board.run("truncate", "-s", "16M", boot)
    board.run("mkfs.vfat", boot, stdout=subprocess.DEVNULL)
    board.run("mcopy", "-i", boot, work / "boot.scr", "::")
    (work / "root/boot").mkdir(parents=True)
    shutil.copy(kernel, work / "root/boot/Image")
    board.run("/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", work / "root", root, "96M")
    board.run("truncate", "-s", "256M", disk)
    table = "label: dos\n4MiB,16MiB,c,*\n20MiB,96MiB,83\n116MiB,96MiB,83\n"
    board.run("/usr/sbin/sfdisk", "--quiet", disk, input=table.encode())
    with open(disk, "r+b") as file:
        for at, part in ((4, boot), (20, root)):
            file.seek(at * MIB)
            file.write(part.read_bytes())
    return disk


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="yocto."))
    guest = board.Board(disk_with(sys.argv[1], work), disk_mib=256, loader="/usr/lib/u-boot/qemu_arm64/u-boot.bin")
    seen = 0
    try:
        guest.power_on()
        for left in (2, 1, 0):
            seen = guest.says(rf"holdfast: slot A \(order A B, left A {left}, B 3\)", after=seen)
            seen = guest.says("Kernel panic", after=seen)
            print(f"{guest.up_seconds():6.0f} s  slot A panics, {left} tries are left", flush=True)
        for left in (2, 1, 0):
            seen = guest.says(rf"holdfast: slot B \(order A B, left A 0, B {left}\)", after=seen)
            seen = guest.says("holdfast: slot B does not load", after=seen)
            seen = guest.says(r"holdfast: slot A \(.*\) holdfast.recovery", after=seen)
            if left:
                guest.cut_power()
                guest.power_on()
                seen = 0
        print(f"{guest.up_seconds():6.0f} s  slot B is passed over; without a try, slot A is started uncounted", flush=True)
    finally:
        print(guest.said()[-3000:] if sys.exc_info()[0] else "", end="")
        guest.forget()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()

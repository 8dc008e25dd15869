#!/usr/bin/env python3
"""The Raspberry Pi 3's image on qemu's raspi3b: tests/image/pi.py IMAGE.img

As far as that machine goes: its own U-Boot reads the card, counts the boot and starts the slot; the kernel, the verity
root and systemd run, and the configuration on the boot partition is applied. qemu does not run the maker's start files,
and its watchdog resets whoever starts it, so the kernel is kept from that driver."""

import shutil
import subprocess
import sys

import board
import boot


def main():
    copy = boot.with_drop(sys.argv[1])
    guest = board.Board(copy, "board/virtual/raspi3b")
    try:
        script = "".join((board.TREE / "image" / name).read_text() for name in ("start.cmd", "boot.cmd"))
        source, made = guest.work / "boot.cmd", guest.work / "boot.scr"
        source.write_text(script.replace("@CMDLINE@", (guest.directory / "cmdline").read_text().strip()))
        board.run("mkimage", "-A", "arm64", "-T", "script", "-C", "none", "-d", source, made, stdout=subprocess.DEVNULL)
        board.run("mcopy", "-o", "-i", f"{copy}@@{boot.BOOT_OFFSET}", made, "::boot.scr")
        guest.dtb = guest.work / "board.dtb"
        board.run("mcopy", "-i", f"{copy}@@{boot.BOOT_OFFSET}", "::bcm2837-rpi-3-b.dtb", guest.dtb)
        guest.power_on()
        guest.says("holdfast: slot A ")
        print(f"slot A is chosen after {guest.up_seconds():.0f} s", flush=True)
        guest.says("the configuration on .* is applied", 1800)
        print(f"systemd runs, and holdfast.toml is applied, after {guest.up_seconds():.0f} s", flush=True)
    finally:
        print(guest.said()[-3000:] if sys.exc_info()[0] else "", end="")
        guest.forget()
        shutil.rmtree(copy.parent)


if __name__ == "__main__":
    main()

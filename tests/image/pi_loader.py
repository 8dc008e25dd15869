#!/usr/bin/env python3
"""A slot in the Raspberry Pi 3's U-Boot on qemu's raspi3b: tests/image/pi_loader.py IMAGE.img LOADER DTB

As far as the kernel's first instruction. The script, and what it compares before it starts a slot, are the same for every
board; the U-Boots are not."""

import shutil
import sys

import board
import boot


def main():
    copy = boot.with_drop(sys.argv[1])
    guest = board.Board(copy, "board/virtual/raspi3b", loader=sys.argv[2])
    guest.dtb = sys.argv[3]
    try:
        guest.power_on()
        guest.says("holdfast: slot A ")
        said = guest.until("a kernel", lambda: [line for line in guest.said().splitlines() if "does not load" in line or "Starting kernel" in line])
        assert "Starting kernel" in said[0], said[0]
        print(f"{guest.up_seconds():6.0f} s  the Raspberry Pi's U-Boot finds slot A whole and starts its kernel", flush=True)
    finally:
        print(guest.said()[-3000:] if sys.exc_info()[0] else "", end="")
        guest.forget()
        shutil.rmtree(copy.parent)


if __name__ == "__main__":
    main()

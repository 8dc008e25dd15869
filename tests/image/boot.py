#!/usr/bin/env python3
"""The short proof: tests/image/boot.py IMAGE.img

The image boots from its own boot chain on the virtual board, takes `holdfast.toml` from its boot partition, records
the board's camera and serves it over RTSP to ffmpeg on this machine. Every unit of it starts. Says how long it
took from power to the first durable fragment; emulated, so an upper bound."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import board

PASSWORD = "image-test-only"
# Where the boot partition begins: board/<board>/partitions, image/disk.sh.
BOOT_OFFSET = 4 << 20


def with_drop(image, copy=None):
    """A copy of the image with the tests' configuration on its boot partition, as an installer puts it there."""
    copy = copy or pathlib.Path(tempfile.mkdtemp(prefix="image.")) / "disk.img"
    board.run("cp", "--sparse=always", image, copy)
    shutil.copy(f"{image}.u-boot.bin", f"{copy}.u-boot.bin")
    drop = pathlib.Path(__file__).parent / "holdfast.toml"
    board.run("mcopy", "-i", f"{copy}@@{BOOT_OFFSET}", drop, "::holdfast.toml")
    return copy


def frames_over_rtsp(port):
    """How many pictures ffmpeg decodes of ten."""
    url = f"rtsp://viewer:{PASSWORD}@127.0.0.1:{port}/bench"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i", url, "-frames:v", "10", "-f", "framemd5", "-"]
    said = subprocess.run(command, timeout=300, stdout=subprocess.PIPE, check=True, text=True).stdout
    return sum(not line.startswith("#") for line in said.splitlines())


def main():
    copy = with_drop(sys.argv[1])
    guest = board.Board(copy)
    try:
        guest.power_on()
        guest.says("holdfast: slot A ")
        print(f"slot A is chosen after {guest.up_seconds():.0f} s", flush=True)
        guest.says("the configuration on .* is applied")
        print(f"holdfast.toml is applied after {guest.up_seconds():.0f} s", flush=True)
        guest.until("a durable fragment", guest.durable_until)
        print(f"first durable fragment after {guest.up_seconds():.0f} s", flush=True)
        assert frames_over_rtsp(guest.rtsp_port) == 10, "ffmpeg does not get ten pictures"
        before = guest.durable_until()
        guest.until("more is recorded", lambda: guest.durable_until() != before)
        guest.cut_power()
        # The boot partition now holds a note instead of a password.
        listed = subprocess.run(["qemu-img", "convert", "-O", "raw", guest.disk, f"{guest.work}/raw"], check=True)
        assert listed.returncode == 0
        names = subprocess.run(
            ["mdir", "-b", "-i", f"{guest.work}/raw@@{BOOT_OFFSET}", "::"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        assert "holdfast.toml.applied" in names and "::/holdfast.toml\n" not in names, names
        print("RTSP serves ten pictures; the configuration was erased from the boot partition")
    finally:
        print(guest.said()[-1500:] if sys.exc_info()[0] else "", end="")
        guest.forget()
        shutil.rmtree(copy.parent)


if __name__ == "__main__":
    main()

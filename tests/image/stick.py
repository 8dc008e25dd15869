#!/usr/bin/env python3
"""What an installer does with a USB stick: tests/image/stick.py DIR, with the image and the bundle that .ci/test-image makes
there.

A board that was never started has a stick labelled CONFIG in it, with a configuration and an update. The configuration is
applied and erased, the update is installed and started into, and the stick does nothing more. Then a file
`factory-reset` on the boot partition makes a new box of it, which stays on the new version; an administrator does it once
more over the API."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import board


def make_stick(directory, stick):
    """A FAT, as a stick has it."""
    board.run("truncate", "-s", "256M", stick)
    board.run("mkfs.vfat", "-n", "CONFIG", stick, stdout=subprocess.DEVNULL)
    for file, name in ((pathlib.Path(__file__).parent / "holdfast.toml", "holdfast.toml"), (directory / "test-b.raucb", "holdfast-0.2.0.raucb")):
        board.run("mcopy", "-i", stick, file, f"::{name}")


def names_on(stick):
    """The files of the stick."""
    return subprocess.run(["mdir", "-b", "-i", stick, "::"], check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    directory = pathlib.Path(sys.argv[1])
    work = pathlib.Path(tempfile.mkdtemp(prefix="stick."))
    stick = work / "stick.img"
    make_stick(directory, stick)
    guest = board.Board(directory / "test-a.img")
    guest.extra = ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,file={stick}", "-device", "usb-storage,drive=stick"]
    begun = time.monotonic()
    seen = 0

    def done(what):
        print(f"{time.monotonic() - begun:6.0f} s  {what}", flush=True)

    def says(pattern):
        nonlocal seen
        seen = guest.says(pattern, after=seen)
        guest.agent = None

    well = "until systemctl is-active -q holdfast-mark-good; do sleep 5; done"
    try:
        guest.power_on()
        says("the configuration on /dev/disk/by-label/CONFIG is applied")
        done("the configuration on the stick is applied")
        says("installing version 0.2.0 from holdfast-0.2.0.raucb")
        done("the update on the stick is being installed")
        says("version 0.2.0 is installed; starting into it")
        says(r"holdfast: slot B \(")
        guest.run(well, seconds=1500)
        assert guest.durable_until(), "the camera of the stick's configuration is not recorded"
        told = guest.run("journalctl --no-pager -o cat -u holdfast-stick-update; cat /data/machine-id")
        assert "version 0.2.0 is here already" in told, told
        names = names_on(stick)
        assert "holdfast.toml.applied" in names and "::/holdfast.toml\n" not in names, names
        done("slot B is well and records; the stick's configuration is erased, its update is here already")

        before = guest.run("cat /data/machine-id").strip()
        guest.run("mkdir -p /run/boot && mount /dev/vda1 /run/boot && touch /run/boot/factory-reset && umount /run/boot")
        guest.run("systemd-run --quiet --on-active=2 systemctl reboot")
        says("factory reset, as asked for on")
        says("factory reset: configuration, accounts, identity and recordings are deleted")
        done("the factory reset is done")
        guest.run("until [ -n \"$(holdfast claim-code --config /etc/holdfast/holdfast.toml)\" ]; do sleep 2; done", seconds=1500)
        assert guest.run("cat /data/machine-id").strip() != before, "the identity is the old one"
        assert "stream.bench" not in guest.run("cat /etc/holdfast/holdfast.toml"), "the configuration is the old one"
        slot = guest.run(". /run/holdfast-image/boot && echo $SLOT").strip()
        assert slot == "B", slot
        claim = guest.until("the claim", lambda: guest.ask("/api/v1/claim"), 300)
        assert claim[1]["state"] == "unclaimed", json.dumps(claim[1])
        guest.run(well, seconds=1500)
        done("it is a new box, unclaimed, on slot B, and well")

        before = guest.run("cat /data/machine-id").strip()
        host = guest.get("/api/v1/system")["host"]
        refused = guest.ask("/api/v1/system/factory-reset", {"host": "another"})
        assert refused[0] == 422, refused
        asked = guest.ask("/api/v1/system/factory-reset", {"host": host})
        assert asked[0] == 202, asked
        says("factory reset, as asked for on the box")
        says("factory reset: configuration, accounts, identity and recordings are deleted")
        guest.run("until [ -n \"$(holdfast claim-code --config /etc/holdfast/holdfast.toml)\" ]; do sleep 2; done", seconds=1500)
        assert guest.run("cat /data/machine-id").strip() != before, "the identity is the old one"
        done("reset over the API, it is a new box once more")
    finally:
        print(guest.said()[-3000:] if sys.exc_info()[0] else "", end="")
        guest.forget()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The long proof: tests/image/update.py DIR, with the images and bundles that .ci/test-image makes there.

One virtual board: recording on A, every bundle that must be refused, A to B, B damaged on the disk, a version that
does not record. Footage and configuration survive all of it. Each step says how long it took."""

import pathlib
import re
import shutil
import subprocess
import sys
import time

import board
import boot

# Position of slot B's footer: boot.py's partition table, in MiB (board/<board>/partitions).
SLOT_MIB = 576
DATA = "/var/lib/holdfast"
# Bundles that must not be installed, and the messages.
REFUSED = {
    "test-other-key": "certificate|signature",
    "test-other-board": "compatible",
    "test-old": "0.0.9 is older than 0.1.0",
    "truncated": "signature|bundle",
    "flipped-image": "verity|input/output error|squashfs|read|checksum",
    "flipped-tree": "verity|input/output error|squashfs|read",
    "flipped-manifest": "signature|cms|verify|manifest|asn1",
    "flipped-signature": "signature|cms|verify|asn1",
}


class Proof:
    """The board, and the bundles it is offered."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.begun = time.monotonic()
        # How much of the console was read: it continues over reboots.
        self.seen = 0
        self.copy = boot.with_drop(self.directory / "test-a.img")
        self.board = board.Board(self.copy)
        # What a person would put on a USB stick: a disk of bundles, read as it is.
        self.stick = self.board.work / "stick.img"
        self.make_stick()
        self.board.extra = ["-drive", f"if=none,id=stick,format=raw,readonly=on,file={self.stick}", "-device", "virtio-blk-pci,drive=stick"]

    def make_stick(self):
        """Bundles, good and bad, on an ext4 of their own."""
        files = self.board.work.parent / f"{self.board.work.name}.stick"
        files.mkdir()
        good = self.directory / "test-b.raucb"
        for name in ("test-b", "test-unwell", "test-other-key", "test-old", "test-other-board"):
            shutil.copy(self.directory / f"{name}.raucb", files / f"{name}.raucb")
        whole = good.read_bytes()
        (files / "truncated.raucb").write_bytes(whole[: len(whole) // 2])
        # A bit of the image, of its hash tree, of the manifest, of the signature.
        tail = int.from_bytes(whole[-8:], "big")
        places = {"image": len(whole) // 3, "tree": len(whole) - tail - 8 - 40_000, "manifest": len(whole) - tail + 200, "signature": len(whole) - 60}
        for name, at in places.items():
            broken = bytearray(whole)
            broken[at] ^= 1
            (files / f"flipped-{name}.raucb").write_bytes(broken)
        size = sum(file.stat().st_size for file in files.iterdir()) >> 20
        board.run("mke2fs", "-q", "-t", "ext4", "-d", files, self.stick, f"{size * 11 // 10 + 64}M")
        shutil.rmtree(files)

    def done(self, what):
        """Says that a step is done."""
        print(f"{time.monotonic() - self.begun:6.0f} s  {what}", flush=True)

    def on(self, slot):
        """Waits until the board runs this slot and was found well."""
        self.seen = self.board.says(f"holdfast: slot {slot} \\(", after=self.seen)
        self.board.agent = None
        self.board.run("mkdir -p /run/stick && mount -o ro /dev/vdb /run/stick")
        answer = self.board.run(". /run/holdfast-image/boot && . /usr/lib/holdfast/image && echo $SLOT $VERSION").split()
        assert answer[0] == slot, answer
        return answer[1]

    def well(self):
        """Waits until the health unit found the box well and its slot has all its tries again."""
        self.board.run("until systemctl is-active -q holdfast-mark-good; do sleep 5; done", seconds=1500)
        left = self.board.run("fw_printenv")
        slot = self.board.run(". /run/holdfast-image/boot && echo $SLOT").strip()
        assert f"BOOT_{slot}_LEFT=3" in left, left
        assert not self.board.run("ls /run/holdfast-on-trial 2>/dev/null || true")

    def refused(self, bundle, reason):
        """RAUC refuses a bundle, for a reason, and the slot it would have gone to is not the next one."""
        since = self.board.run("date +%s").strip()
        before = self.board.run("fw_printenv BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT")
        status, said = self.board.run(f"rauc install /run/stick/{bundle}.raucb", seconds=900, may_fail=True)
        assert status != 0, f"{bundle} was accepted: {said}"
        after = self.board.run("fw_printenv BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT")
        first = re.search("BOOT_ORDER=(.)", before)[1]
        assert re.search("BOOT_ORDER=(.)", after)[1] == first, (bundle, before, after)
        said += self.board.run(f"journalctl --no-pager -o cat --since @{since}")
        why = [line.strip() for line in said.splitlines() if re.search(reason, line, re.I)]
        assert why, f"{bundle} is refused for another reason: {said}"
        self.done(f"{bundle} is refused: {why[0][:100]}")

    def install(self, bundle):
        """Installs a bundle while the camera is recorded."""
        before = self.board.durable_until()
        self.board.run(f"rauc install /run/stick/{bundle}.raucb", seconds=1800)
        assert self.board.durable_until() != before, "recording stopped during the update"

    def says(self, pattern, seconds=board.BOOT_SECONDS_MAX):
        """Waits until the console says something new."""
        self.seen = self.board.says(pattern, seconds, self.seen)

    def reboot(self):
        """Starts the board again as a person would."""
        self.seen = len(self.board.said())
        # Not at once: the hands inside would be gone before they answer.
        self.board.run("systemd-run --quiet --on-active=2 systemctl reboot")


def main():
    proof = Proof(sys.argv[1])
    guest = proof.board
    try:
        guest.power_on()
        version = proof.on("A")
        failed = guest.run("systemctl --failed --no-legend --plain | grep -v holdfast-claim || true").strip()
        assert not failed, failed
        proof.done(f"slot A runs {version}; every unit started")
        proof.well()
        first = guest.run("ls /data/var/lib/holdfast; sha256sum /etc/holdfast/holdfast.toml")
        proof.done("the box is well, its slot has three tries")

        for bundle, reason in REFUSED.items():
            proof.refused(bundle, reason)
        proof.install("test-b")
        proof.done("test-b is installed while the camera is recorded")

        proof.reboot()
        version = proof.on("B")
        assert version == "0.2.0", version
        assert guest.run("ls /run/holdfast-on-trial").strip(), "the new image is not on trial"
        proof.done(f"slot B runs {version}, on trial")
        proof.well()
        assert guest.run("sha256sum /etc/holdfast/holdfast.toml").strip() in first, "the configuration changed"
        proof.done("slot B is well; the configuration is the same")

        guest.run(f"dd if=/dev/zero of=/dev/vda3 bs=4096 seek={SLOT_MIB * 256 - 1} count=1 conv=fsync")
        proof.reboot()
        proof.says("this slot does not start")
        version = proof.on("A")
        assert "BOOT_B_LEFT=0" in guest.run("fw_printenv"), "slot B is still tried"
        assert "rung 6" in guest.run(f"holdfast recovery log --data-dir {DATA}"), "no reason is shown"
        proof.done(f"slot B is damaged: slot A runs {version} again, and the log says why")
        proof.well()

        proof.install("test-unwell")
        proof.reboot()
        proof.says("holdfast: slot B \\(")
        proof.done("slot B boots a version that cannot record")
        proof.says("was not well within five minutes")
        proof.done("it is given up")
        proof.on("A")
        assert "rung 6" in guest.run(f"holdfast recovery log --data-dir {DATA}")
        proof.well()
        proof.done("slot A is back and well")
        proof.refused("test-unwell", "was tried here before: it was not well within five minutes")
        guest.run("systemd-run --quiet --on-active=2 systemctl poweroff")
        guest.process.wait(300)
    finally:
        print(guest.said()[-3000:] if sys.exc_info()[0] else "", end="")
        guest.forget()
        shutil.rmtree(proof.copy.parent)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The long proof: tests/image/update.py DIR [PART ...], with the images and bundles that .ci/test-image makes there.

One virtual board with its watchdog, recording its camera. Once it runs slot A and is well, its memory and disk are kept;
each part goes on from there (or, `damaged`, from a B that is well), so that parts can be run alone:

  refusals   every bundle that must be refused
  flips      fifty bits of a small bundle, flipped on the box one at a time: none installs another image
  api        the same over HTTP: refused with a sentence; a good one is installed and started into
  well       A to B while it records; B is marked good; going back to A and to B again
  damaged    A on the disk is damaged in its kernel, in its root, in its footer; then B too
  unwell     a B that cannot record goes back by itself, with its reason, and is not installed again
  panic      a B whose kernel panics
  hang       a B that hangs before systemd: the board's watchdog resets it

Footage and configuration survive each of them. Each step says how long it took."""

import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

import board
import boot
import flips as bits

# The size of a slot, whose last block is its footer (board/<board>/partitions).
SLOT_MIB = 576
DATA = "/var/lib/holdfast"
BUNDLES = ("test-b", "test-unwell", "test-panic", "test-hang")
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
        state = self.directory / "update"
        key = "".join((self.directory / f"{name}.slot.facts").read_text() for name in ("test-a", *BUNDLES))
        if not (state / "key").exists() or (state / "key").read_text() != key:
            shutil.rmtree(state, ignore_errors=True)
        self.fresh = not state.exists()
        state.mkdir(exist_ok=True)
        self.image, self.stick = state / "disk.img", state / "stick.img"
        if self.fresh:
            boot.with_drop(self.directory / "test-a.img", self.image)
            self.make_stick()
        self.board = board.Board(self.image, disk=state / "disk.qcow2")
        self.board.watchdog = True
        # What a person would put on a USB stick: a disk of bundles, read as it is.
        self.board.extra = ["-drive", f"if=none,id=stick,format=raw,readonly=on,file={self.stick}", "-device", "virtio-blk-pci,drive=stick"]
        self.key = (state / "key", key)
        self.kept_file = state / "kept.json"

    def prepare(self):
        """A box that is well on A, with some footage."""
        if not self.fresh:
            return
        self.board.power_on()
        version = self.on("A")
        failed = self.board.run("systemctl --failed --no-legend --plain | grep -v holdfast-claim || true").strip()
        assert not failed, failed
        self.done(f"slot A runs {version}; every unit started")
        self.well()
        self.kept_file.write_text(json.dumps(self.holdings()))
        self.board.save("well")
        self.board.cut_power()
        self.key[0].write_text(self.key[1])
        self.done("the box is well, its slot has three tries")

    def resume(self, state):
        """Goes on from a kept state."""
        if self.board.process and self.board.process.poll() is None:
            self.board.cut_power()
        self.board.power_on(state)
        self.seen = 0
        self.board.run("true")

    def holdings(self):
        """What must never be lost: the configuration, and how much footage there is since when."""
        runs = self.board.until("the recordings", lambda: (self.board.get("/api/v1/recordings/bench") or {}).get("runs"), 300)
        total = sum(run["fragments"] for run in runs)
        return {"config": self.board.run("sha256sum /etc/holdfast/holdfast.toml").strip(), "since": runs[0]["start"], "fragments": total}

    def kept(self):
        """Footage and configuration are there, and more is recorded."""
        first, now = json.loads(self.kept_file.read_text()), self.holdings()
        assert now["config"] == first["config"], "the configuration changed"
        assert now["since"][:18] == first["since"][:18] and now["fragments"] >= first["fragments"], (first, now)
        before = self.board.durable_until()
        self.board.until("more is recorded", lambda: self.board.durable_until() != before, 300)
        self.done(f"configuration kept; {now['fragments']} fragments since {now['since']}, and it records")

    def make_stick(self):
        """Bundles, good and bad, on an ext4 of their own."""
        files = self.stick.parent / "stick"
        files.mkdir()
        good = self.directory / "test-b.raucb"
        for name in (*BUNDLES, "test-other-key", "test-old", "test-other-board", "test-small"):
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

    def says(self, pattern, seconds=board.BOOT_SECONDS_MAX, each=lambda: None):
        """Waits until the console says something new; looks at something else meanwhile."""

        def looked():
            each()
            return re.search(pattern, self.board.said()[self.seen :])

        self.seen += self.board.until(f"console: {pattern}", looked, seconds).end()

    def upload(self, bundle):
        """Hands a bundle to the API."""
        answer = self.board.ask("/api/v1/update", (self.directory / f"{bundle}.raucb").read_bytes())
        assert answer and answer[0] == 202, answer

    def follow(self, state):
        """Waits for the update to be in a state."""

        def there():
            update = self.board.get("/api/v1/update")
            return update if update and update["state"] == state else None

        return self.board.until(f"the update is {state}", there, 300)

    def reboot(self):
        """Starts the board again as a person would."""
        self.seen = len(self.board.said())
        # Not at once: the hands inside would be gone before they answer.
        self.board.run("systemd-run --quiet --on-active=2 systemctl reboot")


    def fell_back(self, reason):
        """Slot A runs again by itself, B is out of the order, and the log says why."""
        self.on("A")
        left = self.board.run("fw_printenv")
        assert "BOOT_ORDER=A\n" in left and "BOOT_B_LEFT=0" in left, left
        log = self.board.run(f"for i in $(seq 30); do holdfast recovery log --data-dir {DATA} | grep 'rung 6' && exit; sleep 2; done; exit 1")
        assert re.search(reason, log), log
        self.done(f"slot A runs again; the log: {log.splitlines()[-1]}")
        self.well()
        self.kept()


def refusals(proof):
    proof.resume("well")
    for bundle, reason in REFUSED.items():
        proof.refused(bundle, reason)
    proof.kept()


# For each "OFFSET OCTAL" on standard input: flips it in a copy of the small bundle, installs that, and says how it went.
FLIP = """
size=$(stat -c %s /run/small.slot) good=$(sha256sum </run/small.slot)
while read -r at flipped; do
    cp /run/stick/test-small.raucb /run/flipped.raucb
    printf "\\\\$flipped" | dd of=/run/flipped.raucb bs=1 seek=$at conv=notrunc 2>/dev/null
    dd if=/dev/zero of=/dev/vda3 bs=1M count=1 conv=fsync 2>/dev/null
    if ! rauc install /run/flipped.raucb </dev/null >/dev/null 2>&1; then echo refused $at
    elif [ "$(head -c $size /dev/vda3 | sha256sum)" = "$good" ]; then echo same $at
    else echo OTHER $at; fi
done
"""


def flips(proof):
    proof.resume("well")
    whole = (proof.directory / "test-small.raucb").read_bytes()
    chosen = list(bits.Bundle(whole).places(40, random.Random(1)))
    proof.board.run("rauc install /run/stick/test-small.raucb && head -c 1M /dev/vda3 >/run/small.slot", seconds=600)
    proof.done("the small bundle itself is installed")
    places = "".join(f"{bit // 8} {whole[bit // 8] ^ 1 << bit % 8:03o}\n" for _, bit in chosen)
    said = proof.board.run(f"{{ {FLIP} }} <<'PLACES'\n{places}PLACES\n", seconds=1800)
    results = [line.split()[0] for line in said.splitlines()]
    assert len(results) == len(chosen) and "OTHER" not in results, said
    for part in dict(chosen):
        mine = [result for (its, _), result in zip(chosen, results) if its == part]
        proof.done(f"{part}: {mine.count('refused')} of {len(mine)} flipped bits refused, {mine.count('same')} install the same image")
        assert part in ("signature", "image") or "same" not in mine, (part, mine)
    proof.kept()


def well(proof):
    proof.resume("well")
    proof.install("test-b")
    proof.done("test-b is installed while the camera is recorded")
    proof.reboot()
    version = proof.on("B")
    assert version == "0.2.0", version
    assert proof.board.run("ls /run/holdfast-on-trial").strip(), "the new image is not on trial"
    proof.done(f"slot B runs {version}, on trial")
    proof.well()
    proof.done("slot B is well, it has three tries")
    proof.kept()
    proof.board.save("b-well")


def damaged(proof):
    """Slot A is the first one again, B the one before it; then A's disk loses something."""
    for what, order in {
        "kernel": "mkdir -p /run/a && mount -t ext4 /dev/vda2 /run/a && dd if=/dev/zero of=/run/a/boot/vmlinuz bs=1M seek=2 count=1 conv=notrunc,fsync",
        "root": "dd if=/dev/zero of=/dev/vda2 bs=4096 count=1 conv=fsync"
        " seek=$(debugfs -R 'bmap /usr/lib/systemd/systemd 1' /dev/vda2 2>/dev/null)",
        "footer": f"dd if=/dev/zero of=/dev/vda2 bs=4096 seek={SLOT_MIB * 256 - 1} count=1 conv=fsync",
    }.items():
        proof.resume("b-well")
        proof.board.run("rauc status mark-active other && rauc status mark-good other")
        proof.board.run(f"{order} && sync")
        proof.seen = len(proof.board.said())
        proof.reboot()
        proof.says(r"holdfast: slot A \(")
        proof.on("B")
        left = proof.board.run("fw_printenv")
        assert "BOOT_ORDER=B\n" in left and "BOOT_A_LEFT=0" in left, left
        proof.done(f"slot A's {what} is damaged: slot B runs by itself")
        proof.well()
        proof.kept()


def unwell(proof):
    proof.resume("well")
    proof.install("test-unwell")
    proof.reboot()
    proof.says("holdfast: slot B \\(")
    proof.done("slot B boots a version that cannot record")
    proof.says("was not well within five minutes")
    proof.done("it is given up")
    proof.fell_back("the image was not well in time: .*(503|durable|record)")
    proof.refused("test-unwell", "was tried here before: it was not well within five minutes")


def panic(proof):
    proof.resume("well")
    proof.install("test-panic")
    proof.reboot()
    for attempt in range(3):
        proof.says("holdfast: slot B \\(")
        proof.says("Kernel panic")
        proof.done(f"slot B's kernel panics, {attempt + 1}")
    proof.fell_back("three boots")
    proof.refused("test-panic", "was tried here before: it did not get well in three boots")


def hang(proof):
    proof.resume("well")
    proof.install("test-hang")
    proof.reboot()
    for attempt in range(3):
        proof.says("holdfast: slot B \\(")
        proof.says("hangs now")
        proof.done(f"slot B hangs before systemd, {attempt + 1}")
    proof.fell_back("three boots")
    proof.refused("test-hang", "was tried here before: it did not get well in three boots")


def api(proof):
    proof.resume("well")
    guest = proof.board
    state = guest.until("who is signed in", lambda: guest.get("/api/v1/update"), 300)
    assert state["state"] == "none" and state["running"] == {"version": "0.1.0", "slot": "A", "on_trial": False}, state
    for bundle, reason in (("test-other-key", "not signed"), ("test-other-board", "another board"), ("test-old", "older than 0.1.0")):
        proof.upload(bundle)
        if bundle == "test-old":
            proof.follow("ready")
            guest.ask("/api/v1/update/install", {})
        message = proof.follow("refused")["message"]
        assert reason in message, message
        proof.done(f"{bundle} is refused over HTTP: {message}")
    proof.upload("test-b")
    assert proof.follow("ready")["version"] == "0.2.0"
    proof.done("test-b is uploaded and inspected")
    proof.seen = len(guest.said())
    assert guest.ask("/api/v1/update/install", {})[0] == 202
    seen = set()
    proof.says(r"holdfast: slot B \(", each=lambda: seen.add((guest.get("/api/v1/update") or {}).get("percent")))
    proof.done(f"it is installed and started into by itself; percent seen: {sorted(one for one in seen if one is not None)}")
    proof.seen -= len("holdfast: slot B (")
    assert proof.on("B") == "0.2.0"
    proof.well()
    proof.kept()


PARTS = {"refusals": refusals, "flips": flips, "api": api, "well": well, "damaged": damaged, "unwell": unwell, "panic": panic, "hang": hang}


def main():
    proof = Proof(sys.argv[1])
    try:
        proof.prepare()
        for name in sys.argv[2:] or PARTS:
            print(f"{name}:", flush=True)
            PARTS[name](proof)
    finally:
        print(proof.board.said()[-3000:] if sys.exc_info()[0] else "", end="")
        proof.board.forget()


if __name__ == "__main__":
    main()

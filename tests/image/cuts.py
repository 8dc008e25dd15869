#!/usr/bin/env python3
"""Power cuts in an update: tests/image/cuts.py DIR, with what .ci/test-image makes there.

One update is installed and started into on the virtual board, with every write to its disk logged in its order. Then
the disk is put together again as it was after each of some sixty writes, chosen by how much of slot B had
reached it: most inside the write, some between its last block and the switch, some in the first boot of B. On each, and on
each once more with a random half of the writes lost that no flush had followed yet:

- U-Boot, run on that disk, starts a slot (on the second disk: what it would choose by the sector that it reads);
- every block of that slot is what its hash tree says (veritysetup), and before the switch the slot is A;
- `e2fsck -p` mends the data partition, `holdfast ring verify` finds no fault, and the footage of before is there.

Some of the disks are then booted until the box is well: BOOTED of them."""

import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import zlib

import board
import boot

SECTOR = 512
ENV = (1 << 20, SECTOR)
# Start and size of the partitions, from board/virtual/arm64/partitions: boot at 4 MiB, the others behind it.
SLOT_A = ((4 + 64) << 20, 576 << 20)
SLOT_B = (SLOT_A[0] + SLOT_A[1], SLOT_A[1])
DATA_AT = SLOT_B[0] + SLOT_B[1]
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
INSIDE, BETWEEN, AFTER = 40, 8, 16
# How many of each kind are booted until the box is well.
BOOTED = {"inside the write": 2, "before the switch": 1, "first boot of B": 2}
# Of the package that the images are made of; qemu-user runs it.
HOLDFAST = board.TREE / "target/cross/aarch64-unknown-linux-gnu/release/holdfast"


def entries(log):
    """The writes of a log: where, what, whether all before it is on the medium, whether it is itself."""
    with open(log, "rb") as file:
        magic, _, count, size = struct.unpack("<QQQI", file.read(28))
        assert magic == 0x6A736677736872, "not a log of writes"
        file.seek(size)
        for _ in range(count):
            sector, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
            file.seek(size - 32, 1)
            if flags & (DISCARD | MARK):
                continue
            yield sector * size, file.read(sectors * size), bool(flags & FLUSH), bool(flags & FUA)


def within(at, place):
    """Whether an offset lies in a place of the disk."""
    return place[0] <= at < place[0] + place[1]


def plan(log):
    """After which writes the power is cut, each with its kind."""
    kinds, begun, switched = [], False, False
    for number, (at, data, _, _) in enumerate(entries(log)):
        if not data:
            kinds.append("flush")
            continue
        assert not within(at, SLOT_A), f"write {number} goes into the slot that runs"
        if within(at, ENV) and b"BOOT_ORDER=B" in data:
            switched = True
        if within(at, SLOT_B):
            begun = True
        last = within(at, SLOT_B)
        kinds.append("after" if switched else "write" if last else "other" if begun else "before")
    writes = [number for number, kind in enumerate(kinds) if kind == "write"]
    cuts = {writes[i * (len(writes) - 1) // (INSIDE - 1)]: "inside the write" for i in range(INSIDE)}
    between = [number for number in range(writes[-1] + 1, len(kinds)) if kinds[number] == "other"]
    cuts |= {number: "before the switch" for number in spread(between, BETWEEN)}
    cuts |= {number: "first boot of B" for number in spread([n for n, kind in enumerate(kinds) if kind == "after"], AFTER)}
    return cuts


def spread(numbers, count):
    """`count` of them, evenly, with the first and the last."""
    if len(numbers) <= count:
        return numbers
    return [numbers[i * (len(numbers) - 1) // (count - 1)] for i in range(count)]


class Disk:
    """The disk as it was after some write."""

    def __init__(self, base):
        self.path = base
        self.file = open(base, "r+b")
        self.verified = None
        self.writes_to_b = 0
        # What no flush followed yet: where, and what was there before.
        self.unsure = []

    def apply(self, at, data, flushed, sure):
        """One entry of the log."""
        if flushed:
            self.unsure = []
        if data:
            old = self.put(at, data)
            self.writes_to_b += within(at, SLOT_B)
            if not sure:
                self.unsure.append((at, old, data))

    def put(self, at, data):
        """Writes; returns what was there."""
        self.file.seek(at)
        old = self.file.read(len(data))
        self.file.seek(at)
        self.file.write(data)
        return old

    def lose(self, chance):
        """A random half of what no flush followed never reached the medium; returns how many writes that were."""
        kept = [chance.random() < 0.5 for _ in self.unsure]
        for at, old, _ in reversed(self.unsure):
            self.put(at, old)
        for (at, _, data), keep in zip(self.unsure, kept):
            if keep:
                self.put(at, data)
        return len(kept) - sum(kept)

    def find(self):
        """Takes back `lose`."""
        for at, _, data in self.unsure:
            self.put(at, data)

    def read(self, place):
        """A part of it."""
        self.file.flush()
        self.file.seek(place[0])
        return self.file.read(place[1])

    def chosen(self):
        """What boot.cmd starts by the sector: it must be whole."""
        sector = self.read(ENV)
        assert zlib.crc32(sector[4:]) == struct.unpack("<I", sector[:4])[0], "the boot loader's sector is torn"
        told = dict(word.split("=", 1) for word in sector[4:].split(b"\0\0")[0].decode().split("\0"))
        return next(slot for slot in told["BOOT_ORDER"].split() if int(told[f"BOOT_{slot}_LEFT"]) > 0)

    def board(self, image):
        """A board with this disk; what it writes goes elsewhere."""
        self.file.flush()
        return board.Board(self.path, disk_mib=2048, loader=f"{image}.u-boot.bin")

    def started(self, image):
        """The slot that U-Boot starts from this disk."""
        guest = self.board(image)
        try:
            guest.power_on()
            guest.says(r"Starting kernel", 300)
            return re.findall(r"holdfast: slot ([AB]) \(", guest.said())[-1]
        finally:
            guest.forget()

    def check_slot(self, slot, again=False):
        """Every block of the slot is what its hash tree says."""
        key = (slot, self.writes_to_b if slot == "B" else 0)
        if key == self.verified and not again:
            return
        place = SLOT_A if slot == "A" else SLOT_B
        part = self.path.parent / "slot"
        part.write_bytes(self.read(place))
        name, offset, root_hash = part.read_bytes()[-4096:].split(b"\n")[0].decode().strip("\0").split()
        assert name == "HFV1", f"slot {slot} holds no image"
        board.run("veritysetup", "verify", part, part, root_hash, f"--hash-offset={offset}")
        part.unlink()
        self.verified = key

    def footage(self):
        """The data partition comes back by itself, with a ring that is whole: since when, and how many fragments."""
        part = self.path.parent / "data"
        self.file.flush()
        board.run("dd", f"if={self.path}", f"of={part}", "bs=1M", f"skip={DATA_AT >> 20}", "conv=sparse", "status=none")
        status = subprocess.run(["e2fsck", "-p", part], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        assert status < 4, f"e2fsck -p ends with {status}"
        place = self.path.parent / "mounted"
        place.mkdir(exist_ok=True)
        board.run("mount", "-o", "loop", part, place)
        try:
            data = place / "var/lib/holdfast"
            board.run(HOLDFAST, "ring", "verify", "--data-dir", data, stdout=subprocess.DEVNULL)
            said = subprocess.run([HOLDFAST, "ring", "ls", "--data-dir", data], check=True, stdout=subprocess.PIPE, text=True).stdout
        finally:
            board.run("umount", place)
            part.unlink()
        return re.search(r"run +(\S+)", said)[1], sum(map(int, re.findall(r"(\d+) fragments", said)))


def record(directory, work):
    """Installs and starts one update; leaves `base.img`, the disk before it, and `log`, every write."""
    copy = boot.with_drop(directory / "test-a.img")
    guest = board.Board(copy, disk_mib=2048)
    stick = work / "stick.img"
    files = work / "files"
    files.mkdir()
    shutil.copy(directory / "test-b.raucb", files)
    board.run("mke2fs", "-q", "-t", "ext4", "-d", files, stick, "512M")
    guest.extra = ["-drive", f"if=none,id=stick,format=raw,readonly=on,file={stick}", "-device", "virtio-blk-pci,drive=stick"]
    well = "until systemctl is-active -q holdfast-mark-good; do sleep 5; done"
    try:
        guest.power_on()
        guest.run(well, seconds=1500)
        guest.run("systemd-run --quiet --on-active=2 systemctl poweroff")
        guest.process.wait(600)
        board.run("qemu-img", "convert", "-O", "raw", guest.disk, work / "base.img")
        guest.write_log = work / "log"
        guest.power_on()
        guest.run(f"{well}; mkdir -p /run/stick && mount -o ro /dev/vdb /run/stick && rauc install /run/stick/test-b.raucb", seconds=3000)
        guest.run("systemd-run --quiet --on-active=2 systemctl reboot")
        guest.says(r"holdfast: slot B \(")
        guest.agent = None
        guest.run(well, seconds=1500)
        guest.run("systemd-run --quiet --on-active=2 systemctl poweroff")
        guest.process.wait(600)
    finally:
        guest.forget()
        shutil.rmtree(copy.parent)


class Judge:
    """What must hold of every disk."""

    def __init__(self, disk, image):
        self.disk, self.image = disk, image
        self.since, self.fragments = disk.footage()
        self.chance = random.Random(2026)

    def check(self, kind):
        """The power is cut here: nothing is lost, then half of what was not flushed."""
        slot = self.disk.started(self.image)
        assert slot == self.disk.chosen(), "U-Boot chooses another slot than its sector says"
        self.holds(kind, slot)
        lost = self.disk.lose(self.chance)
        self.holds(kind, self.disk.chosen(), again=lost > 0)
        self.disk.find()
        return slot, lost

    def holds(self, kind, slot, again=False):
        """A slot that is whole, and the footage of before."""
        assert kind == "first boot of B" or slot == "A", f"slot {slot} is started"
        self.disk.check_slot(slot, again)
        since, fragments = self.disk.footage()
        assert since[:18] == self.since[:18] and fragments >= self.fragments, (self.since, self.fragments, since, fragments)

    def boots(self, slot):
        """All the way: the box is well on this slot."""
        guest = self.disk.board(self.image)
        try:
            guest.power_on()
            guest.run("until systemctl is-active -q holdfast-mark-good; do sleep 5; done", seconds=1500)
            assert guest.run(". /run/holdfast-image/boot && echo $SLOT").strip() == slot
            return guest.up_seconds()
        finally:
            guest.forget()


def main():
    directory = pathlib.Path(sys.argv[1])
    work = directory / "cuts"
    if not (work / "complete").exists():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        record(directory, work)
        (work / "complete").touch()
    cuts = plan(work / "log")
    disk_file = work / "disk.img"
    board.run("cp", "--sparse=always", work / "base.img", disk_file)
    disk = Disk(disk_file)
    judge = Judge(disk, directory / "test-a.img")
    print(f"before: footage since {judge.since}, {judge.fragments} fragments", flush=True)
    told, to_boot = {}, dict(BOOTED)
    for number, entry in enumerate(entries(work / "log")):
        disk.apply(*entry)
        if (kind := cuts.get(number)) is None:
            continue
        try:
            slot, lost = judge.check(kind)
            told[kind] = told.get(kind, 0) + 1
            said = f"write {number}, {kind}: slot {slot}, whole; ring kept; and with {lost} of {len(disk.unsure)} unflushed writes lost"
            # Spread over the kind: every sixth of it.
            if to_boot[kind] and told[kind] % 6 == 4:
                to_boot[kind] -= 1
                said += f"; booted, well after {judge.boots(slot):.0f} s"
        except AssertionError as fault:
            raise AssertionError(f"cut after write {number} ({kind}): {fault}") from fault
        print(said, flush=True)
    assert told["inside the write"] >= 30 and sum(told.values()) >= 50, told
    print(", ".join(f"{count} cuts {kind}" for kind, count in told.items()) + ": always a whole slot, data mended, ring kept")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

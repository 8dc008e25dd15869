#!/usr/bin/env python3
"""Power cuts in an update: tests/image/cuts.py DIR, with what .ci/test-image makes there.

One update is installed and started into on the virtual board, with every write to its disk logged in its order. Then
the disk is put together again as it was after each of some sixty writes, chosen by how much of slot B had
reached it: most inside the write, some between its last block and the switch, some in the first boot of B. On each:
the boot loader's sector is whole; the slot that it would start first is whole to its last block; `e2fsck -p` mends
the data partition, and the ring on it holds what it held. What this does not show: writes that a disk reorders."""

import pathlib
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
FLUSH, DISCARD, MARK = 1, 4, 8
INSIDE, BETWEEN, AFTER = 40, 8, 16


def entries(log):
    """The writes of a log: where, and what."""
    with open(log, "rb") as file:
        magic, _, count, size = struct.unpack("<QQQI", file.read(28))
        assert magic == 0x6A736677736872, "not a log of writes"
        file.seek(size)
        for _ in range(count):
            sector, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
            file.seek(size - 32, 1)
            if flags & (DISCARD | MARK):
                continue
            data = file.read(sectors * size)
            if data:
                yield sector * size, data


def within(at, place):
    """Whether an offset lies in a place of the disk."""
    return place[0] <= at < place[0] + place[1]


def plan(log):
    """After which writes the power is cut, each with its kind."""
    kinds, begun, switched = [], False, False
    for number, (at, data) in enumerate(entries(log)):
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

    def write(self, at, data):
        """One write of the log."""
        self.file.seek(at)
        self.file.write(data)
        self.writes_to_b += within(at, SLOT_B)

    def read(self, place):
        """A part of it."""
        self.file.flush()
        self.file.seek(place[0])
        return self.file.read(place[1])

    def first_slot(self):
        """What boot.cmd would start: the counters must be whole."""
        sector = self.read(ENV)
        assert zlib.crc32(sector[4:]) == struct.unpack("<I", sector[:4])[0], "the boot loader's sector is torn"
        told = dict(word.split("=", 1) for word in sector[4:].split(b"\0\0")[0].decode().split("\0"))
        return next(slot for slot in told["BOOT_ORDER"].split() if int(told[f"BOOT_{slot}_LEFT"]) > 0)

    def check_slot(self, slot):
        """Every block of the slot is what its hash tree says."""
        if (key := (slot, self.writes_to_b if slot == "B" else 0)) == self.verified:
            return
        place = SLOT_A if slot == "A" else SLOT_B
        part = self.path.parent / "slot"
        part.write_bytes(self.read(place))
        name, offset, root_hash = part.read_bytes()[-4096:].split(b"\n")[0].decode().split()
        assert name == "HFV1", f"slot {slot} holds no image"
        board.run("veritysetup", "verify", part, part, root_hash, f"--hash-offset={offset}")
        part.unlink()
        self.verified = key

    def check_data(self):
        """The data partition comes back by itself, with the ring on it; returns the ring's slots."""
        part = self.path.parent / "data"
        self.file.flush()
        board.run("dd", f"if={self.path}", f"of={part}", "bs=1M", f"skip={DATA_AT >> 20}", "conv=sparse", "status=none")
        status = subprocess.run(["e2fsck", "-p", part], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        assert status < 4, f"e2fsck -p ends with {status}"
        command = ["debugfs", "-R", "ls -l /var/lib/holdfast/ring", part]
        listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        part.unlink()
        return len(listed.splitlines())


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
    ring = disk.check_data()
    told = {}
    for number, (at, data) in enumerate(entries(work / "log")):
        disk.write(at, data)
        if (kind := cuts.get(number)) is None:
            continue
        slot = disk.first_slot()
        disk.check_slot(slot)
        now = disk.check_data()
        assert now >= ring, f"cut after write {number} ({kind}): the ring had {ring} files, now {now}"
        assert kind == "first boot of B" or slot == "A", f"cut after write {number} ({kind}) boots {slot}"
        told[kind] = told.get(kind, 0) + 1
    assert told["inside the write"] >= 30 and sum(told.values()) >= 50, told
    print(", ".join(f"{count} cuts {kind}" for kind, count in told.items()) + ": always a whole slot, data mended, ring kept")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

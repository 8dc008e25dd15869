#!/usr/bin/env python3
"""Flipped bits of an update: tests/image/flips.py [COUNT] [SEED]

A small bundle is made as `make bundle` makes one, and COUNT of its bits (1,000 by default) are flipped, one at a time:
in the image, in its hash tree, in the signed manifest, in signature and certificate, in the length at the end. Each
copy goes through the two checks of a box: RAUC's of the signature, and dm-verity's of all blocks against the root
hash that is signed. Says which check found how many.

No copy may pass both and be another update. Some bits of the CMS message are in no signature (RFC 5652: versions,
content type, unsigned copies of identifiers): OpenSSL ignores them, and RAUC accepts the bundle. Then what RAUC reads
in it must be, word for word, what it reads in the original, and all blocks are right: the same image is installed."""

import collections
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
BLOCK = 4096
IMAGE_BLOCKS = 1024


def make_bundle(work):
    """A signed bundle with an image of 4 MiB, which no compression shortens."""
    image = random.Random(0).randbytes(IMAGE_BLOCKS * BLOCK)
    (work / "small.slot").write_bytes(image)
    facts = "VERSION=0.2.0\nCOMPATIBLE=holdfast-test\nEPOCH=1700000000\nSHA256=0\n"
    (work / "small.slot.facts").write_text(facts)
    keys = {**os.environ, "KEYS": str(work / "keys")}
    for command in ([TREE / "image/keys.sh", work / "keys"], [TREE / "image/bundle.sh", work / "small.slot", work / "small.raucb"]):
        subprocess.run(command, check=True, env=keys, stdout=subprocess.DEVNULL)
    return (work / "small.raucb").read_bytes()


class Bundle:
    """Where the parts of a bundle are: a squashfs, its hash tree, the CMS message with the manifest, its length."""

    def __init__(self, whole):
        length = int.from_bytes(whole[-8:], "big")
        self.size, self.cms = len(whole), len(whole) - 8 - length
        manifest = re.search(rb"\[update\]\n.*filename=[^\n]*\n", whole[self.cms :], re.S)
        facts = dict(re.findall(r"verity-(\w+)=(\w+)", manifest[0].decode()))
        self.root_hash, self.salt = facts["hash"], facts["salt"]
        self.tree = self.cms - int(facts["size"])
        at, end = self.cms + manifest.start(), self.cms + manifest.end()
        self.parts = {
            "image": [(0, self.tree)],
            "hash tree": [(self.tree, self.cms)],
            "manifest": [(at, end)],
            "signature": [(self.cms, at), (end, self.size - 8)],
            "length": [(self.size - 8, self.size)],
        }

    def places(self, count, dice):
        """So many different bits, a fifth of them in each part; the length has only 64."""
        for part, ranges in self.parts.items():
            bits = [range(begin * 8, end * 8) for begin, end in ranges]
            total = sum(len(one) for one in bits)
            for number in dice.sample(range(total), min(total, count // (len(self.parts) - 1))):
                for one in bits:
                    if number < len(one):
                        yield part, one[number]
                        break
                    number -= len(one)

    def found_by(self, file, keyring):
        """The check that refuses the bundle in `file`, or what RAUC reads in it if both accept it."""
        signature = subprocess.run(["rauc", "info", f"--keyring={keyring}", file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if signature.returncode:
            return "the signature"
        tree = ["veritysetup", "verify", "--no-superblock", "--format=1", "--hash=sha256", f"--data-block-size={BLOCK}"]
        tree += [f"--hash-block-size={BLOCK}", f"--data-blocks={self.tree // BLOCK}", f"--hash-offset={self.tree}"]
        tree += [f"--salt={self.salt}", file, file, self.root_hash]
        path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        blocks = subprocess.run(tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=path)
        return "dm-verity" if blocks.returncode else signature.stdout


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    work = pathlib.Path(tempfile.mkdtemp(prefix="flips."))
    try:
        whole = make_bundle(work)
        bundle, keyring, file = Bundle(whole), work / "keys/ca.pem", work / "flipped.raucb"
        file.write_bytes(whole)
        original = bundle.found_by(file, keyring)
        assert isinstance(original, bytes), f"the bundle itself is refused by {original}"
        found, other = collections.Counter(), []
        with file.open("r+b", buffering=0) as flipped:
            for part, bit in bundle.places(count, random.Random(seed)):
                at, mask = bit // 8, 1 << bit % 8
                for byte in (whole[at] ^ mask, whole[at]):
                    flipped.seek(at)
                    flipped.write(bytes([byte]))
                    if byte != whole[at]:
                        check = bundle.found_by(file, keyring)
                if isinstance(check, bytes):
                    other += [(part, at, mask)] if check != original else []
                    check = "nothing: in no signature, the same update"
                found[part, check] += 1
        for (part, check), times in sorted(found.items()):
            print(f"{times:5} bits of the {part}: found by {check}")
        print(f"{found.total()} bits flipped (seed {seed}), accepted as another update: {len(other)}")
        assert not other, other
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()

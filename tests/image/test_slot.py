"""What the image decides about its slots (image/root/usr/lib/holdfast/slot), with a disk, counters and commands that are
stand-ins: which image is on trial, which is left, which is refused."""

import os
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "image/root/usr/lib/holdfast/slot"
A_HASH, B_HASH = "a" * 64, "b" * 64
B_IMAGE = "5" * 64
STUBS = {
    "fw_printenv": 'sed -n "s/^$2=//p" "$HOLDFAST_ROOT/env"',
    "fw_setenv": 'cat "$HOLDFAST_ROOT/env" "$2" | awk -F= \'{ all[$1] = $0 } END { for (k in all) print all[k] }\' >"$HOLDFAST_ROOT/env.new"'
    ' && mv "$HOLDFAST_ROOT/env.new" "$HOLDFAST_ROOT/env"',
    "setpriv": 'echo "$*" >>"$HOLDFAST_ROOT/noted"',
}


class Slot(unittest.TestCase):
    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name)
        for name in ("usr/lib/holdfast", "run/holdfast-image", "data/image", "bin", "dev", "bundle"):
            (self.root / name).mkdir(parents=True)
        for name, body in STUBS.items():
            (self.root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (self.root / "bin" / name).chmod(0o755)
        self.write("usr/lib/holdfast/image", "VERSION=1.2.0\nMINIMUM_VERSION=1.0.0\nCOMPATIBLE=holdfast-test\n")
        self.write("data/image/rauc.status", f"[slot.rootfs.0]\nsha256={'4' * 64}\n\n[slot.rootfs.1]\nsha256={B_IMAGE}\n")
        self.boots("A", A_HASH)
        self.counts("A B", 2, 0)
        self.slot_holds(3, B_HASH)

    def write(self, name, text):
        (self.root / name).write_text(text)

    def read(self, name):
        path = self.root / name
        return path.read_text() if path.exists() else ""

    def boots(self, slot, root_hash, recovery=""):
        disk = self.root / "dev/vda"
        self.write("run/holdfast-image/boot", f"SLOT={slot}\nHASH={root_hash}\nDISK={disk}\nRECOVERY={recovery}\n")

    def counts(self, order, a_left, b_left):
        self.write("env", f"BOOT_ORDER={order}\nBOOT_A_LEFT={a_left}\nBOOT_B_LEFT={b_left}\n")

    def slot_holds(self, partition, root_hash):
        footer = f"HFV1 1048576 {root_hash}\n".encode() if root_hash else b""
        (self.root / f"dev/vda{partition}").write_bytes(bytes(8192) + footer.ljust(4096, b"\0"))

    def bundle(self, version, image):
        self.write("bundle/image", f"VERSION={version}\nSHA256={image}\n")

    def slot(self, what, works=True):
        variables = {**os.environ, "HOLDFAST_ROOT": str(self.root), "RAUC_UPDATE_SOURCE": f"{self.root}/bundle"}
        variables["PATH"] = f"{self.root}/bin:{variables['PATH']}"
        done = subprocess.run(["sh", SCRIPT, what], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode == 0, works, done.stdout)
        return done.stdout

    def test_the_first_image_of_a_box_is_not_on_trial(self):
        self.slot("begin")
        self.assertFalse((self.root / "run/holdfast-on-trial").exists())
        self.assertEqual(self.read("noted"), "")

    def test_an_update_is_on_trial_until_it_is_well(self):
        self.slot("good")
        self.boots("B", B_HASH)
        self.counts("B A", 3, 2)
        self.slot("begin")
        self.assertTrue((self.root / "run/holdfast-on-trial").exists())
        self.bundle("1.3.0", "6" * 64)
        self.assertIn("on trial itself", self.slot("check", works=False))
        self.slot("good")
        self.assertFalse((self.root / "run/holdfast-on-trial").exists())
        self.assertEqual(self.read("data/image/good"), f"{A_HASH} 1.2.0\n{B_HASH} 1.2.0\n")
        self.slot("begin")
        self.assertFalse((self.root / "run/holdfast-on-trial").exists())

    def test_an_image_that_did_not_boot_three_times_is_left_and_refused(self):
        self.slot("good")
        self.counts("B A", 2, 0)
        self.slot("begin")
        self.assertIn("BOOT_ORDER=A\n", self.read("env"))
        self.assertIn("BOOT_B_LEFT=0\n", self.read("env"))
        self.assertIn("note-fallback", self.read("noted"))
        self.bundle("1.3.0", B_IMAGE)
        self.assertIn("did not get well in three boots", self.slot("check", works=False))
        self.bundle("1.3.1", "6" * 64)
        self.slot("check")

    def test_an_image_that_does_not_load_is_left_at_once(self):
        self.slot("good")
        self.counts("B A", 2, 2)
        self.assertIn("it could not be loaded; slot A runs again", self.slot("begin"))
        self.assertIn("BOOT_ORDER=A\n", self.read("env"))
        self.assertIn("BOOT_B_LEFT=0\n", self.read("env"))

    def test_an_image_that_was_well_before_may_be_installed_again(self):
        for footer in (B_HASH, None):
            self.write("data/image/good", f"{A_HASH} 1.2.0\n{B_HASH} 1.3.0\n")
            self.slot_holds(3, footer)
            self.counts("B A", 2, 0)
            self.slot("begin")
            self.assertIn("BOOT_ORDER=A\n", self.read("env"))
            self.assertEqual(self.read("data/image/bad"), "")

    def test_an_image_that_is_not_well_in_time_is_left(self):
        self.slot("good")
        self.boots("B", B_HASH)
        self.counts("B A", 3, 2)
        self.slot("give-up")
        self.assertIn("BOOT_ORDER=B A\n", self.read("env"), "it was not on trial")
        self.slot("begin")
        self.slot("give-up")
        self.assertIn("BOOT_ORDER=A\n", self.read("env"))
        self.assertEqual(self.read("data/image/bad"), f"{B_IMAGE} it was not well within five minutes\n")

    def test_what_is_older_than_the_oldest_is_refused(self):
        for version, works in (("0.9.9", False), ("1.0.0", True), ("1.1.9", True), ("1.10.0", True)):
            self.bundle(version, "6" * 64)
            self.slot("check", works)
        (self.root / "bundle/image").unlink()
        self.slot("check", works=False)

    def test_recovery_judges_nothing(self):
        self.slot("good")
        self.boots("A", "c" * 64, "yes")
        self.counts("B A", 0, 0)
        before = self.read("env")
        self.slot("begin")
        self.assertEqual(self.read("env"), before)
        self.assertFalse((self.root / "run/holdfast-on-trial").exists())


if __name__ == "__main__":
    unittest.main()

"""Which update of a stick is installed (image/root/usr/lib/holdfast/stick-update), with a stick and an RAUC that are
stand-ins."""

import os
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "image/root/usr/lib/holdfast/stick-update"
STUBS = {
    "mount": 'cp "$HOLDFAST_ROOT/stick/"* "$HOLDFAST_ROOT/run/holdfast-image/stick/"',
    "umount": "true",
    "systemctl": 'echo "$*" >>"$HOLDFAST_ROOT/done"',
    # A bundle here is its version; one that is empty is not signed.
    "rauc": 'case $1 in\ninfo) [ -s "$3" ] && printf "RAUC_MF_VERSION=\'%s\'\\nRAUC_IMAGE_DIGEST_0=\'image-%s\'\\n" "$(cat "$3")" "$(cat "$3")" ;;\n'
    '*) echo "$1 $(cat "$2")" >>"$HOLDFAST_ROOT/done" ;;\nesac',
}


class Stick(unittest.TestCase):
    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.root = pathlib.Path(made.name)
        for name in ("usr/lib/holdfast", "run", "data/image", "bin", "dev", "stick"):
            (self.root / name).mkdir(parents=True)
        for name, body in STUBS.items():
            (self.root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
            (self.root / "bin" / name).chmod(0o755)
        (self.root / "usr/lib/holdfast/image").write_text("VERSION=0.10.0\n")

    def plugged_in(self, *versions):
        """What is done with a stick that holds these."""
        for number, version in enumerate(versions):
            (self.root / f"stick/{number}.raucb").write_text(version)
        variables = {**os.environ, "HOLDFAST_ROOT": str(self.root), "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        self.said = subprocess.run(["sh", SCRIPT], env=variables, check=True, stdout=subprocess.PIPE, text=True).stdout
        done = self.root / "done"
        return done.read_text().splitlines() if done.exists() else []

    def test_the_newest_update_is_installed_and_started(self):
        self.assertEqual(self.plugged_in("0.9.0", "0.11.0", "0.10.1"), ["install 0.11.0", "--no-block reboot"])

    def test_what_a_slot_holds_is_not_installed_again(self):
        (self.root / "data/image/rauc.status").write_text("[slot.rootfs.1]\nsha256=image-0.11.0\n")
        self.assertEqual(self.plugged_in("0.11.0"), [])

    def test_a_forgotten_stick_undoes_no_update(self):
        self.assertEqual(self.plugged_in("0.9.0", "0.2.0"), [])
        self.assertIn("0.9.0 on the stick is older than 0.10.0", self.said)

    def test_what_is_not_signed_for_this_box_is_passed_over(self):
        self.assertEqual(self.plugged_in("", "0.11.0"), ["install 0.11.0", "--no-block reboot"])
        self.assertIn("0.raucb is not an update for this box", self.said)


if __name__ == "__main__":
    unittest.main()

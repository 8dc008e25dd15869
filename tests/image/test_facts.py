"""What of the image can be checked in a second: the boards' files, and what Raspberry Pi Imager reads."""

import copy
import json
import pathlib
import re
import shlex
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TREE / "image"))
import imager  # noqa: E402

FILES = {"README.md", "board.toml", "cmdline", "firmware", "image.conf", "partitions"}
SECTIONS = ["Flashing", "Serial console", "Known faults", "Last run on real hardware"]
BOARDS = sorted(path.parent for path in (TREE / "board").glob("*/*/board.toml"))
KEYS = ["IMAGE", "YOCTO_MACHINE", "COMPATIBLE", "U_BOOT", "DTB", "MODULES", "WATCHDOG", "DEVICES"]


def conf(board):
    """What `image.conf` of a board says."""
    words = shlex.split((board / "image.conf").read_text(), comments=True)
    return dict(word.split("=", 1) for word in words)


def partitions(board):
    """The rows of `partitions`: name, MiB, content."""
    rows = [line.split() for line in (board / "partitions").read_text().splitlines() if line[:1] not in ("#", "")]
    return [(name, int(mib), content) for name, mib, content, *_ in rows]


class Boards(unittest.TestCase):
    def test_every_board_has_the_same_files(self):
        self.assertGreaterEqual(len(BOARDS), 8)
        for board in BOARDS:
            self.assertEqual({path.name for path in board.iterdir()}, FILES, board)

    def test_every_readme_answers_the_same_questions(self):
        for board in BOARDS:
            text = (board / "README.md").read_text()
            self.assertEqual(re.findall("^## (.*)$", text, re.M), SECTIONS, board)
            told = re.search(r'^last_run_on_real_hardware = "(.*)"$', (board / "board.toml").read_text(), re.M)[1]
            section = text.split("## Last run on real hardware\n")[1].strip()
            self.assertTrue(section.lower().startswith(told), f"{board}: {section}")

    def test_image_facts_are_complete(self):
        images, machines = [], []
        for board in BOARDS:
            facts = conf(board)
            self.assertEqual(list(facts), KEYS, board)
            images += [facts["IMAGE"]] if facts["IMAGE"] else []
            machines += [facts["YOCTO_MACHINE"]] if facts["YOCTO_MACHINE"] else []
            if facts["IMAGE"]:
                self.assertTrue(facts["COMPATIBLE"] and facts["U_BOOT"], board)
            if facts["WATCHDOG"]:
                self.assertTrue((TREE / f"systemd/system.conf.d/{facts['WATCHDOG']}.conf").is_file(), board)
            self.assertEqual(len((board / "cmdline").read_text().splitlines()), 1, board)
        self.assertEqual(sorted(images), ["qemu-arm64", "raspberrypi3", "raspberrypi4"])
        self.assertEqual(len(set(machines)), len(machines))

    def test_both_image_paths_read_the_boards_facts(self):
        machines = {conf(board)["YOCTO_MACHINE"] for board in BOARDS} - {""}
        self.assertEqual({path.stem for path in (TREE / "yocto/kas").glob("*.yml")}, machines)
        facts = (TREE / "yocto/meta-holdfast/classes/holdfast_board.bbclass").read_text()
        scripts = "".join((TREE / f"image/{name}").read_text() for name in ("board.sh", "slot.sh", "disk.sh"))
        for file in ("image.conf", "partitions", "cmdline"):
            self.assertIn(file, facts)
            self.assertIn(file, scripts)
        for wks in (TREE / "yocto/meta-holdfast/files/wic").iterdir():
            self.assertNotRegex(wks.read_text(), r"--(fixed-)?size +\d", f"{wks.name}: sizes are the board's")

    def test_both_slots_take_the_same_image(self):
        for board in BOARDS:
            rows = partitions(board)
            self.assertEqual([name for name, _, _ in rows], ["boot", "root-a", "root-b", "data"], board)
            sizes = {name: mib for name, mib, _ in rows}
            self.assertEqual(sizes["root-a"], sizes["root-b"], board)
            self.assertLessEqual(sizes["root-a"], 700, board)


class Imager(unittest.TestCase):
    FACTS = {
        "file": "holdfast-0.1.0-raspberrypi4.img.xz",
        "version": "0.1.0",
        "board": "Raspberry Pi 4",
        "devices": ["pi4-64bit"],
        "extract_size": 1_434_451_968,
        "extract_sha256": "5" * 64,
        "image_download_size": 150_000_000,
        "release_date": "2026-11-30",
    }

    def written(self):
        """List and manifest of two images, one of them of no Raspberry Pi."""
        with tempfile.TemporaryDirectory() as name:
            place = pathlib.Path(name)
            (place / "pi.img.xz.json").write_text(json.dumps(self.FACTS))
            (place / "qemu.img.xz.json").write_text(json.dumps({**self.FACTS, "devices": []}))
            imager.write(place, "https://images.example/v1/")
            names = ("os_list_holdfast.json", "holdfast.rpi-imager-manifest")
            return [json.loads((place / name).read_text()) for name in names]

    def test_list_and_manifest_keep_the_rules(self):
        listed, local = self.written()
        self.assertEqual(imager.faults(listed) + imager.faults(local), [])
        self.assertEqual(len(listed["os_list"]), 1)
        self.assertEqual(listed["os_list"][0]["url"], "https://images.example/v1/" + self.FACTS["file"])
        self.assertTrue(local["os_list"][0]["url"].startswith("file:///"))
        # Imager's own customisation would be ignored by the box, so it is not offered.
        self.assertNotIn("init_format", listed["os_list"][0])

    def test_what_breaks_a_rule_is_found(self):
        good, _ = self.written()
        for key in imager.REQUIRED:
            broken = copy.deepcopy(good)
            del broken["os_list"][0][key]
            self.assertEqual(imager.faults(broken), [f"os_list[0].{key}: missing"])
        for key, value in [
            ("extract_sha256", "5" * 63), ("release_date", "30.11.2026"), ("url", "images/x"), ("devices", [1]),
            ("extract_size", 0), ("extract_size", "1"), ("init_format", "cloud"), ("colour", "red"),
        ]:
            broken = copy.deepcopy(good)
            broken["os_list"][0][key] = value
            self.assertEqual(len(imager.faults(broken)), 1, (key, value))
        self.assertEqual(len(imager.faults({**good, "version": 1})), 1)
        self.assertEqual(len(imager.faults({"os_list": []})), 1)


if __name__ == "__main__":
    unittest.main()

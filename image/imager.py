#!/usr/bin/env python3
"""Writes what Raspberry Pi Imager reads, and checks it.

    image/imager.py DIR --url BASE     os_list_holdfast.json and holdfast.rpi-imager-manifest in DIR, from the
                                       `<image>.json` that image/build.sh left beside each image of a Raspberry Pi
    image/imager.py --check FILE...    the rules of Imager's schema (draft-07, os-list-schema.json)

The list is for a web server: its images lie below BASE. The manifest is for one computer: it names files of
DIR, and opens in Imager with a double click. Imager's customisation is not offered: a box is claimed on its
page, and configured by `holdfast.toml` on its boot partition.
"""

import argparse
import base64
import datetime
import json
import pathlib
import re
import sys

REQUIRED = {
    "name": str,
    "description": str,
    "icon": str,
    "url": str,
    "extract_size": int,
    "extract_sha256": str,
    "image_download_size": int,
    "release_date": str,
    "devices": list,
}
OPTIONAL = {"website": str, "architecture": str, "init_format": str, "capabilities": list, "image_download_sha256": str}
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">'
    '<rect width="40" height="40" rx="8" fill="#1f2937"/><circle cx="20" cy="20" r="10" fill="#f9fafb"/>'
    '<circle cx="20" cy="20" r="5" fill="#1f2937"/></svg>'
)


def faults(document):
    """Everything in which `document` breaks the schema's rules, each with its place."""
    if not isinstance(document, dict):
        return ["the top is not an object"]
    found = [f"{key}: not a key of the top" for key in document if key not in ("os_list", "imager")]
    entries = document.get("os_list")
    if not isinstance(entries, list) or not entries:
        return [*found, "os_list: not a list of images"]
    for number, entry in enumerate(entries):
        found += [f"os_list[{number}].{fault}" for fault in entry_faults(entry)]
    return found


def entry_faults(entry):
    """The faults of one image."""
    found = []
    for key, kind in REQUIRED.items():
        if key not in entry:
            found.append(f"{key}: missing")
        elif not isinstance(entry[key], kind) or isinstance(entry[key], bool):
            found.append(f"{key}: not of type {kind.__name__}")
    for key, value in entry.items():
        if key not in REQUIRED and key not in OPTIONAL:
            found.append(f"{key}: not known")
        elif key in OPTIONAL and not isinstance(value, OPTIONAL[key]):
            found.append(f"{key}: not of type {OPTIONAL[key].__name__}")
    if found:
        return found
    if not re.fullmatch("[0-9a-f]{64}", entry["extract_sha256"]):
        found.append("extract_sha256: not 64 hexadecimal digits")
    for key in ("extract_size", "image_download_size"):
        if entry[key] <= 0:
            found.append(f"{key}: not above 0")
    try:
        datetime.date.fromisoformat(entry["release_date"])
    except ValueError:
        found.append("release_date: not a date such as 2026-11-30")
    for key in ("icon", "url"):
        if not re.match("(https?|file|data):", entry[key]):
            found.append(f"{key}: not a URL")
    if not entry["devices"] or not all(isinstance(tag, str) and tag for tag in entry["devices"]):
        found.append("devices: not a list of tags")
    if entry.get("init_format", "none") not in ("none", "systemd", "cloudinit", "cloudinit-rpi"):
        found.append("init_format: not known")
    if entry.get("architecture", "armv8") not in ("armv6", "armv8"):
        found.append("architecture: not known")
    return found


def entry_of(facts, url):
    """The entry of one image; `facts` is what image/build.sh wrote."""
    return {
        "name": f"Holdfast {facts['version']} ({facts['board']})",
        "description": "Edge video appliance: records cameras, serves RTSP and a web page. Claim it on its page.",
        "icon": "data:image/svg+xml;base64," + base64.b64encode(ICON.encode()).decode(),
        "url": url,
        "extract_size": facts["extract_size"],
        "extract_sha256": facts["extract_sha256"],
        "image_download_size": facts["image_download_size"],
        "release_date": facts["release_date"],
        "devices": facts["devices"],
        "architecture": "armv8",
    }


def write(directory, base):
    """Writes list and manifest for every image of a Raspberry Pi in `directory`."""
    listed, local = [], []
    for file in sorted(directory.glob("*.img.xz.json")):
        facts = json.loads(file.read_text())
        if not facts["devices"]:
            continue
        listed.append(entry_of(facts, f"{base.rstrip('/')}/{facts['file']}"))
        local.append(entry_of(facts, (directory / facts["file"]).resolve().as_uri()))
    if not listed:
        return
    for name, entries in (("os_list_holdfast.json", listed), ("holdfast.rpi-imager-manifest", local)):
        document = {"os_list": entries}
        if found := faults(document):
            sys.exit("\n".join(f"{name}: {fault}" for fault in found))
        (directory / name).write_text(json.dumps(document, indent=2) + "\n")
        print(directory / name)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="+", type=pathlib.Path)
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--url", default="https://holdfast.example/images")
    asked = arguments.parse_args()
    if not asked.check:
        return write(asked.files[0], asked.url)
    found = [f"{file}: {fault}" for file in asked.files for fault in faults(json.loads(file.read_text()))]
    return "\n".join(found) or None


if __name__ == "__main__":
    sys.exit(main())

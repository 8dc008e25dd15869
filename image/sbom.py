#!/usr/bin/env python3
"""Writes a bill of materials in CycloneDX 1.5 (JSON), and the licence texts of the crates.

    image/sbom.py sbom --version VERSION [--status FILE] OUT     crates and npm packages; with dpkg's status file
                                                                 of a root, its Debian packages too
    image/sbom.py licences OUT                                   the licence texts of every crate in the daemon

Crates are those that `cargo metadata` reaches from the daemon by normal dependencies on 64-bit Arm; npm packages are
those of the page's lock file, which are built into it (`required`) or used to build it (`excluded`).
The same input gives the same bytes.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import uuid

TARGET = "aarch64-unknown-linux-gnu"
TREE = pathlib.Path(__file__).resolve().parent.parent
LICENCE_NAMES = ("licen", "copying", "notice", "copyright", "unlicense")


def crates():
    """The packages of the daemon's program, from cargo: the daemon itself first."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    told = json.loads(subprocess.run(command, cwd=TREE, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    root = next(package["id"] for package in told["packages"] if package["name"] == "holdfast")
    reached, waiting = [], [root]
    while waiting:
        here = waiting.pop()
        if here in reached:
            continue
        reached.append(here)
        for dependency in nodes[here]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    first, *others = [packages[id] for id in reached]
    return [first, *sorted(others, key=lambda package: (package["name"], package["version"]))]


def component(kind, name, version, purl, licence=None, scope=None):
    """One component of CycloneDX."""
    made = {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if licence:
        made["licenses"] = [{"expression": licence}]
    if scope:
        made["scope"] = scope
    return made


def crate_components():
    """The crates but the daemon itself."""
    made = []
    for package in crates()[1:]:
        name, version = package["name"], package["version"]
        licence = (package["license"] or "").replace("/", " OR ") or None
        made.append(component("library", name, version, f"pkg:cargo/{name}@{version}", licence, "required"))
    return made


def npm_components():
    """The packages of the page's lock file."""
    lock = json.loads((TREE / "src/serve/page/package-lock.json").read_text())
    made = {}
    for path, package in lock["packages"].items():
        if not path or package.get("link"):
            continue
        name = path.split("node_modules/")[-1]
        purl = f"pkg:npm/{name.replace('@', '%40', 1)}@{package['version']}"
        scope = "excluded" if package.get("dev") else "required"
        made[purl] = component("library", name, package["version"], purl, package.get("license"), scope)
    return [made[purl] for purl in sorted(made)]


def debian_components(status):
    """The packages of a root, from dpkg's status file."""
    made = []
    for paragraph in status.read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if "Package" not in fields or "Version" not in fields:
            continue
        name, version, architecture = fields["Package"], fields["Version"], fields.get("Architecture", "all")
        encoded = version.replace("+", "%2B").replace(":", "%3A").replace("~", "%7E")
        purl = f"pkg:deb/debian/{name}@{encoded}?arch={architecture}&distro=debian-12"
        made.append(component("library", name, version, purl, scope="required"))
    return sorted(made, key=lambda one: one["purl"])


def sbom(version, status):
    """The document: crates, npm packages, Debian packages."""
    parts = crate_components() + npm_components() + (debian_components(status) if status else [])
    body = json.dumps(parts, sort_keys=True).encode()
    kind = "firmware" if status else "application"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(hashlib.sha256(body).hexdigest()[:32], version=4)}",
        "version": 1,
        "metadata": {"component": component(kind, "holdfast", version, f"pkg:generic/holdfast@{version}", "MIT OR Apache-2.0")},
        "components": parts,
    }


def licences():
    """The licence texts of every crate, each text once with the crates that carry it."""
    texts, without = {}, []
    for package in crates()[1:]:
        title = f"{package['name']} {package['version']} ({package['license'] or 'see its text'})"
        place = pathlib.Path(package["manifest_path"]).parent
        files = [file for file in sorted(place.iterdir()) if file.is_file() and file.name.lower().startswith(LICENCE_NAMES)]
        for file in files:
            texts.setdefault(file.read_text(errors="replace").strip() + "\n", []).append(title)
        if not files:
            without.append(title)
    made = ["The program contains these works of others. Each text is followed by the next line of dashes.\n"]
    if without:
        made.append("Crates that carry no text of their own; their licence is the one in brackets:\n\n" + "".join(f"    {title}\n" for title in without))
    for text, titles in sorted(texts.items(), key=lambda item: item[1]):
        made.append("\n".join(titles) + "\n\n" + text)
    return ("\n" + "-" * 72 + "\n\n").join(made)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=("sbom", "licences"))
    arguments.add_argument("--version", default="0")
    arguments.add_argument("--status", type=pathlib.Path)
    arguments.add_argument("out", type=pathlib.Path)
    asked = arguments.parse_args()
    text = licences() if asked.what == "licences" else json.dumps(sbom(asked.version, asked.status), indent=1) + "\n"
    asked.out.write_text(text)


if __name__ == "__main__":
    sys.exit(main())

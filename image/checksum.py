#!/usr/bin/env python3
"""Writes FILE.crc32, which start.cmd compares before a kernel is started: image/checksum.py FILE ...

The CRC-32 of the file, twice: most significant byte first, and last. U-Boot's `crc32` stores its result in the one order
or the other, by how it was configured: Debian's for qemu the first, for the Raspberry Pi the second."""

import pathlib
import sys
import zlib

for name in map(pathlib.Path, sys.argv[1:]):
    crc = zlib.crc32(name.read_bytes())
    name.with_name(f"{name.name}.crc32").write_bytes(crc.to_bytes(4, "big") + crc.to_bytes(4, "little"))

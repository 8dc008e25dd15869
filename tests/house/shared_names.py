#!/usr/bin/env python3
"""Which share of the types in src shares its name with another type, and which names those are.

    tests/house/shared_names.py [DIRECTORY]

A type is a struct, enum, union or trait outside of test modules. Names of which a reader must ask "which
one?" cost more than they save, so the share should fall.
"""
import collections
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / "src")
defined = re.compile(r"^\s*(?:pub(?:\([^)]*\))? )?(?:unsafe )?(?:struct|enum|union|trait) (\w+)", re.M)
places = collections.defaultdict(list)
for path in sorted(root.rglob("*.rs")):
    inside = path.relative_to(root)
    if "node_modules" in inside.parts or "tests" in inside.parts or path.name == "tests.rs":
        continue
    # A test module with a body ends the file; `mod tests;` may be anywhere.
    text = re.split(r"#\[cfg\(test\)\]\n(?:pub\S* )?mod \w+ \{", path.read_text())[0]
    for name in defined.findall(text):
        places[name].append(str(inside))
types = sum(len(where) for where in places.values())
shared = {name: where for name, where in places.items() if len(where) > 1}
sharing = sum(len(where) for where in shared.values())
for name, where in sorted(shared.items(), key=lambda item: (-len(item[1]), item[0])):
    print(f"{len(where):3} {name}: {', '.join(where)}")
print(f"{sharing} of {types} types share their name with another: {100 * sharing / types:.0f} %")

#!/usr/bin/env python3
"""Keeps what is derived in this folder in step: the value lists and the digests that bind files and approvals.

`lists` reads the installed Debian packages. A value's place in its file is what a report says, so values that are
already listed keep their place for good, also when their package drops them; new ones go to the end.
`covers` recomputes the digest of the text that the newest review of each metric approved.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

REGISTRY = Path(__file__).resolve().parent
MAX_VALUES = 256  # the subset mechanism's limit
ABSENT_AND_OTHER = ("none", "other")

LOCALES = Path("/usr/share/i18n/SUPPORTED")  # package locales
LAYOUTS = Path("/usr/share/X11/xkb/rules/base.lst")  # package xkb-data
PCI_IDS = Path("/usr/share/misc/pci.ids")  # package pci.ids

# Vendors of display devices with a Linux driver, by PCI id: first what drives desktops and laptops, then virtual
# machines and servers, then the rarer ones. Makers of chips that are not on PCI have an id from other devices.
GPU_VENDORS = (
    "8086", "1002", "10de", "106b", "13b5", "17cb", "14e4",
    "1af4", "15ad", "80ee", "1414", "1013", "1a03", "102b",
    "0014", "0731", "1106", "1d17", "6766", "1ed5", "1ec8", "1db7", "19e5", "126f", "1039", "18ca", "5333", "1010",
)  # fmt: skip


def read_languages() -> Iterator[str]:
    """Language codes of glibc's locales; C is not a language."""
    for line in LOCALES.read_text(encoding="utf-8").splitlines():
        code = re.match(r"[a-z]+", line)
        if code:
            yield code[0]


def read_layouts() -> Iterator[str]:
    """First words of the lines under `! layout`."""
    section = ""
    for line in LAYOUTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("! "):
            section = line[2:].strip()
        elif section == "layout" and line.strip():
            yield line.split()[0]


def read_gpu_vendors() -> Iterator[str]:
    """Vendor names up to any bracket, in the order of GPU_VENDORS."""
    names = {}
    for line in PCI_IDS.read_text(encoding="utf-8").splitlines():
        if vendor := re.match(r"([0-9a-f]{4})  ([^\[(]+)", line):
            names[vendor[1]] = vendor[2].strip()
    return (names[vendor_id] for vendor_id in GPU_VENDORS)


LISTS: dict[str, Callable[[], Iterator[str]]] = {
    "languages.txt": read_languages,
    "keyboard_layouts.txt": read_layouts,
    "gpu_vendors.txt": read_gpu_vendors,
}


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def replace_once(path: Path, pattern: str, replacement: str) -> None:
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(pattern, lambda match: match[1] + replacement, text)
    if count != 1:
        raise SystemExit(f"editing {path.name}: {count} places match {pattern!r}, not one")
    path.write_text(changed, encoding="utf-8")


def refresh_lists() -> None:
    for name, read in LISTS.items():
        path = REGISTRY / "values" / name
        listed = path.read_text(encoding="utf-8").splitlines() if path.exists() else list(ABSENT_AND_OTHER)
        values = list(dict.fromkeys([*listed, *read()]))
        if len(values) > MAX_VALUES:
            raise SystemExit(f"{name} would have {len(values)} values; at most {MAX_VALUES} are possible")
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{value}\n" for value in values), encoding="utf-8")
        print(f"{name}: {len(values)} values, {len(values) - len(listed)} new")
        for toml in sorted(REGISTRY.glob("*.toml")):
            named = f'values_file = "values/{name}"\n'
            if named in toml.read_text(encoding="utf-8"):
                replace_once(toml, f'({re.escape(named)}values_sha256 = ")[^"]*', digest(path.read_bytes()))


def canonical(value: Any) -> Any:
    """The value with dates as text; refuses what json.dumps would write otherwise than RFC 8785."""
    match value:
        case dict():
            if not all(key.isascii() for key in value):
                raise SystemExit(f"keys must be ASCII to sort alike everywhere: {sorted(value)}")
            return {key: canonical(item) for key, item in value.items()}
        case list():
            return [canonical(item) for item in value]
        case date():
            return value.isoformat()
        case bool() | str():
            return value
        case int() if abs(value) < 1 << 53:
            return value
    raise SystemExit(f"{value!r} has no place in a registry: numbers with a fraction are written as text")


def covered(namespace: str, metric: dict[str, Any]) -> str:
    """Digest of the text that an approval is about."""
    text = {key: item for key, item in metric.items() if key not in ("status", "review")}
    ordered = canonical(text | {"namespace": namespace})
    return digest(json.dumps(ordered, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def refresh_covers(check: bool) -> int:
    """Older reviews keep the digest of the text they approved; only the newest can speak for today's."""
    stale = 0
    for path in sorted(REGISTRY.glob("*.toml")):
        registry = tomllib.loads(path.read_text(encoding="utf-8"))
        for key, metric in registry["metric"].items():
            wanted, found = covered(registry["namespace"], metric), metric["review"][-1]["covers"]
            if wanted == found:
                continue
            stale = 1
            print(f"{registry['namespace']}.{key}: covers {found}, the text is {wanted}")
            if not check:
                header = re.escape(f"[[metric.{key}.review]]")
                last = rf"({header}\n(?:(?!\[|covers).*\n)*covers = \")[^\"]*(?!(?s:.*){header})"
                replace_once(path, last, wanted)
    return stale if check else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lists", help="append new values from the installed packages and update values_sha256")
    covers = commands.add_parser("covers", help="update the digest that binds each metric's newest review")
    covers.add_argument("--check", action="store_true", help="write nothing; exit 1 if a digest does not match")
    arguments = parser.parse_args()
    if arguments.command == "lists":
        refresh_lists()
        return 0
    return refresh_covers(arguments.check)


if __name__ == "__main__":
    sys.exit(main())

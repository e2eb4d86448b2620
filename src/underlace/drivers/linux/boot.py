"""Boot files: what FRR starts from. Written only for confirmed state, each file at once or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from underlace.drivers.linux import frr
from underlace.drivers.linux.native import Item
from underlace.drivers.linux.text import frr_text

_HEAD = "! written by underlace: changes here are lost\n"
VTYSH = "no service integrated-vtysh-config\n"
INTEGRATED, INTEGRATED_VTYSH = "frr.conf", "service integrated-vtysh-config\n"
DAEMONS = ("zebra", "bgpd", "bfdd", "staticd")


def files(items: Iterable[Item], version: str = "") -> dict[str, str]:
    """Contents by name of the file: each daemon has its own below FRR 10; from there on all are in one, because what
    mgmtd keeps, static routes among it, is read from no other. version: of FRR, as it says it."""
    parts = _by_daemon(items)
    if int((version or "8").partition(".")[0]) < 10:
        return {f"{name}.conf": _text(lines) for name, lines in parts.items()} | {"vtysh.conf": VTYSH}
    return {INTEGRATED: _text(line for lines in parts.values() for line in lines), "vtysh.conf": INTEGRATED_VTYSH}


def _text(lines: Iterable[str]) -> str:
    return _HEAD + "".join(f"{line}\n" for line in lines)


def _by_daemon(items: Iterable[Item]) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {name: [] for name in DAEMONS}
    current, header = "bgpd", ""
    for line in frr_text(items):
        if not line.startswith(" "):
            current, header = _daemon(line, current), line
        elif frr.STATIC.fullmatch(line.strip()):
            parts["staticd"] += [header, line, "exit-vrf"]
            continue
        if line.lstrip().startswith("rd "):
            # FRR 8.4 ignores an RD that equals the automatic one of the moment; no RD of ours has the number 0.
            parts[current].append(f"{line.rpartition(':')[0]}:0")
        parts[current].append(line)
    return parts


def _daemon(line: str, current: str) -> str:
    if line.startswith("exit"):
        return current
    return "zebra" if line.startswith("vrf ") else "bfdd" if line == "bfd" else "bgpd"


def write(directory: Path, contents: dict[str, str], owner: str = "frr") -> None:
    """Replace what differs; a power cut leaves the old file or the new one. Raises OSError.

    Our files of the other form go last: FRR of one release would start from those of another.
    """
    for name, text in sorted(contents.items()):
        path = directory / name
        if path.exists() and path.read_bytes() == text.encode():
            continue
        new = directory / f".{name}.new"
        with open(new, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(new, 0o640)
        shutil.chown(new, owner, owner)
        os.replace(new, path)
    for name in (INTEGRATED, *(f"{daemon}.conf" for daemon in DAEMONS)):
        other = directory / name
        if name not in contents and other.exists() and other.read_bytes().startswith(_HEAD.encode()):
            other.unlink()
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

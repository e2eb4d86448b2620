"""A device's disk that is full, where its agent keeps what it needs after a restart.

The device sees a small disk of its own in the place of that directory: nobody else's disk is filled.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from underlace.lab.fabric import Fabric
from underlace.lab.faults import where
from underlace.lab.faults.base import Fault, Kept, Parameter, Plan

_FILLER = "filler"
_SIZE = "16m"
_NEVER_COPIED = (_FILLER, "lock")
"""The lock is held by its file's very self."""


class FullDisk(Fault):
    name = "full-disk"
    parameters = (Parameter("DEVICE", "a switch"),)
    summary = "The disk is full where the agent of a device keeps its state."
    shows = "The network goes on. The agent refuses changes that it could not take back after a restart, and says so."
    elsewhere = ()

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        device = where.device(fabric, words["DEVICE"])
        disk = fabric.state.directory / "devices" / device / "agent"
        return Plan(device, {"node": device, "disk": str(disk)}, (f"the disk of {device}",))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        node, disk = fabric.node(kept["node"]), Path(kept["disk"])
        with _still(fabric, kept["node"]):
            node.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=700", "underlace-lab", kept["disk"]])
            _copy(disk, node.path(kept["disk"]))
            shutil.copy2(disk / "lock", node.path(kept["disk"]))
            fill(node.path(kept["disk"]) / _FILLER)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        node, disk = fabric.node(kept["node"]), Path(kept["disk"])
        inside = node.path(kept["disk"])
        if not _mounted(inside, disk):
            return
        with _still(fabric, kept["node"]):
            _copy(inside, disk)
            node.run(["umount", "--lazy", kept["disk"]])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        inside = fabric.node(kept["node"]).path(kept["disk"])
        if not _mounted(inside, Path(kept["disk"])):
            return ""
        probe = inside / "probe"
        try:
            probe.write_bytes(bytes(1 << 16))
        except OSError as full:
            return f"writing to the disk of {kept['node']}: {full.strerror}" if full.errno == errno.ENOSPC else ""
        finally:
            probe.unlink(missing_ok=True)
        return ""


@contextmanager
def _still(fabric: Fabric, device: str) -> Iterator[None]:
    """An agent that writes nothing for a moment."""
    pid = fabric.agent(device)
    if pid:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if pid:
            os.kill(pid, signal.SIGCONT)


def _mounted(inside: Path, outside: Path) -> bool:
    """Whether a device has a disk of its own there."""
    return inside.stat().st_dev != outside.stat().st_dev


def _copy(source: Path, target: Path) -> None:
    """Make a directory hold what another one does."""
    wanted = {entry.name for entry in source.iterdir()} - set(_NEVER_COPIED)
    for entry in target.iterdir():
        if entry.name not in (*wanted, *_NEVER_COPIED):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in sorted(wanted):
        if (source / name).is_dir():
            shutil.rmtree(target / name, ignore_errors=True)
            shutil.copytree(source / name, target / name)
        else:
            shutil.copy2(source / name, target / name)


def fill(file: Path) -> None:
    """Take all the space that there is."""
    with open(file, "wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while filler.write(bytes(size)):
                    pass
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise


FAULTS = (FullDisk(),)

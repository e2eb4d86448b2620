"""Backup files: the store and the CA in one tar, made of a running controller and unpacked into a data directory.

A backup without the CA would be a controller that no agent trusts; with it, it is worth as much as the fabric.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from underlace import __version__
from underlace.access import Actor
from underlace.controller.authority import write_private
from underlace.controller.directory import DataDirectory
from underlace.controller.restore import restore
from underlace.model.diagnostic import Diagnostic, Refused, Where

FORMAT = 1
ABOUT, STORE = "underlace.json", "store.sqlite"
AUTHORITY = ("ca/ca.key", "ca/ca.pem")
"""Key first, as when a CA is founded: whoever finds the certificate finds its key."""


class About(msgspec.Struct, frozen=True):
    format: int
    release: str
    created: int


class Archive:
    """Makes backups. copy: a consistent copy of the store, for actors who may have one."""

    def __init__(self, copy: Callable[[Actor], bytes], directory: DataDirectory) -> None:
        self._copy = copy
        self._directory = directory

    def pack(self, actor: Actor) -> bytes:
        """The whole backup. Refused for actors who may not have the store."""
        store = self._copy(actor)
        about = msgspec.json.encode(About(FORMAT, __version__, int(time.time())))
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            _add(tar, ABOUT, about)
            _add(tar, STORE, store)
            for name in AUTHORITY:
                _add(tar, name, (self._directory.path / name).read_bytes())
        return out.getvalue()


def unpack(file: Path, directory: DataDirectory, now: datetime) -> int:
    """Put a backup in the place of what the directory holds, the store all or nothing; returns the new revision."""
    parts = _read(file)
    with tempfile.TemporaryDirectory(dir=directory.path, prefix=".restore-") as aside:
        source = Path(aside) / STORE
        source.write_bytes(parts[STORE])
        revision = restore(source, directory.store, now)
    directory.authority.mkdir(mode=0o700, exist_ok=True)
    for name in AUTHORITY:
        write_private(directory.path / name, parts[name])
    return revision


def _add(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(body), 0o600, int(time.time())
    tar.addfile(entry, io.BytesIO(body))


def _read(file: Path) -> dict[str, bytes]:
    """The parts by name. Nothing is extracted: what else a tar may hold has no effect."""
    wanted = {ABOUT, STORE, *AUTHORITY}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for entry in tar:
                body = tar.extractfile(entry) if entry.isfile() and entry.name in wanted else None
                if body is not None:
                    found[entry.name] = body.read()
        about = msgspec.json.decode(found.get(ABOUT, b""), type=About)
    except OSError as fault:
        raise Refused([_unusable(file, fault.strerror or str(fault))]) from None
    except (tarfile.TarError, msgspec.MsgspecError):
        raise Refused([_unusable(file, "It is not a backup that Underlace made.")]) from None
    if about.format > FORMAT:
        raise Refused([_unusable(file, f"Release {about.release} made it; this release cannot read its format.")])
    if missing := wanted - found.keys():
        raise Refused([_unusable(file, f"It is not whole: {', '.join(sorted(missing))} is missing.")])
    return found


def _unusable(file: Path, why: str) -> Diagnostic:
    summary = "The backup cannot be restored"
    return Diagnostic(Where(file=str(file)), "backup-unusable", summary, why, "Name a file of: underlace backup FILE")

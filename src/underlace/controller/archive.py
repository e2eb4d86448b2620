"""Backup files: the store and the CA in one tar, made of a running controller and unpacked into a data directory.

A backup without the CA would be a controller that no agent trusts; with it, it is worth as much as the fabric. A
store may be large: it goes through files, never through memory.
"""

from __future__ import annotations

import io
import itertools
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

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

SMALL_MAX = 1 << 20
"""Bytes of a part that is not the store."""

BEFORE = ".before-restore"
"""Ends the names of what a restore replaces; a number follows where that is taken."""


class About(msgspec.Struct, frozen=True):
    format: int
    release: str
    created: int


class Restored(NamedTuple):
    """The revision that a restore made, and what it kept of what it replaced."""

    revision: int
    kept: tuple[Path, ...]


class Archive:
    """Makes backups. copy: puts a consistent copy of the store into a file, for actors who may have one."""

    def __init__(self, copy: Callable[[Actor, Path], None], directory: DataDirectory) -> None:
        self._copy = copy
        self._directory = directory

    def pack(self, actor: Actor) -> IO[bytes]:
        """The whole backup, as a file without a name: closed, it is gone. Refused for actors who may not have it, and
        when the data directory has no room for it."""
        try:
            return self._pack(actor)
        except OSError as fault:
            raise Refused([_no_backup(self._directory.path, fault)]) from None

    def _pack(self, actor: Actor) -> IO[bytes]:
        place = self._directory.path
        with tempfile.TemporaryDirectory(dir=place, prefix=".backup-") as aside:
            store = Path(aside) / STORE
            self._copy(actor, store)
            about = msgspec.json.encode(About(FORMAT, __version__, int(time.time())))
            out = tempfile.TemporaryFile(dir=place)  # noqa: SIM115 - the caller reads and closes it
            try:
                with tarfile.open(fileobj=out, mode="w") as tar:
                    _add(tar, ABOUT, io.BytesIO(about), len(about))
                    for name, file in ((STORE, store), *((n, place / n) for n in AUTHORITY)):
                        with file.open("rb") as body:
                            _add(tar, name, body, file.stat().st_size)
                out.seek(0)
            except BaseException:
                out.close()
                raise
        return out


def unpack(file: Path, directory: DataDirectory, now: datetime, *, replace: bool = False) -> Restored:
    """Put a backup in the place of what the directory holds; what that was is kept under another name.

    All or nothing: after a failure the directory is as it was. Refused where there is a store, without `replace`.
    """
    there = directory.store.exists()
    if there and not replace:
        raise Refused([_occupied(directory)])
    founded, before = not directory.authority.exists(), _before(directory)
    try:
        with tempfile.TemporaryDirectory(dir=directory.path, prefix=".restore-") as aside:
            parts = Path(aside)
            _extract(file, parts)
            names = [*_keep_authority(directory, parts, before), *AUTHORITY]
            directory.authority.mkdir(mode=0o700, exist_ok=True)
            revision = restore(parts / STORE, directory.store, now, keep=before)
            # Written already, on the same file system: to give them their names takes no room.
            for name in names:
                (parts / name).replace(directory.path / name)
    except BaseException as fault:
        if founded:
            with suppress(OSError):
                directory.authority.rmdir()
        if isinstance(fault, OSError):
            raise Refused([_failed(directory.path, fault)]) from None
        raise
    store = [directory.store.name + before] if there else []
    return Restored(revision, tuple(directory.path / name for name in (*store, *names[: -len(AUTHORITY)])))


def _before(directory: DataDirectory) -> str:
    """How the names end of what is replaced. Never a name that there is: of a restore that was killed half-way, what
    was there before is kept, and not what that restore had made."""
    ends = itertools.chain([BEFORE], (f"{BEFORE}.{n}" for n in itertools.count(2)))
    return next(e for e in ends if not any(Path(f"{directory.path / n}{e}").exists() for n in (STORE, *AUTHORITY)))


def _keep_authority(directory: DataDirectory, parts: Path, before: str) -> list[str]:
    """Copies, among the parts, of another CA's files: agents that were enrolled with it trust no other."""
    held = {name: (directory.path / name).read_bytes() for name in AUTHORITY if (directory.path / name).exists()}
    if all(body == (parts / name).read_bytes() for name, body in held.items()):
        return []
    for name, body in held.items():
        write_private(parts / (name + before), body)
    return [name + before for name in held]


def _add(tar: tarfile.TarFile, name: str, body: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(time.time())
    tar.addfile(entry, body)


def _extract(file: Path, target: Path) -> None:
    """Write the parts below a directory, those of the CA private. What else a tar may hold has no effect."""
    try:
        with tarfile.open(_readable(file), "r:") as tar:
            release, found = _parts(tar, target)
    except (tarfile.TarError, msgspec.MsgspecError):
        raise Refused([_unusable(file, "It is not a backup that Underlace made.")]) from None
    if release:
        raise Refused([_unusable(file, f"Release {release} made it; this release cannot read its format.")])
    if missing := {ABOUT, STORE, *AUTHORITY} - found:
        raise Refused([_unusable(file, f"It is not whole: {', '.join(sorted(missing))} is missing.")])


def _readable(file: Path) -> Path:
    try:
        with file.open("rb"):
            return file
    except OSError as fault:
        raise Refused([_unusable(file, fault.strerror or str(fault))]) from None


def _parts(tar: tarfile.TarFile, target: Path) -> tuple[str, set[str]]:
    """The release of a backup that is too new to be read, and which parts there are."""
    found: set[str] = set()
    about = msgspec.json.encode(About(0, "", 0))
    for entry in tar:
        body = tar.extractfile(entry) if entry.isfile() else None
        if body is None or entry.name in found:
            continue
        found.add(entry.name)
        if entry.name == ABOUT:
            about = body.read(SMALL_MAX)
        elif entry.name in AUTHORITY:
            _write(target / entry.name, body.read(SMALL_MAX))
        elif entry.name == STORE:
            with (target / STORE).open("wb") as out:
                shutil.copyfileobj(body, out, 1 << 20)
    told = msgspec.json.decode(about, type=About)
    return told.release if told.format > FORMAT else "", found


def _write(file: Path, body: bytes) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(file, body)


def _unusable(file: Path, why: str) -> Diagnostic:
    return Diagnostic(
        Where(file=str(file)),
        "backup-unusable",
        "The backup cannot be restored",
        why,
        "Name a file of: underlace backup FILE",
    )


def _occupied(directory: DataDirectory) -> Diagnostic:
    return Diagnostic(
        Where(file=str(directory.path)),
        "restore-over-store",
        "There is a store already",
        f"{directory.store} would be replaced by the backup.",
        f"Say that you mean it: underlace restore --replace; the old one is kept as {STORE}{_before(directory)}",
    )


def _no_backup(place: Path, fault: OSError) -> Diagnostic:
    return Diagnostic(
        Where(),
        "backup-failed",
        "No backup was made",
        f"The controller cannot write it to its data directory: {fault.strerror or fault}.",
        f"Make room on the disk of {place} (twice the size of the store), then try again.",
    )


def _failed(place: Path, fault: OSError) -> Diagnostic:
    return Diagnostic(
        Where(file=str(place)),
        "restore-failed",
        "The restore came to nothing",
        f"{fault.filename or place}: {fault.strerror or fault}. What was there before is as it was.",
        "Make room, or see to the permissions, and restore again.",
    )

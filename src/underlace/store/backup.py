"""Copies of a store's file: SQLite's own online backup, so that a copy is one moment of a store in use."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from underlace.model.diagnostic import Diagnostic, Refused, Where

PAGES = 4_096
"""Pages copied in one step; between steps writers go on."""


def copy(source: Path, target: Path) -> None:
    """Copy a store. Refused when the source is none, OSError when the copy finds no room."""
    if not source.is_file():
        raise Refused([unreadable(source, "there is no such file")])
    try:
        with closing(sqlite3.connect(source, timeout=30)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other, pages=PAGES)
            found = other.execute("PRAGMA quick_check(1)").fetchone()
            if (
                found != ("ok",)
                or not other.execute("SELECT 1 FROM sqlite_master WHERE name = 'resource'").fetchone()
            ):
                raise sqlite3.DatabaseError("it holds no store of Underlace, or a damaged one")
            # A file by itself: no journal beside it is needed to read it.
            other.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as fault:
        if getattr(fault, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from None
        raise Refused([unreadable(source, str(fault))]) from None
    _sync(target)


@contextmanager
def usable(source: Path) -> Iterator[None]:
    """Around work on a copy of `source`: Refused when it turns out that no store of ours ever looked like this."""
    try:
        yield
    except (Refused, OSError):
        raise
    except Exception as fault:
        # A database of anybody's may hold anything, and so fail in any way: of SQL, of migrations, of values.
        why = str(getattr(fault, "orig", None) or fault).splitlines() or [type(fault).__name__]
        raise Refused([unreadable(source, why[0])]) from None


def keep(store: Path, name: Path) -> None:
    """Give a closed store, or what is left of one, a second name: so it is there under one of them at any moment."""
    for suffix in ("", "-wal"):
        file, second = Path(f"{store}{suffix}"), Path(f"{name}{suffix}")
        second.unlink(missing_ok=True)
        if not file.exists():
            continue
        try:
            os.link(file, second)
        except OSError:
            shutil.copy2(file, second)  # a file system without links
            _sync(second)


def put_in_place(new: Path, target: Path) -> None:
    """Make a closed store the one at target, at once or not at all; what lay there is gone."""
    for suffix in ("-wal", "-shm"):
        Path(f"{new}{suffix}").unlink(missing_ok=True)
        # The journal of the old file would be played into the new one.
        Path(f"{target}{suffix}").unlink(missing_ok=True)
    _sync(new)
    os.replace(new, target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unreadable(path: Path, why: str) -> Diagnostic:
    return Diagnostic(
        Where(file=str(path)),
        "backup-unreadable",
        "The file is no backup",
        f"{path}: {why}.",
        "Name a file that `underlace backup` wrote.",
    )

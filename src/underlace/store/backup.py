"""Copies of a store's file: SQLite's own online backup, so that a copy is one moment of a store in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from underlace.model.diagnostic import Diagnostic, Refused, Where

PAGES = 4_096
"""Pages copied in one step; between steps writers go on."""


def copy(source: Path, target: Path) -> None:
    """Copy a store. Refused when the source is none."""
    if not source.is_file():
        raise Refused([_unreadable(source, "there is no such file")])
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
        raise Refused([_unreadable(source, str(fault))]) from None
    _sync(target)


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


def _unreadable(path: Path, why: str) -> Diagnostic:
    return Diagnostic(
        Where(file=str(path)),
        "backup-unreadable",
        "The file is no backup",
        f"{path}: {why}.",
        "Name a file that `underlace backup` wrote.",
    )

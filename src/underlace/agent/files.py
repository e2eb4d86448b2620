"""Files that survive a power cut: written aside, flushed to the disk, then renamed into place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ASIDE = ".new"
"""Suffix of a file being written; what is left of one after a crash is worth nothing."""


def write_file(path: Path, body: bytes, mode: int = 0o644) -> None:
    """Replace one file: afterwards it holds the old bytes or the new ones, never a mixture. Raises OSError."""
    write_files(path.parent, {path.name: body}, mode)


def write_files(directory: Path, bodies: Mapping[str, bytes], mode: int = 0o644) -> None:
    """Replace several files of a directory, each atomically, with one flush of the directory for all."""
    for name, body in bodies.items():
        aside = directory / (name + ASIDE)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with open(fd, "wb") as file:
            os.fchmod(fd, mode)  # a file left by a crash keeps its old mode otherwise
            file.write(body)
            file.flush()
            os.fsync(fd)
        os.replace(aside, directory / name)
    flush_directory(directory)


def remove_file(path: Path) -> None:
    """Remove a file if it is there, durably."""
    with suppress(FileNotFoundError):
        path.unlink()
        flush_directory(path.parent)


def flush_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""A disk of a few MiB of one's own, which can be full."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILLER = "filler"


@contextmanager
def small_disk(place: Path, mebibytes: int) -> Iterator[Path]:
    """A tmpfs at `place`, which is made. Needs root."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "underlace-test", str(place)]
    subprocess.run(mount, check=True)
    try:
        yield place
    finally:
        # Lazily: what a failed test left open must not keep it mounted.
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path, leave: int = 0) -> None:
    """Take all space but `leave` bytes."""
    fd = os.open(place / FILLER, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    os.lseek(fd, 0, os.SEEK_END)
                    os.write(fd, b"\0" * size)
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise
        if leave:
            os.ftruncate(fd, max(0, os.fstat(fd).st_size - leave))
    finally:
        os.close(fd)


def free(place: Path) -> None:
    (place / FILLER).unlink(missing_ok=True)

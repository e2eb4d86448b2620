"""Run a program as an ordinary user: no group, no capability, no way back. Root only.

    python -m support.ordinary_user UID HOME -- PROGRAM ARGUMENT...

The user has to be able to read this source and the interpreter, which may lie below a directory of root's alone. In
a mount namespace of the program's own such a directory is covered by one that everybody may enter, with what is
needed at the path where it always was. Nothing of it is seen outside, and nothing of the rest is opened.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from underlace.syscall import CLONE_NEWNS, MS_BIND, MS_PRIVATE, MS_REC, mount, unshare

ROOT = Path(__file__).resolve().parents[2]

PATH = "/usr/local/bin:/usr/bin:/bin"
"""What Debian gives an ordinary user: nothing of /usr/sbin."""


def needed() -> list[Path]:
    """What a Python program of this source reads."""
    return sorted({ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()})


def closed(path: Path) -> Path | None:
    """The first directory on the way to a path that not everybody may enter."""
    ways = [*reversed(path.parents), path]
    return next((way for way in ways if not way.stat().st_mode & stat.S_IXOTH), None)


def covers(paths: Iterable[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """(directory to cover, paths to keep below it)."""
    found: dict[Path, list[Path]] = {}
    for path in paths:
        if (way := closed(path)) is not None:
            found.setdefault(way, []).append(path)
    yield from found.items()


def let_in(paths: Iterable[Path]) -> None:
    """In a mount namespace of this process's own, let everybody come to these paths."""
    unshare(CLONE_NEWNS)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    for directory, kept in covers(paths):
        opened = [(path, os.open(path, os.O_PATH)) for path in kept]
        mount("tmpfs", str(directory), "tmpfs", data="mode=755")
        for path, descriptor in opened:
            path.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{descriptor}", str(path), flags=MS_BIND | MS_REC)
            os.close(descriptor)


def become(user: int, home: Path, argv: list[str]) -> NoReturn:
    let_in(needed())
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.chdir(home)
    told = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PATH": PATH, "LANG": "C.UTF-8"}
    os.execve(argv[0], argv, {**told, "PYTHONPATH": str(ROOT / "src")})  # noqa: S606  a test's own program


if __name__ == "__main__":
    become(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[4:])

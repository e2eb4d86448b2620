"""The data directory of a controller: who uses it, and where things are.

controller.pid   locked while a controller runs; holds its process id
store.sqlite     intent, desired state, identity, audit
ca/              see authority.py
context.json     URL, CA and token of the first administrator, mode 0600
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from underlace.controller.authority import write_private
from underlace.model.diagnostic import Diagnostic, Refused, Where


class DataDirectory:
    """Held from `open` to `close`: one controller, or one restore, at a time."""

    def __init__(self, path: Path, lock: int, made: tuple[Path, ...] = ()) -> None:
        self.path = path
        self._lock = lock
        self._made = made

    @classmethod
    def open(cls, path: Path) -> DataDirectory:
        """Make the directory if need be, and hold it. Refused when it cannot be had, saying who has it."""
        pid = path / "controller.pid"
        made = tuple(p for p in (pid, path, *path.parents) if not p.exists())
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(pid, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise Refused([_unusable(path, fault.strerror or str(fault))]) from None
        try:
            # A lock of the kernel's, not the file's presence: it ends with the process, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            raise Refused([_in_use(path, holder)]) from None
        with suppress(OSError):  # for people only: a full disk is no reason not to start
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        _clear(path)
        return cls(path, lock, made)

    def close(self) -> None:
        os.ftruncate(self._lock, 0)
        os.close(self._lock)

    def discard(self) -> None:
        """Close, and take away again what `open` made, as far as nothing else is in it."""
        with suppress(OSError):
            for one in self._made:
                one.rmdir() if one.is_dir() else one.unlink()
        self.close()

    @property
    def store(self) -> Path:
        return self.path / "store.sqlite"

    @property
    def authority(self) -> Path:
        return self.path / "ca"

    @property
    def context(self) -> Path:
        return self.path / "context.json"

    def write_context(self, url: str, ca: str, token: str | None) -> None:
        """Keep the administrator's context true: a new token at the first start, later a new URL or CA.

        A context that its owner took away stays away: without a new token there is nothing to write.
        """
        held = self._held().get("token") if token is None else token
        if held is None:
            return
        body = msgspec.json.encode({"url": url, "ca": ca, "token": held})
        write_private(self.context, msgspec.json.format(body, indent=2) + b"\n")

    def url(self) -> str:
        """Where the controller of this directory was reached last."""
        return self._held().get("url", "https://127.0.0.1:8443")

    def _held(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self.context.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError):
            return {}


_LEFT = (
    ".backup-*",
    ".restore-*",
    ".store.sqlite.*",
    ".context.json.*",
    "ca/.ca.key.*",
    "ca/.ca.pem.*",
    "ca/.server.pem.*",
)
"""What is written aside before it is given its name. Only the holder of the directory writes there."""


def _clear(path: Path) -> None:
    """Take away what a process left that was killed: copies of the store and of keys, of no use to anybody."""
    for left in (file for pattern in _LEFT for file in path.glob(pattern)):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):
                left.unlink()


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Around work on the files of a data directory: Refused when its disk is full, or does not let it."""
    try:
        yield
    except OSError as fault:
        raise Refused([_no_room(path, fault)]) from None


def _no_room(path: Path, fault: OSError) -> Diagnostic:
    return Diagnostic(
        Where(file=str(fault.filename or path)),
        "data-not-written",
        "The data directory cannot be written",
        fault.strerror or str(fault),
        f"Make room on the disk of {path}, see to its permissions, and start again.",
    )


def _unusable(path: Path, why: str) -> Diagnostic:
    return Diagnostic(
        Where(file=str(path)),
        "data-unusable",
        "The data directory cannot be used",
        why,
        "Name another: underlace up --data DIRECTORY",
    )


def _in_use(path: Path, holder: str) -> Diagnostic:
    return Diagnostic(
        Where(file=str(path)),
        "data-in-use",
        "The data directory is in use",
        f"A controller runs on it, as process {holder or 'unknown'}.",
        "Stop that controller first, or name another directory: underlace up --data DIRECTORY",
    )

"""Network namespaces of a device: which are VRFs, how they come and go, how a thread works inside one.

A VRF's namespace is mounted below FRR's run directory, and `/run/netns` holds a link to it. zebra looks at a name the
moment it appears: a mount that is made under the name itself comes too late, and zebra 8.4 tries again only after a
second, while a link leads to a namespace that is already there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from underlace import syscall
from underlace.drivers.linux import names

_OWN = "/proc/thread-self/ns/net"

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
_FLAGS = struct.Struct("16sH22x")
"""SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP, and `struct ifreq` of both."""


class NoNamespace(OSError):
    """A VRF's namespace does not exist; the words are those of `ip`."""

    def __init__(self, name: str) -> None:
        super().__init__(f'Cannot open network namespace "{name}": No such file or directory')


class Namespaces:
    """The device's namespaces, for the calling thread only: each thread has its own place."""

    def __init__(self, main: str | None, mounts: Path, links: Path = Path("/run/netns")) -> None:
        self._main = os.open(main or _OWN, os.O_RDONLY | os.O_CLOEXEC)
        self._mounts, self._links = mounts, links

    def vrfs(self) -> list[str]:
        """Names of the VRFs that exist."""
        if not self._links.is_dir():
            return []
        return sorted(name for name in os.listdir(self._links) if names.VRF_PATTERN.fullmatch(name))

    @property
    def main_inode(self) -> int:
        """The number of the main namespace, as long as the system runs."""
        return os.fstat(self._main).st_ino

    @property
    def main_path(self) -> str:
        """The main namespace as an argument for `ip ... netns`."""
        return f"/proc/{os.getpid()}/fd/{self._main}"

    @contextmanager
    def inside(self, netns: str) -> Iterator[None]:
        """Run in a namespace. Programs started meanwhile run there too. Raises NoNamespace."""
        home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if netns == names.MAIN:
                syscall.setns(self._main)
            else:
                try:
                    there = os.open(self._links / netns, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError as error:
                    raise NoNamespace(netns) from error
                try:
                    syscall.setns(there)
                finally:
                    os.close(there)
            yield
        finally:
            try:
                syscall.setns(home)
            finally:
                os.close(home)

    @contextmanager
    def throwaway(self) -> Iterator[None]:
        """Run in a fresh namespace, which goes with all that is in it. Raises OSError."""
        with self.inside(names.MAIN):
            syscall.unshare(syscall.CLONE_NEWNET)
            yield

    def create(self, name: str) -> None:
        """Make a VRF's namespace; a half-made one of an earlier attempt, which has no link yet, is replaced."""
        mount = self._mounts / name
        if os.path.lexists(self._links / name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        for directory in (self._mounts, self._links):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o755)  # zebra, which is not root, has to find what is in there
        self._unmount(mount)
        mount.touch(mode=0o444)
        with self.inside(names.MAIN):
            syscall.unshare(syscall.CLONE_NEWNET)
            syscall.mount(_OWN, str(mount), flags=syscall.MS_BIND)
        os.symlink(os.path.relpath(mount, self._links), self._links / name)

    def delete(self, name: str) -> None:
        """Remove a VRF's namespace, whoever made it."""
        link = self._links / name
        if not link.is_symlink():
            self._unmount(link)
            return
        link.unlink(missing_ok=True)
        self._unmount(self._mounts / name)

    def _unmount(self, path: Path) -> None:
        if os.path.lexists(path):
            with suppress(OSError):  # a file on which nothing is mounted
                syscall.unmount(str(path))
            path.unlink(missing_ok=True)


def bring_up(link: str) -> None:
    """Set a link of the namespace that the thread is in up. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        _, flags = _FLAGS.unpack(fcntl.ioctl(place, _GET_FLAGS, _FLAGS.pack(link.encode(), 0)))
        fcntl.ioctl(place, _SET_FLAGS, _FLAGS.pack(link.encode(), flags | _UP))


def present_links() -> frozenset[str]:
    """Names of the links of the namespace that the thread is in."""
    rows = Path("/proc/thread-self/net/dev").read_text().splitlines()
    return frozenset(row.partition(":")[0].strip() for row in rows if ":" in row)


def read_settings(prefix: str, paths: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Settings below /proc/sys/net of the namespace that the thread is in; one that does not exist reads as ""."""
    found = []
    for path in paths:
        value = ""
        with suppress(OSError):
            value = Path("/proc/sys/net", prefix.format(*path.split("/", 1)) if prefix else path).read_text().strip()
        found.append((path, value))
    return tuple(found)


def write_settings(prefix: str, settings: tuple[tuple[str, str], ...]) -> None:
    """Set what differs. Raises OSError with the name of the setting."""
    for path, value in settings:
        file = Path("/proc/sys/net", prefix.format(*path.split("/", 1)) if prefix else path)
        if file.read_text().strip() != value:
            file.write_text(value)


def of_link(link: str) -> str:
    """The pattern of a link's settings: family and name of the setting come from the path."""
    return f"{{0}}/conf/{link}/{{1}}"

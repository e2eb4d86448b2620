"""System calls for namespaces, mounts and programs of the kernel. Python has some of them from 3.12 on. Only the
standard library.

A thread that enters a network namespace is there alone, and what it makes there (a socket, a process) stays there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
MNT_DETACH = 0x2

_BPF = {"x86_64": 321, "aarch64": 280}
"""The number of bpf(2), by machine."""

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str, path: str | None = None) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}", path)


def unshare(flags: int) -> None:
    """Leave shared namespaces for fresh ones. Raises OSError, as everything here."""
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into an open namespace."""
    _checked(_libc.setns(descriptor, kind), "setns")


def enter(path: str | os.PathLike[str], kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into the namespace at path."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(descriptor, kind), "setns", os.fspath(path))
    finally:
        os.close(descriptor)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    words = [text.encode() or None for text in (source, target, kind)]
    _checked(_libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None), "mount", target)


def unmount(target: str) -> None:
    """Take a mount away, when nobody uses it any more."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), "umount", target)


def bpf(command: int, attribute: bytes) -> int:
    """bpf(2). A descriptor, or 0; the attribute names its buffers by address. Raises OSError."""
    if (number := _BPF.get(platform.machine())) is None:
        raise OSError(errno.ENOSYS, f"bpf: {os.strerror(errno.ENOSYS)} on {platform.machine()}")
    buffer = ctypes.create_string_buffer(attribute, len(attribute))
    result: int = _libc.syscall(ctypes.c_long(number), ctypes.c_int(command), buffer, ctypes.c_uint(len(attribute)))
    if result < 0:
        _checked(result, "bpf")
    return result

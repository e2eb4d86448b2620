"""A daemon of FRR spoken to by itself: a command to its socket, as vtysh does it, and what it says.

command NUL ──► <daemon>.vty ──► text NUL NUL NUL code
"""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path

from underlace.drivers.linux.probes.base import NOT_ENDED, NOT_STARTED

LIMIT = 65_536
"""Bytes of an answer: this is for short ones."""

_END = b"\0\0\0"


def ask(run_dir: Path, daemon: str, command: str, until: float) -> tuple[str, str, int]:
    """What it says, errors, and FRR's code for how it went (0: well)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        # With a timeout of its own, Python would not wait for a daemon that has too many waiting already.
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(max(0.01, until - time.monotonic())))
        try:
            asked.connect(str(run_dir / f"{daemon}.vty"))
            asked.sendall(command.encode() + b"\0")
            return _read(asked, daemon, until)
        except (TimeoutError, BlockingIOError):
            return "", f"{daemon} does not answer", NOT_ENDED
        except OSError as gone:
            return "", f"{daemon}: {gone.strerror or gone}", NOT_STARTED


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))


def _read(asked: socket.socket, daemon: str, until: float) -> tuple[str, str, int]:
    said = b""
    while len(said) < LIMIT:
        asked.settimeout(max(0.01, until - time.monotonic()))
        piece = asked.recv(4_096)
        if not piece:
            return "", f"{daemon} ends the connection", NOT_STARTED
        said += piece
        if said[-4:-1] == _END:
            return said[:-4].decode(errors="replace"), "", said[-1]
    return "", f"{daemon} says more than {LIMIT} bytes", NOT_STARTED

"""A daemon of FRR asked by itself: one that answers, hangs, is gone, or talks nonsense."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from underlace.drivers.linux import vty
from underlace.drivers.linux.probes.base import NOT_ENDED, NOT_STARTED


@contextmanager
def daemon(directory: Path, *pieces: bytes, close: bool = False) -> Iterator[list[bytes]]:
    """A socket as a daemon has it, which says these pieces to whoever asks."""
    heard: list[bytes] = []
    over = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(directory / "bgpd.vty"))
        server.listen()

        def run() -> None:
            peer, _ = server.accept()
            with peer:
                heard.append(peer.recv(4_096))
                for piece in pieces:
                    peer.sendall(piece)
                if not close:
                    over.wait(20.0)

        thread = threading.Thread(target=run)
        thread.start()
        yield heard
        over.set()
        thread.join()


@contextmanager
def crowded(directory: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket as a daemon has it, with as many waiting as it holds; and the one that waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(directory / "bgpd.vty"))
        server.listen(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.connect(server.getsockname())
            yield server, other


def ask(directory: Path, seconds: float = 5.0) -> tuple[str, str, int]:
    return vty.ask(directory, "bgpd", "show version", time.monotonic() + seconds)


def test_an_answer(tmp_path: Path) -> None:
    with daemon(tmp_path, b"FRRouting ", b"8.4.4\n\0\0", b"\0\0") as heard:
        assert ask(tmp_path) == ("FRRouting 8.4.4\n", "", 0)
    assert heard == [b"show version\0"]


def test_a_command_that_is_not_known(tmp_path: Path) -> None:
    with daemon(tmp_path, b"% Unknown\n\0\0\0\x02"):
        assert ask(tmp_path) == ("% Unknown\n", "", 2)


def test_one_that_hangs(tmp_path: Path) -> None:
    with daemon(tmp_path, b"FRR"):
        assert ask(tmp_path, 0.1) == ("", "bgpd does not answer", NOT_ENDED)


def test_one_that_takes_nobody_any_more_hangs(tmp_path: Path) -> None:
    with crowded(tmp_path):
        assert ask(tmp_path, 0.1) == ("", "bgpd does not answer", NOT_ENDED)


def test_one_that_takes_nobody_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    def serve() -> None:
        for _ in range(2):
            with server.accept()[0] as peer:
                if peer.recv(4_096):
                    peer.sendall(b"here\n\0\0\0\0")

    with crowded(tmp_path) as (server, other):
        later = threading.Timer(0.05, lambda: (other.close(), serve()))
        later.start()
        assert ask(tmp_path) == ("here\n", "", 0)
        later.join()


@pytest.mark.parametrize("pieces", [(), (b"half",)])
def test_one_that_ends_the_connection(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    with daemon(tmp_path, *pieces, close=True):
        assert ask(tmp_path) == ("", "bgpd ends the connection", NOT_STARTED)


def test_one_that_never_stops(tmp_path: Path) -> None:
    with daemon(tmp_path, b"x" * (vty.LIMIT + 10)):
        assert ask(tmp_path)[2] == NOT_STARTED


def test_one_that_is_not_there(tmp_path: Path) -> None:
    assert ask(tmp_path) == ("", "bgpd: No such file or directory", NOT_STARTED)

"""Requests between the processes of a lab: one JSON line each way over a Unix socket. Standard library only."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

Message = dict[str, Any]


class ChannelError(Exception):
    """The other process could not do what it was asked, in its own words."""


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path by way of its directory's descriptor: a socket's own path may have 107 bytes only."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen(path: Path) -> socket.socket:
    """A listening socket; one that a dead process left behind is replaced."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    with _short(path) as name:
        server.bind(name)
    server.listen(64)
    return server


def receive(connection: socket.socket) -> Message:
    """One message; an empty one when the other side closed without a word."""
    data = bytearray()
    while not data.endswith(b"\n"):
        chunk = connection.recv(1 << 16)
        if not chunk:
            break
        data += chunk
    return dict(json.loads(data)) if data else {}


def send(connection: socket.socket, message: Message) -> None:
    connection.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def respond(connection: socket.socket, answer: Callable[[Message], Message]) -> None:
    """Answer one request. What goes wrong is told to who asked."""
    try:
        send(connection, answer(receive(connection)))
    except Exception as error:
        send(connection, {"error": f"{type(error).__name__}: {error}"})


def serve(server: socket.socket, answer: Callable[[Message], Message]) -> NoReturn:
    """Answer one request after the other, for ever."""
    while True:
        connection, _ = server.accept()
        with connection:
            respond(connection, answer)


def request(path: Path, message: Message, timeout: float = 30.0) -> Message:
    """Ask the process behind a socket. Raises OSError when nobody is there, ChannelError when it refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        with _short(path) as name:
            connection.connect(name)
        send(connection, message)
        answer = receive(connection)
    if "error" in answer:
        raise ChannelError(str(answer["error"]))
    if not answer:
        raise ChannelError(f"{path.name}: no answer to {message.get('do', 'a request')}")
    return answer

"""Sockets inside another network namespace.

A socket belongs for ever to the namespace of the thread that made it. So a short-lived thread enters the namespace,
connects and ends; the agent's own thread never moves, and no failure can leave it in the wrong place. Name look-ups
happen there too: the fabric must not answer for the controller's name (hazards 17).
"""

from __future__ import annotations

import socket
import threading

from underlace import syscall


def connect(host: str, port: int, timeout: float, path: str | None) -> socket.socket:
    """A connected TCP socket, made in the namespace at path or, for None, in the caller's.

    Raises OSError; TimeoutError after `timeout` seconds in all, a slow name server included, because a revert may
    depend on when this returns.
    """
    attempt = _Attempt(host, port, timeout, path)
    attempt.start()
    attempt.join(timeout)
    return attempt.take()


class _Attempt(threading.Thread):
    """One connection being made."""

    def __init__(self, host: str, port: int, timeout: float, path: str | None) -> None:
        super().__init__(name="underlace-connect", daemon=True)
        self._target, self._limit, self._path = (host, port), timeout, path
        self._lock = threading.Lock()
        self._made: socket.socket | None = None
        self._failed: OSError | None = None
        self._abandoned = False

    def run(self) -> None:
        try:
            if self._path is not None:
                syscall.enter(self._path)
            made = socket.create_connection(self._target, self._limit)
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that IDNA refuses
            self._failed = error if isinstance(error, OSError) else OSError(f"{self._target[0]!r}: {error}")
            return
        with self._lock:
            self._made = made
            if self._abandoned:
                made.close()

    def take(self) -> socket.socket:
        with self._lock:
            if self._made is not None:
                return self._made
            self._abandoned = True
        if self._failed is not None:
            raise self._failed
        raise TimeoutError(f"no connection to {self._target[0]} port {self._target[1]} within {self._limit:g} s")

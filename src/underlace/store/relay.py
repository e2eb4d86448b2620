"""What controllers of a shared database say to each other in passing: PostgreSQL's NOTIFY, which is no table.

    controller A: say ──► NOTIFY ──► all who LISTEN, A as well ──► heard(text)

It is for what is worth nothing a few seconds later. Whoever does not listen at the moment never hears it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from structlog import get_logger

from underlace.store.engine import Place, conninfo, is_server
from underlace.store.news import RETRY

CHANNEL = "underlace_live"
TEXT_MAX = 7_900
"""Bytes of one text; PostgreSQL takes less than 8,000."""

_STEP = 0.5
"""Seconds between looks at whether to close."""

log = get_logger()


class Relay:
    """Calls `heard`, in a thread of its own, with every text. It outlives a server that restarts."""

    def __init__(self, place: Place, heard: Callable[[str], None]) -> None:
        assert is_server(place)
        self._conninfo = conninfo(str(place))
        self._heard = heard
        self._closed = threading.Event()
        self._saying = threading.Lock()
        self._connection: Any = None
        self._thread = threading.Thread(target=self._run, name="store-relay", daemon=True)
        self._thread.start()

    def say(self, texts: list[str]) -> bool:
        """Tell all; whether the server took it."""
        with self._saying:
            try:
                self._say(texts)
            except Exception as fault:  # a server that is gone: who asked goes on without the others
                log.warning("database-relay-lost", error=type(fault).__name__)
                self._drop()
                return False
        return True

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        with self._saying:
            self._drop()

    def _say(self, texts: list[str]) -> None:
        import psycopg  # a controller whose store is a file need not load it

        if self._connection is None:
            self._connection = psycopg.connect(self._conninfo, autocommit=True, connect_timeout=2)
        for text in texts:
            self._connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, text))

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
            except Exception as fault:
                log.warning("database-relay-lost", error=type(fault).__name__)
                self._closed.wait(RETRY)

    def _listen(self) -> None:
        import psycopg

        with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            while not self._closed.is_set():
                for told in connection.notifies(timeout=_STEP, stop_after=1):
                    self._heard(told.payload)

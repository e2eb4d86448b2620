"""What other controllers of a shared database commit: PostgreSQL's NOTIFY, in the transaction that changes something.

    controller A: set_desired ─► NOTIFY ─► commit ──► controller B: LISTEN ─► changed() ─► wakes who waits there

A notification says that something changed, not what: whoever hears it looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import Connection
from structlog import get_logger

from underlace.store.engine import Place, conninfo, is_server

CHANNEL = "underlace_desired"
PATIENCE = 15.0
"""Seconds without news after which one looks all the same. Agents ask again by themselves as well."""
RETRY = 2.0
"""Seconds between attempts to reach the server."""

log = get_logger()


def tell(c: Connection) -> None:
    """Desired state changes with this transaction. Of many calls in one, one notification remains."""
    if c.dialect.name == "postgresql":
        c.exec_driver_sql(f"NOTIFY {CHANNEL}")


class News:
    """A thread that calls `changed` after commits of others, and our own. It outlives a server that restarts."""

    def __init__(self, place: Place, changed: Callable[[], None]) -> None:
        assert is_server(place)
        self._conninfo = conninfo(str(place))
        self._changed = changed
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-news", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
            except Exception as fault:  # whatever it was, agents must go on hearing of changes
                log.warning("database-news-lost", error=type(fault).__name__)
                self._closed.wait(RETRY)

    def _listen(self) -> None:
        import psycopg  # a controller whose store is a file need not load it

        with psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            silent = PATIENCE  # what was committed while nobody listened, was not heard
            while not self._closed.is_set():
                if silent >= PATIENCE or list(connection.notifies(timeout=_STEP, stop_after=1)):
                    silent = 0.0
                    list(connection.notifies(timeout=0))  # one look for all that has come meanwhile
                    self._changed()
                else:
                    silent += _STEP


_STEP = 0.5
"""Seconds between looks at whether to close."""

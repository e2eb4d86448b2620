"""A store: a file or a database with a schema of this release, one writer, many readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, InterfaceError

from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.store.engine import Place, engine, is_server
from underlace.store.fault import finding
from underlace.store.migrate import migrate
from underlace.store.news import News
from underlace.store.relay import Relay
from underlace.store.writer import Writer

T = TypeVar("T")


class Store:
    """Open with `Store.open`; close when done. Nothing of intent is kept in memory between calls."""

    def __init__(self, place: Place, readers: Engine, writers: Engine) -> None:
        self.place = place
        self.engine = readers
        """For short transactions beside the writer's (identity): they wait for its lock."""
        self._writers = writers
        self._writer = Writer(writers)
        self._news: News | None = None

    @classmethod
    def open(cls, place: Place) -> Store:
        """Open or create; bring the schema up to this release. Raises Refused for a store of a newer release."""
        writers = engine(place, writer=True)
        try:
            with _available():
                migrate(writers)
        except BaseException:
            writers.dispose()
            raise
        return cls(place, engine(place, writer=False), writers)

    @property
    def path(self) -> Path:
        """The file. Refused for a database of a server, of which its own tools make copies."""
        if self.shared:
            raise Refused([no_file()])
        return Path(self.place)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent moment of the store."""
        with _available(), self.engine.connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` alone against the store; durable when this returns, nothing of it when it raises."""
        with _available():
            return self._writer.submit(work)

    def rehearse(self, work: Callable[[Connection], T]) -> T:
        """Run `work` exactly like `write`, and undo it."""
        with _available():
            return self._writer.submit(work, keep=False)

    @property
    def shared(self) -> bool:
        """Whether other controllers may write to it."""
        return is_server(self.place)

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed`, in a thread of its own, after others may have committed; once at first, too. A file has no
        others."""
        if self.shared and self._news is None:
            self._news = News(self.place, changed)

    def relay(self, heard: Callable[[str], None]) -> Relay | None:
        """What other controllers of the store say to each other, and a way to say something. Nothing of it is kept. A
        file has no others."""
        return Relay(self.place, heard) if self.shared else None

    def close(self) -> None:
        if self._news is not None:
            self._news.close()
        self._writer.close()
        self._writers.dispose()
        self.engine.dispose()


@contextmanager
def _available() -> Iterator[None]:
    """Within: a database that cannot be used (gone, locked, damaged) is an answer, and no fault of the program."""
    try:
        yield
    except (DatabaseError, InterfaceError) as fault:
        if (found := finding(fault)) is None:
            raise
        raise Refused([found]) from fault


def no_file() -> Diagnostic:
    return Diagnostic(
        Where(),
        "not-for-a-server",
        "The store is in a PostgreSQL database",
        "A backup of Underlace's own is of a controller whose store is a file.",
        "Use the server's tools: pg_dump DATABASE, and copy the directory ca/ of a controller's data directory.",
    )

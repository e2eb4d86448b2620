"""A store: a file with a schema of this release, one writer, many readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine

from underlace.store import dialect
from underlace.store.migrate import migrate
from underlace.store.writer import Writer

T = TypeVar("T")


class Store:
    """Open with `Store.open`; close when done. Nothing of intent is kept in memory between calls."""

    def __init__(self, path: Path, readers: Engine, writers: Engine) -> None:
        self.path = path
        self.engine = readers
        """For short transactions beside the writer's (identity): they wait for its lock."""
        self._writers = writers
        self._writer = Writer(writers)

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open or create; bring the schema up to this release. Raises Refused for a store of a newer release."""
        writers = dialect.sqlite_engine(str(path), writer=True)
        try:
            migrate(writers)
        except BaseException:
            writers.dispose()
            raise
        return cls(Path(path), dialect.sqlite_engine(str(path), writer=False), writers)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent moment of the store."""
        with self.engine.connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` alone against the store; durable when this returns, nothing of it when it raises."""
        return self._writer.submit(work)

    def rehearse(self, work: Callable[[Connection], T]) -> T:
        """Run `work` exactly like `write`, and undo it."""
        return self._writer.submit(work, keep=False)

    def close(self) -> None:
        self._writer.close()
        self._writers.dispose()
        self.engine.dispose()

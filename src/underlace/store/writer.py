"""The one writer: changes of many threads, one after the other, one durable commit for each group of them.

    submit(change) ─┐
    submit(change) ─┼─► queue ─► BEGIN │ SAVEPOINT change RELEASE │ SAVEPOINT change ROLLBACK │ … │ COMMIT ─► answers
    submit(change) ─┘

No answer leaves before the commit that holds its change is on disk. A change that raises leaves nothing behind and
does not disturb the others of its group.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

GROUP = 64
"""Most changes in one commit. More would only lengthen the wait of the first."""


class _Job(Generic[T]):
    def __init__(self, work: Callable[[Connection], T], keep: bool) -> None:
        self.work, self.keep = work, keep
        self.future: Future[T] = Future()
        self.result: T | None = None
        self.error: BaseException | None = None


class Writer:
    """A thread that owns the write connection of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T], *, keep: bool = True) -> T:
        """Run `work` in its turn and return its result after the commit; without `keep`, undo what it wrote."""
        if self._closed:
            raise RuntimeError("the store is closed")
        if threading.current_thread() is self._thread:
            raise RuntimeError("a change may not wait for another change")
        job = _Job(work, keep)
        self._jobs.put(job)
        return job.future.result()

    def close(self) -> None:
        """Finish what was submitted, then stop."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            first = self._jobs.get()
            if first is None:
                return
            group, open_ = self._gather(first)
            self._commit(group)

    def _gather(self, first: _Job[Any]) -> tuple[list[_Job[Any]], bool]:
        """What is waiting by now, at most a group of it; False when the writer was told to stop."""
        group = [first]
        while len(group) < GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, False
            group.append(job)
        return group, True

    def _commit(self, group: list[_Job[Any]]) -> None:
        try:
            # Leaving the block commits; only then may anybody hear of success.
            with self._engine.begin() as connection:
                for job in group:
                    _attempt(connection, job)
        except BaseException as error:
            # A database that ran out of space takes the whole transaction back, and knows no savepoint any more: what
            # it said first is why.
            first = next((job.error for job in group if isinstance(job.error, DBAPIError)), error)
            for job in group:
                job.future.set_exception(job.error or first)
            return
        for job in group:
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)


def _attempt(connection: Connection, job: _Job[Any]) -> None:
    connection.exec_driver_sql("SAVEPOINT change")
    try:
        job.result = job.work(connection)
    except BaseException as error:
        job.error = error
    if job.error is not None or not job.keep:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT change")
    connection.exec_driver_sql("RELEASE SAVEPOINT change")

"""The one writer: order, isolation of changes, durability of answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from support import databases
from underlace.store import ledger
from underlace.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(databases.migrated(tmp_path))
    yield opened
    opened.close()


def put(name: str, value: str = "x") -> object:
    def work(c: Connection) -> None:
        ledger.set_fact(c, name, value)

    return work


def names(store: Store) -> set[str]:
    with store.read() as c:
        return {row[0] for row in c.exec_driver_sql("SELECT name FROM meta")}


def test_what_raises_leaves_nothing_and_disturbs_nobody(store: Store) -> None:
    """Two changes in one group: the second fails after it wrote."""
    started, go = threading.Event(), threading.Event()

    def slow(c: Connection) -> None:
        started.set()
        assert go.wait(10)

    def fails(c: Connection) -> None:
        c.exec_driver_sql("INSERT INTO meta (name, value) VALUES ('half', 'x')")
        raise ValueError("no")

    outcomes: list[object] = []

    def run(work: object) -> None:
        try:
            store.write(work)  # type: ignore[arg-type]
            outcomes.append("done")
        except ValueError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=run, args=(slow,))]
    threads[0].start()
    assert started.wait(10)
    # These gather behind the slow one and are committed together.
    threads += [threading.Thread(target=run, args=(w,)) for w in (put("one"), fails, put("two"))]
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert sorted(map(str, outcomes)) == ["done", "done", "done", "no"]
    assert names(store) >= {"one", "two"}
    assert "half" not in names(store)


def test_a_rehearsal_sees_its_writes_and_leaves_none(store: Store) -> None:
    def work(c: Connection) -> int:
        put("rehearsed")(c)  # type: ignore[operator]
        return len(c.exec_driver_sql("SELECT name FROM meta WHERE name = 'rehearsed'").all())

    assert store.rehearse(work) == 1
    assert "rehearsed" not in names(store)


def test_readers_see_one_moment(store: Store) -> None:
    with store.read() as c:
        before = c.exec_driver_sql("SELECT count(*) FROM meta").scalar()
        store.write(put("later"))  # type: ignore[arg-type]
        assert c.exec_driver_sql("SELECT count(*) FROM meta").scalar() == before
    assert "later" in names(store)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_writes_are_durable_before_they_are_answered(store: Store) -> None:
    with store.read() as c:
        assert c.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert c.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert c.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_change_may_not_wait_for_another(store: Store) -> None:
    with pytest.raises(RuntimeError, match="may not wait"):
        store.write(lambda c: store.write(put("inner")))  # type: ignore[arg-type, func-returns-value]


def test_close_finishes_what_was_submitted(tmp_path: Path) -> None:
    store = Store.open(databases.migrated(tmp_path))
    store.write(put("kept"))  # type: ignore[arg-type]
    store.close()
    with pytest.raises(RuntimeError, match="closed"):
        store.write(put("late"))  # type: ignore[arg-type]
    again = Store.open(databases.migrated(tmp_path))
    assert "kept" in names(again)
    again.close()

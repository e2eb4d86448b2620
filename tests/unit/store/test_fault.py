"""A store that cannot be used: locked by somebody else, or damaged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from support.controlled import ADMIN, Rig, doc, quickstart, rig
from underlace.model.diagnostic import Diagnostic, Refused
from underlace.store import engine, fault
from underlace.store.store import Store

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HOLD = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("BEGIN IMMEDIATE")
c.execute("UPDATE meta SET value = value")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def fabric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 0.2)
    opened = rig(tmp_path)
    opened.put(*quickstart())
    yield opened
    opened.close()


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Another process is in the middle of a change."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.kill()


def refused(ask: Callable[[], object]) -> Diagnostic:
    with pytest.raises(Refused) as said:
        ask()
    (one,) = said.value.diagnostics
    return one


def test_a_store_that_another_program_holds_is_read_and_changed_later(fabric: Rig, tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    with locked(store):
        said = refused(lambda: fabric.put(doc("tenant", "new")))
        assert said.code == "store-unavailable"
        assert "database is locked" in said.detail
        assert "fuser" in said.remedy
        assert len(fabric.controller.revisions(ADMIN)) == 2, "reading goes on"
    fabric.put(doc("tenant", "new"))
    assert [r.id for r in fabric.controller.revisions(ADMIN)] == [3, 2, 1]
    fabric.check_derived()


def test_a_start_while_another_program_holds_the_store_says_so(fabric: Rig, tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    with locked(store):
        assert refused(lambda: Store.open(store)).code == "store-unavailable"


@pytest.mark.parametrize("damage", ["empty pages", "cut", "other bytes", "head"])
def test_a_damaged_store_says_so_and_names_the_way_out(fabric: Rig, tmp_path: Path, damage: str) -> None:
    """Opened or used, it is never a traceback; what is still whole may be read."""
    fabric.close()
    store = tmp_path / "store.sqlite"
    whole = store.read_bytes()
    half = len(whole) // 2
    store.write_bytes(
        {
            "empty pages": whole[:4096] + bytes(len(whole) - 4096),
            "cut": whole[: half - half % 4096],
            "other bytes": whole[:4096] + b"\xa5" * (len(whole) - 4096),
            "head": b"x" * 100 + whole[100:],
        }[damage]
    )

    def use() -> None:
        again = rig(tmp_path)
        try:
            for r in again.controller.revisions(ADMIN):
                again.controller.revisions(ADMIN, before=r.id)
            again.controller.differences(ADMIN)
            again.put(doc("vpc", "more", "acme"))
        finally:
            again.close()

    said = refused(use)
    assert said.code == "store-damaged"
    assert "underlace restore --replace FILE" in said.remedy


def test_an_empty_store_file_is_a_new_store(tmp_path: Path) -> None:
    """What a first start leaves that was killed before it wrote anything."""
    (tmp_path / "store.sqlite").write_bytes(b"")
    opened = rig(tmp_path)
    opened.put(*quickstart())
    opened.close()


def test_a_fault_of_the_program_stays_one(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.sqlite")
    with pytest.raises(OperationalError), store.read() as c:
        c.exec_driver_sql("SELECT * FROM nothing")
    store.close()


def test_all_of_a_group_hear_why_when_the_database_takes_it_back(tmp_path: Path) -> None:
    """A disk that fills up ends the transaction, savepoints and all."""
    store = Store.open(tmp_path / "store.sqlite")

    def fails(c: Connection) -> None:
        c.exec_driver_sql("PRAGMA max_page_count = 1")  # not below what there is: from now on the file is full
        try:
            c.exec_driver_sql("CREATE TABLE more AS SELECT randomblob(1000000) AS body")
        finally:
            c.exec_driver_sql("ROLLBACK")  # as SQLite does by itself in some cases

    said = refused(lambda: store.write(fails))
    assert said.code == "store-unavailable"
    assert "full" in said.detail
    store.close()


def test_the_remedies_are_for_codes_that_there_are() -> None:
    assert all(0 < code < 0x100 for code in fault._AWAY)

"""Restores: what can go wrong, and what is left then. That no number is used twice is law 8's to show."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.controlled import ADMIN, NOW, Rig, doc, quickstart, rig
from underlace.controller.restore import restore
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    opened.hold_all()
    yield opened
    opened.close()


def saved(fabric: Rig) -> Path:
    path = fabric.path / "backup"
    fabric.controller.backup(ADMIN, path)
    return path


def test_a_backup_is_one_moment_of_a_store_in_use(fabric: Rig) -> None:
    backup = saved(fabric)
    before = fabric.hashes()
    fabric.delete(Ref("vnet", "acme", "red-web"))
    assert not list(fabric.path.glob(".backup-*"))
    (fabric.path / "other").mkdir()
    restore(backup, fabric.path / "other" / "store.sqlite", NOW)
    other = rig(fabric.path / "other")
    assert other.hashes() == before
    other.check_derived()
    other.close()


def test_a_restore_is_a_revision_and_audited(fabric: Rig) -> None:
    backup = saved(fabric)
    last = fabric.controller.revisions(ADMIN, 1)[0]
    fabric.close()
    number = restore(backup, fabric.path / "store.sqlite", NOW, actor="anna")
    again = rig(fabric.path)
    (revision,) = again.controller.revisions(ADMIN, 1)
    assert (revision.id, revision.actor) == (number, "anna")
    assert f"revision {last.id}" in revision.message
    assert {d.state for d in again.controller.devices(ADMIN)} == {"behind"}, "until they have said what they hold"
    again.said = fabric.said
    again.hold_all()
    assert {d.state for d in again.controller.devices(ADMIN)} == {"in-sync"}
    again.close()


def test_devices_that_the_backup_does_not_know_are_remembered(fabric: Rig) -> None:
    backup = saved(fabric)
    fabric.put(doc("switch", "leaf9", site="dc1", role="leaf", ports=4))
    fabric.hold("leaf9")
    fabric.close()
    restore(backup, fabric.path / "store.sqlite", NOW)
    again = rig(fabric.path)
    again.put(doc("vpc", "new", "acme"))
    waiting = again.controller.get(ADMIN, Ref("vpc", "acme", "new")).status.waiting
    assert "leaf9" in {w.device for w in waiting}
    again.controller.forget(ADMIN, "leaf9")
    waiting = again.controller.get(ADMIN, Ref("vpc", "acme", "new")).status.waiting
    assert "leaf9" not in {w.device for w in waiting}
    again.close()


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + bytes(4096)])
def test_what_is_no_backup_is_refused_and_the_store_stays(fabric: Rig, content: bytes) -> None:
    wrong = fabric.path / "wrong"
    wrong.write_bytes(content)
    before = fabric.hashes()
    fabric.close()
    files = sorted(p.name for p in fabric.path.iterdir())
    for source in (wrong, fabric.path / "none"):
        with pytest.raises(Refused) as refused:
            restore(source, fabric.path / "store.sqlite", NOW)
        assert [d.code for d in refused.value.diagnostics] == ["backup-unreadable"]
    assert sorted(p.name for p in fabric.path.iterdir()) == files
    again = rig(fabric.path)
    assert again.hashes() == before
    again.close()


def test_a_damaged_store_is_replaced(fabric: Rig) -> None:
    backup = saved(fabric)
    before = fabric.hashes()
    fabric.close()
    (fabric.path / "store.sqlite").write_bytes(b"eaten by a disk")
    restore(backup, fabric.path / "store.sqlite", NOW)
    assert (fabric.path / "store.sqlite.before-restore").read_bytes() == b"eaten by a disk"
    again = rig(fabric.path)
    assert again.hashes() == before
    again.close()


SPOILED = {
    "no counters that are numbers": "UPDATE meta SET value = 'many' WHERE name = 'revision'",
    "a table less": "DROP TABLE device",
    "a migration that was done": "UPDATE alembic_version SET version_num = '0001'",
    "a column less": "ALTER TABLE audit DROP COLUMN detail",
}


@pytest.mark.parametrize("statement", SPOILED.values(), ids=SPOILED)
def test_a_store_that_is_none_of_ours_is_refused_without_a_trace(fabric: Rig, statement: str) -> None:
    backup = saved(fabric)
    with closing(sqlite3.connect(backup)) as c, c:
        c.execute(statement)
    fabric.close()
    files = {p.name: p.read_bytes() for p in fabric.path.iterdir()}
    with pytest.raises(Refused) as refused:
        restore(backup, fabric.path / "store.sqlite", NOW)
    assert [d.code for d in refused.value.diagnostics] == ["backup-unreadable"]
    assert {p.name: p.read_bytes() for p in fabric.path.iterdir()} == files


def test_what_was_written_last_is_kept_too(fabric: Rig) -> None:
    """A store whose controller was killed has its last changes in the journal beside it."""
    backup = saved(fabric)
    with closing(sqlite3.connect(fabric.path / "store.sqlite")) as reader:
        reader.execute("SELECT count(*) FROM meta").fetchone()
        fabric.put(doc("tenant", "last"))
        fabric.close()
        restore(backup, fabric.path / "store.sqlite", NOW)
    (fabric.path / "kept").mkdir()
    for kept in fabric.path.glob("store.sqlite.before-restore*"):
        kept.rename(fabric.path / "kept" / kept.name.replace(".before-restore", ""))
    again = rig(fabric.path / "kept")
    assert again.controller.get(ADMIN, Ref("tenant", "-", "last")).name == "last"
    again.close()

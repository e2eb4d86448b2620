"""Restores: what can go wrong, and what is left then. That no number is used twice is law 8's to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.controlled import ADMIN, NOW, Rig, doc, quickstart, rig
from underlace.controller.restore import restore
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    opened.hold_all()
    yield opened
    opened.close()


def saved(fabric: Rig) -> Path:
    path = fabric.path / "backup"
    path.write_bytes(fabric.controller.backup(ADMIN))
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
    again = rig(fabric.path)
    assert again.hashes() == before
    again.close()

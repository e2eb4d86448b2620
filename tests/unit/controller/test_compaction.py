"""Compaction: what intent was long ago goes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.controlled import ADMIN, NOW, Rig, doc, quickstart, rig
from underlace.access import Actor, Role
from underlace.controller import compaction
from underlace.controller.history import VersionItem
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref
from underlace.store.past import Place

DAY = timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> object:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fabric(tmp_path: Path, clock: Clock) -> Iterator[Rig]:
    """Ten days: each day VPC "daily" is changed, "brief" made and deleted."""
    made = rig(tmp_path, clock=clock)  # type: ignore[arg-type]
    made.put(*quickstart())
    for day in range(10):
        clock.now = NOW + day * DAY
        made.put(doc("vpc", "daily", "acme", description=f"day {day}"), doc("vpc", "brief", "acme"))
        made.delete(Ref("vpc", "acme", "brief"))
    yield made
    made.close()


def intent(fabric: Rig, revision: int) -> list[VersionItem]:
    return fabric.controller.as_of(ADMIN, revision)


def rows(fabric: Rig) -> int:
    with fabric.store.read() as c:
        return int(c.exec_driver_sql("SELECT count(*) FROM history").scalar_one())


def test_what_was_within_the_limit_can_be_told_and_what_was_before_cannot(fabric: Rig) -> None:
    newest = fabric.controller.revisions(ADMIN, 1)[0].id
    before = {number: intent(fabric, number) for number in range(3, newest + 1)}
    done = fabric.controller.compact(ADMIN, 3 * DAY)
    assert (done.after, done.since) == (None, newest - 8), "four days are within, of two revisions each"
    assert rows(fabric) == 3 * 3 + 1 + 1 + 1, "daily, brief and its end of each day within; daily at the limit"
    for number, was in before.items():
        if number >= done.since:
            assert intent(fabric, number) == was
            continue
        with pytest.raises(Refused) as refused:
            intent(fabric, number)
        assert refused.value.diagnostics[0].code == "history-compacted"
        with pytest.raises(Refused):
            fabric.controller.revision(ADMIN, number)
    _, wrote = fabric.controller.revision(ADMIN, done.since + 1)
    assert [(w.action, w.name) for w in wrote] == [("create", "brief"), ("update", "daily")]
    assert [r.id for r in fabric.controller.revisions(ADMIN)][-1] == 1, "who changed something stays known"
    fabric.check_derived()


def test_it_comes_in_parts_and_goes_on_after_a_kill(fabric: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "BATCH", 2)
    monkeypatch.setattr(compaction, "BATCHES", 1)
    newest = fabric.controller.revisions(ADMIN, 1)[0].id
    was = intent(fabric, newest - 1)
    first = fabric.controller.compact(ADMIN, DAY)
    assert (first.dropped, first.after is None) == (2, False)
    names = {v.name for v in intent(fabric, newest)}
    assert "brief" not in names, "half-way, nothing that was deleted comes back"
    dropped, after = 0, Place()
    while True:  # begun anew, as after a kill
        part = fabric.controller.compact(ADMIN, DAY, after)
        dropped += part.dropped
        if part.after is None:
            break
        after = Place(*part.after)
    assert dropped > 2
    assert fabric.controller.compact(ADMIN, DAY).dropped == 0
    assert intent(fabric, newest - 1) == was


def test_what_is_now_and_the_quarantine_stay(fabric: Rig, clock: Clock) -> None:
    fabric.put(doc("vnet", "old", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}]))
    fabric.hold_all()
    fabric.delete(Ref("vnet", "acme", "old"))
    clock.now += 400 * DAY
    with fabric.store.read() as c:
        confined = c.exec_driver_sql("SELECT count(*) FROM quarantine").scalar_one()
    assert confined
    now = fabric.controller.as_of(ADMIN, fabric.controller.revisions(ADMIN, 1)[0].id)
    fabric.controller.compact(ADMIN, DAY)
    assert rows(fabric) == 0, "all that is left is current"
    assert fabric.controller.as_of(ADMIN, fabric.controller.revisions(ADMIN, 1)[0].id) == now
    with fabric.store.read() as c:
        assert c.exec_driver_sql("SELECT count(*) FROM quarantine").scalar_one() == confined


def test_it_is_audited_and_for_administrators(fabric: Rig) -> None:
    for role in (Role.OPERATOR, Role.READER, Role.TENANT):
        with pytest.raises(Refused) as refused:
            fabric.controller.compact(Actor("x", role, frozenset({"acme"})), DAY)
        assert refused.value.diagnostics[0].code == "forbidden"
    done = fabric.controller.compact(ADMIN, DAY)
    with fabric.store.read() as c:
        found = c.exec_driver_sql("SELECT actor, detail FROM audit WHERE action = 'history-compact'").fetchall()
    assert [tuple(r) for r in found] == [(ADMIN.name, f"{done.dropped} until {done.since}")]

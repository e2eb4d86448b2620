"""kill -9 in the middle of a migration: the store is the old one or the new one, and opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support import databases
from support.controlled import Rig, quickstart, rig
from support.killed import commits, killed_at, statements
from underlace.store import engine, ledger, migrate
from underlace.store.engine import Place
from underlace.store.store import Store


def schema(place: Place) -> str:
    """The schema that is there, looked at by nobody who would change it."""
    reader = engine.engine(place, writer=False)
    try:
        with reader.connect() as c:
            return migrate.schema_revision(c)
    finally:
        reader.dispose()


def older(place: Place, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of an earlier release, with something in it."""
    upgrade: Callable[..., None] = migrate._upgrade
    with monkeypatch.context() as patched:
        from alembic import command

        head = command.upgrade
        patched.setattr(command, "upgrade", lambda config, _: head(config, revision))
        patched.setattr(migrate, "_upgrade", upgrade)
        store = Store.open(place)
    store.write(lambda c: ledger.set_fact(c, "kept", "yes"))
    store.close()


@pytest.mark.parametrize("start", ["", *migrate.revisions()[:-1]])
def test_a_migration_that_is_killed_changes_nothing(
    tmp_path: Path, start: str, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    place, newest = databases.place(tmp_path), migrate.revisions()[-1]
    if start:
        older(place, start, monkeypatch)
    assert killed_at(1, lambda: Store.open(place), commits), "nothing is committed"
    assert schema(place) == start
    step, stride = 1, 17 if quick else 1 if start else 9
    while killed_at(step, lambda: Store.open(place), statements):
        assert schema(place) in (start, newest), f"killed at step {step}"
        if schema(place) == newest:
            break
        step += stride
    assert step > stride, "nothing was migrated"
    store = Store.open(place)
    assert schema(place) == newest
    with store.read() as c:
        assert ledger.facts(c).get("kept") == ("yes" if start else None)
    store.close()
    opened: Rig = rig(tmp_path)
    opened.put(*quickstart())
    opened.check_derived()
    opened.close()

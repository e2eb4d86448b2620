"""The whole fabric compiled in parts is what it is compiled at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, update

from support.controlled import ADMIN, Rig, doc, quickstart, rig
from underlace.compiler import compile_fragments
from underlace.controller import whole
from underlace.controller.whole import PARTS, Pieces
from underlace.model.device import Vrf, encode_fragment
from underlace.model.fact import FragmentKey
from underlace.store import fragments, rows, schema


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    made = rig(tmp_path)
    made.put(*quickstart())
    yield made
    made.close()


@pytest.mark.parametrize("size", [1, 4, 1_000])
def test_batches_of_any_size_make_the_same_fragments(fabric: Rig, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(whole, "BATCH", size)
    assert fabric.controller.differences(ADMIN) == []
    engine = fabric.controller._engine
    with fabric.store.read() as c, Pieces.on_disk() as pieces:
        whole.compile_all(engine, c, pieces)
        found = {key: name for part in range(PARTS) for key, name in pieces.hashes(part).items()}
        view = engine.view(c)
        at_once = compile_fragments(map(view.parse, rows.every(c)), view).fragments
    assert found == {key: fragment.hash for key, fragment in at_once.items()}


def test_statements_go_by_batches_not_by_resources(fabric: Rig) -> None:
    """One by one they would be most of what a compile from nothing costs."""

    def statements() -> int:
        found = 0

        def count(*_: object) -> None:
            nonlocal found
            found += 1

        event.listen(Engine, "before_cursor_execute", count)
        try:
            assert fabric.controller.differences(ADMIN) == []
        finally:
            event.remove(Engine, "before_cursor_execute", count)
        return found

    few = statements()
    fabric.put(*(doc("vpc", f"more{n}", "acme") for n in range(30)))
    assert statements() <= few


def test_what_is_stored_otherwise_is_told(fabric: Rig) -> None:
    table = schema.fragment
    with fabric.store.read() as c:
        key = min(fragments.every_key(c))
    change = update(table).where(table.c.device == key.device, table.c.scope == key.scope).values(hash=b"x")
    fabric.store.write(lambda c: c.execute(change))
    (found,) = fabric.controller.differences(ADMIN)
    assert (found.device, found.scope, found.stored) == (*key, b"x".hex())
    assert found.compiled not in (None, b"x".hex())


def test_pieces_that_disagree_make_no_fragment() -> None:
    key = FragmentKey("leaf1", "vrf:vpc-1")
    with Pieces.on_disk() as pieces:
        for vni in (5, 6):
            pieces.add(key, encode_fragment([Vrf("vpc-1", l3vni=vni)]))
        assert pieces.hashes(pieces.part_of("leaf1")) == {}

"""A store of an earlier release is the same store after the upgrade, on either database."""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, insert, select, text

from support import databases
from support.controlled import ADMIN, Rig, doc, quickstart, rig
from underlace.controller.document import EVERYTHING, Request
from underlace.kinds.registry import KINDS
from underlace.model.fact import FragmentKey
from underlace.model.ids import Ref
from underlace.store import fragments, migrate, rows
from underlace.store.engine import engine
from underlace.store.squeeze import squeezed
from underlace.store.view import StoreView

DUMP = Path(__file__).parents[2] / "captures" / "stores" / "0.1.0.sql"
RED = Ref("vpc", "acme", "red")


def upgrade(c: Connection, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    config.attributes["connection"] = c
    command.upgrade(config, target)


def fill(c: Connection, dump: Path, directory: Path) -> None:
    """The rows of a dump, in a schema as old as it."""
    source = engine(directory / "dump.sqlite", writer=False)
    with closing(sqlite3.connect(directory / "dump.sqlite")) as raw:
        raw.executescript(dump.read_text())
    found = MetaData()
    with source.connect() as old:
        revision = old.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        upgrade(c, revision)
        found.reflect(c)
        for table in found.sorted_tables:
            if table.name != "alembic_version" and (
                rows_ := [dict(r) for r in old.execute(select(table)).mappings()]
            ):
                c.execute(insert(table), rows_)
    source.dispose()


@pytest.fixture(scope="module")
def upgraded(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("upgraded")
    writer = engine(databases.place(directory), writer=True)
    with writer.begin() as c:
        fill(c, DUMP, directory)
        upgrade(c, "0004")
        # As the releases between wrote them: some squeezed, in the text of that time.
        for i, (name, body) in enumerate(c.execute(text("SELECT hash, body FROM blob")).fetchall()):
            if i % 2:
                old = "1:" + b64encode(squeezed(body)[1:]).decode()
                c.execute(text("UPDATE blob SET body = :b WHERE hash = :h"), {"b": old, "h": name})
        # A device that holds something else than is desired now: the body of that is kept.
        c.execute(text("INSERT INTO blob VALUES ('" + "a" * 64 + "', '[]')"))
        c.execute(text("UPDATE held SET hash = '" + "a" * 64 + "' WHERE device = 'leaf1' AND scope = 'base'"))
        c.execute(
            text("INSERT INTO history SELECT id, 1, kind, tenant, name, labels, spec FROM resource WHERE id = 60")
        )
    writer.dispose()
    fabric = rig(directory)
    yield fabric
    fabric.close()


@pytest.fixture
def old(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "dump.sqlite")) as raw:
        raw.executescript(DUMP.read_text())
        yield raw


def test_fragments_and_who_touches_them_are_the_same(upgraded: Rig, old: sqlite3.Connection) -> None:
    touches = {
        (FragmentKey(device, scope), i) for device, scope, i in old.execute("SELECT device, scope, id FROM touch")
    }
    with upgraded.store.read() as c:
        assert fragments.every_touch(c) == touches
        assert fragments.touches(c, {i for _, i in touches}) == touches
        found = {(*key, name) for key, name in fragments.every_key(c).items()}
    assert found == set(old.execute("SELECT device, scope, hash FROM fragment"))
    assert upgraded.plan(*quickstart()).digest == ""


def test_every_reference_is_found(upgraded: Rig) -> None:
    with upgraded.store.read() as c:
        view = StoreView(c, KINDS)
        resources = [view.parse(r) for r in list(rows.every(c))]
        expected = {(x.target, r.ref) for r in resources for x in KINDS[r.ref.kind].refs(r)}
        found = {(x.target, r.ref) for r, xs in view.pointing({t for t, _ in expected}) for x in xs}
    assert found == expected


def test_numbers_are_where_they_were(upgraded: Rig, old: sqlite3.Connection) -> None:
    numbers = set(old.execute("SELECT pool, value, owner, slot FROM number"))
    cursors = dict(old.execute("SELECT pool, value FROM cursor"))
    with upgraded.store.read() as c:
        new = c.exec_driver_sql(
            "SELECT p.name, n.value, n.owner, n.slot, p.id FROM number n JOIN pool p ON p.id = n.pool"
        )
        assert {(pool, value, owner, slot or pool) for pool, value, owner, slot, _ in new} == numbers
        found = {r[0]: (r[1], r[2]) for r in c.exec_driver_sql("SELECT name, id, cursor FROM pool")}
    assert {name: cursor for name, (_, cursor) in found.items() if cursor} == cursors
    assert {i < 0 for name, (i, _) in found.items() if name.startswith("rd/")} == {True}
    assert found["vni"][0] > 0
    for slot, kind, name in (("rd/leaf1", "vpc", "red"), ("vni", "vpc", "red"), ("vni", "vnet", "red-web")):
        assert upgraded.number(slot, kind, name, "acme") in {value for _, value, _, s in numbers if s == slot}


def test_history_has_each_version_once(upgraded: Rig) -> None:
    found = upgraded.controller.history(ADMIN, RED)
    assert [(v.action, v.revision) for v in found] == [("update", 2), ("create", 1)]
    assert RED in {Ref(v.kind, v.tenant, v.name) for v in upgraded.controller.revision(ADMIN, 2)[1]}


def test_bodies_are_there_of_what_is_desired_and_of_what_is_held(upgraded: Rig) -> None:
    assert upgraded.controller.device(ADMIN, "leaf1").pending == ("base",)
    manifest = upgraded.fetch("leaf2")
    assert manifest is not None, "every body that it names was there"
    with upgraded.store.read() as c:
        kept = c.exec_driver_sql("SELECT device, scope FROM held WHERE body IS NOT NULL").fetchall()
    assert [tuple(r) for r in kept] == [("leaf1", "base")]


def test_it_goes_on_working(upgraded: Rig) -> None:
    upgraded.controller.apply(ADMIN, Request(recompile=EVERYTHING))
    upgraded.put(doc("vnet", "later", "acme", vpc="red", ports=[{"port": "swp12@leaf3"}]))
    upgraded.check_derived()
    upgraded.delete(Ref("vnet", "acme", "later"))
    upgraded.check_derived()

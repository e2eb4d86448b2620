"""Statements that stand for many rows: each look-up is by an index, and each form compiles for both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.expression import ClauseElement, CompoundSelect, Select

from underlace.store import devices, fragments, ledger, numbers, past, pools, rows, view
from underlace.store.store import Store

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

MODULES = (devices, fragments, ledger, numbers, past, pools, rows, view)
WHOLE = {
    "rows._EVERY",
    "rows._TOTAL",
    "fragments._EVERY_KEY",
    "ledger._META",
    "ledger._REVISIONS",
    "devices._ALL",
    "devices._BEHIND",
    "devices._SINCE",
    "past._FIRST_WITHIN",
    "past._PAST",
    "pools._LEAP",
    "numbers._WAITING_OWNERS",
}
"""Statements that may read a whole table: of a few rows, or never on the path of an edit."""

NO_TABLES = ("VIRTUAL TABLE", "CONSTANT ROW")
"""In a plan: the rows of a parameter, or one row of values."""


def statements() -> list[tuple[str, ClauseElement]]:
    found: list[tuple[str, ClauseElement]] = []
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, (CompoundSelect, Select, UpdateBase)):
                found.append((f"{module.__name__.rpartition('.')[2]}.{name}", value))
    return found


STATEMENTS = statements()
OF_OWNERS = ("numbers._COMMON", "numbers._OF_SLOTS", "numbers._OF_POOLS", "numbers._OF_OWNERS")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(tmp_path_factory.mktemp("store") / "store.sqlite")
    yield opened
    opened.close()


def test_all_statements_are_looked_at() -> None:
    assert len(STATEMENTS) > 50
    assert {name for name, _ in STATEMENTS} >= WHOLE


def explained(store: Store, statement: ClauseElement) -> list[str]:
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    with store.read() as c:
        raw = c.connection.driver_connection
        assert raw is not None
        plan = raw.execute(f"EXPLAIN QUERY PLAN {compiled}", dict.fromkeys(compiled.params, "[]")).fetchall()
    return [row[3] for row in plan]


@pytest.mark.parametrize("name", OF_OWNERS)
def test_the_numbers_of_owners_are_found_by_owner(store: Store, name: str) -> None:
    """By pool, they would be found among the numbers of everybody: a full compile took three times as long."""
    plan = [line for line in explained(store, dict(STATEMENTS)[name]) if "number" in line]
    assert len(plan) == 1
    assert "number_owner (owner=?" in plan[0]


@pytest.mark.parametrize(("name", "statement"), STATEMENTS, ids=[n for n, _ in STATEMENTS])
def test_look_ups_are_by_index(store: Store, name: str, statement: ClauseElement) -> None:
    plan = explained(store, statement)
    scans = [line for line in plan if line.startswith("SCAN") and not any(t in line for t in NO_TABLES)]
    if name in WHOLE:
        assert scans or "SEARCH" in str(plan)
    else:
        assert scans == [], plan


@pytest.mark.parametrize(("name", "statement"), STATEMENTS, ids=[n for n, _ in STATEMENTS])
def test_they_compile_for_postgresql(name: str, statement: ClauseElement) -> None:
    text = str(statement.compile(dialect=postgresql.dialect()))
    assert "json_each" not in text
    assert "json_extract" not in text

"""What PostgreSQL makes of the statements: a look-up of a few rows never reads a whole table, however small it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Integer
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql.expression import ClauseElement

from support import databases
from underlace.store.store import Store
from unit.store.test_statements import OF_OWNERS, STATEMENTS, WHOLE

pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("database", ["postgresql"], indirect=True, scope="module"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Store]:
    opened = Store.open(databases.migrated(tmp_path_factory.mktemp("store")))
    yield opened
    opened.close()


def explained(store: Store, statement: str, given: dict[str, Any]) -> list[str]:
    with store.read() as c:
        raw = c.connection.driver_connection
        assert raw is not None
        return [row[0] for row in raw.execute(f"EXPLAIN {statement}", given).fetchall()]


def lists(statement: str) -> set[str]:
    """The parameters that are lists."""
    return set(re.findall(r"jsonb_array_elements\(CAST\(%\((\w+)\)s", statement))


@pytest.mark.parametrize("name", OF_OWNERS)
def test_the_numbers_of_owners_are_found_by_owner(store: Store, name: str) -> None:
    """By pool, they would be found among the numbers of everybody: an import took three times as long."""
    compiled = dict(STATEMENTS)[name].compile(dialect=psycopg.dialect())
    given = {**compiled.params, **dict.fromkeys(lists(str(compiled)), "[]")}
    plan = explained(store, str(compiled), given)
    assert any("number_owner" in line for line in plan), "\n".join(plan)
    assert not any("number_pkey" in line for line in plan), "\n".join(plan)


@pytest.mark.parametrize(("name", "statement"), STATEMENTS, ids=[n for n, _ in STATEMENTS])
def test_look_ups_are_by_index(store: Store, name: str, statement: ClauseElement) -> None:
    compiled = statement.compile(dialect=psycopg.dialect())
    listed = lists(str(compiled))
    given = {
        key: "[]" if key in listed else value if value is not None else 1 if isinstance(bind.type, Integer) else "x"
        for (key, value), bind in ((item, compiled.binds[item[0]]) for item in compiled.params.items())
    }
    plan = explained(store, str(compiled), given)
    scans = [line for line in plan if "Seq Scan" in line]
    assert scans == [] or name in WHOLE, "\n".join(plan)

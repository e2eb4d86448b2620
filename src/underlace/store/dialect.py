"""The only module that knows which database it speaks to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Engine, Table, create_engine, event, insert, text, true, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql import ColumnElement, column
from sqlalchemy.sql.expression import BindParameter, FromClause, Select, bindparam, select
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's lock on the file (a backup, a shell)."""


class _Each(FunctionElement[Any]):
    """The elements of a JSON array as rows with one column, `value`."""

    name = "each"
    inherit_cache = True


class _Item(FunctionElement[Any]):
    """Element n of a JSON array."""

    name = "item"
    inherit_cache = True


@compiles(_Each, "sqlite")
def _each_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Each, "postgresql")
def _each_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"jsonb_array_elements(CAST({compiler.process(element.clauses, **options)} AS jsonb))"


@compiles(_Item, "sqlite")
def _item_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    value, index = list(element.clauses)
    return f"json_extract({compiler.process(value, **options)}, '$[{int(index.value)}]')"


@compiles(_Item, "postgresql")
def _item_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    value, index = list(element.clauses)
    cast = compiler.dialect.type_compiler_instance.process(element.type)
    return f"CAST({compiler.process(value, **options)} ->> {int(index.value)} AS {cast})"


class Rows:
    """A list of tuples given to a statement as one JSON parameter: one cached statement for any number of rows."""

    def __init__(self, parameter: str, **columns: type[TypeEngine[Any]]) -> None:
        self.source: FromClause = (
            _Each(bindparam(parameter)).table_valued(column("value")).alias(f"given_{parameter}")
        )
        self._types = columns
        self._order = list(columns)

    def __getattr__(self, name: str) -> ColumnElement[Any]:
        if name.startswith("_") or name not in self._types:
            raise AttributeError(name)
        index: BindParameter[int] = bindparam(None, self._order.index(name), literal_execute=True)
        item = _Item(self.source.c.value, index)
        item.type = self._types[name]()
        return item


def listed(parameter: str) -> Select[Any]:
    """The values of a list parameter, for `column.in_(listed("ids"))`; see `packed`."""
    return select(_Each(bindparam(parameter)).table_valued(column("value")).c.value)


def packed(values: Iterable[Any]) -> str:
    """A list (of scalars or of tuples) as the parameter that `listed` and `Rows` take."""
    return msgspec.json.encode(list(values)).decode()


Values = Iterable[Sequence[Any]]
"""Rows as tuples, in the order of the table's columns (or of the columns named)."""


class Insert:
    """Insert any number of rows with one statement and one parameter: at hundreds of rows, binding each value costs
    more than writing it. on_conflict: "" fails, "keep" leaves a row with this primary key, "overwrite" does that."""

    def __init__(self, table: Table, on_conflict: str = "") -> None:
        given = Rows("rows", **{c.name: type(c.type) for c in table.columns})
        names = [c.name for c in table.columns]
        # Without a WHERE, SQLite would read ON as the beginning of a join's condition.
        rows = select(*(getattr(given, n) for n in names)).select_from(given.source).where(true())
        if on_conflict:
            rows = rows.suffix_with(text(_conflict(table, on_conflict)))
        self._statement = insert(table).from_select(names, rows)

    def __call__(self, c: Connection, rows: Values) -> None:
        if found := list(rows):
            c.execute(self._statement, {"rows": packed(found)})


def _conflict(table: Table, action: str) -> str:
    keys = [c.name for c in table.primary_key]
    others = [c.name for c in table.columns if c.name not in keys]
    if action == "keep" or not others:
        return f"ON CONFLICT ({', '.join(keys)}) DO NOTHING"
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET " + ", ".join(f"{n} = excluded.{n}" for n in others)


def among(parameter: str, *columns: Column[Any]) -> ColumnElement[bool]:
    """Whether the columns' values together are one of the tuples given (see `packed`)."""
    given = Rows(parameter, **{c.name: type(c.type) for c in columns})
    rows = select(*(getattr(given, c.name) for c in columns)).select_from(given.source)
    return tuple_(*columns).in_(rows)


def sqlite_engine(path: str, *, writer: bool) -> Engine:
    """An engine on a file. The writer has one connection and takes the write lock at BEGIN."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=1 if writer else 8,
        max_overflow=0 if writer else 56,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT, "cached_statements": 512},
    )
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own transaction control would commit behind our back and breaks savepoints and DDL.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -32768")
        # Pages that many commits write are copied into the file once: 32 MiB of log, which a crash reads in no time.
        connection.execute("PRAGMA wal_autocheckpoint = 8192")

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine

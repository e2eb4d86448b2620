"""What SQLite and PostgreSQL write differently: lists as parameters, and text that compares as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, Integer, LargeBinary, Table, Text, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement, column
from sqlalchemy.sql.expression import BindParameter, FromClause, Select, bindparam, select
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine


class _Each(FunctionElement[Any]):
    """The elements of a JSON array as rows with one column, `value`."""

    name = "each"
    inherit_cache = True


class _Scalar(FunctionElement[Any]):
    """A JSON scalar as a value of the element's type."""

    name = "scalar"
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


@compiles(_Scalar, "sqlite")
def _scalar_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(_Scalar, "postgresql")
def _scalar_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return _typed(f"{compiler.process(element.clauses, **options)} #>> '{{}}'", element, compiler)


@compiles(_Item, "sqlite")
def _item_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    value, index = list(element.clauses)
    return f"json_extract({compiler.process(value, **options)}, '$[{int(index.value)}]')"


@compiles(_Item, "postgresql")
def _item_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    value, index = list(element.clauses)
    return _typed(f"{compiler.process(value, **options)} ->> {int(index.value)}", element, compiler)


def _typed(text: str, element: Any, compiler: Any) -> str:
    """What PostgreSQL took out of JSON as text, as what it is."""
    if isinstance(element.type, Text):
        return f"({text})"
    return f"CAST({text} AS {compiler.dialect.type_compiler_instance.process(element.type)})"


@compiles(Text, "postgresql")
def _text_postgresql(_: Any, _compiler: Any, **_options: Any) -> str:
    """Bounds of claims, and names on a page, are in the order of their characters, as Python's and SQLite's are. A
    database has the order of its language."""
    return 'TEXT COLLATE "C"'


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


def listed(parameter: str, kind: type[TypeEngine[Any]] = Text) -> Select[Any]:
    """The values of a list parameter, for `column.in_(listed("names"))`; see `packed`."""
    value = _Scalar(_Each(bindparam(parameter)).table_valued(column("value")).c.value)
    value.type = kind()
    return select(value)


def packed(values: Iterable[Any]) -> str:
    """A list (of scalars or of tuples) as the parameter that `listed` and `Rows` take."""
    return msgspec.json.encode(list(values)).decode()


Values = Iterable[Sequence[Any]]
"""Rows as tuples, in the order of the table's columns (or of the columns named)."""


class Insert:
    """Insert any number of rows with one statement. on_conflict: "" fails, "keep" leaves a row that is there,
    "overwrite" replaces one with this primary key."""

    def __init__(self, table: Table, on_conflict: str = "") -> None:
        names = [c.name for c in table.columns]
        into = f"INSERT INTO {table.name} ({', '.join(names)})"
        action = _conflict(table, on_conflict) if on_conflict else ""
        self._each = f"{into} VALUES ({', '.join('?' * len(names))}) {action}"
        arrays = ", ".join(f"%s::{_ARRAYS[type(c.type)]}[]" for c in table.columns)
        self._at_once = f"{into} SELECT * FROM unnest({arrays}) {action}"  # noqa: S608 - names of the schema

    def __call__(self, c: Connection, rows: Values) -> None:
        found = [tuple(row) for row in rows]
        if not found:
            return
        if c.dialect.name == "sqlite":
            c.exec_driver_sql(self._each, found)
        else:
            # An array for each column: to bind each value, or to take them out of JSON, takes the server longer than
            # writing the rows.
            c.exec_driver_sql(self._at_once, tuple(map(list, zip(*found, strict=True))))


_ARRAYS: dict[type[Any], str] = {
    BigInteger: "int8",
    Boolean: "bool",
    Integer: "int4",
    LargeBinary: "bytea",
    Text: "text",
}


def _conflict(table: Table, action: str) -> str:
    keys = [c.name for c in table.primary_key]
    others = [c.name for c in table.columns if c.name not in keys]
    if action == "keep" or not others:
        return "ON CONFLICT DO NOTHING"
    return f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET " + ", ".join(f"{n} = excluded.{n}" for n in others)


def among(parameter: str, *columns: Column[Any]) -> ColumnElement[bool]:
    """Whether the columns' values together are one of the tuples given (see `packed`)."""
    given = Rows(parameter, **{c.name: type(c.type) for c in columns})
    rows = select(*(getattr(given, c.name) for c in columns)).select_from(given.source)
    return tuple_(*columns).in_(rows)

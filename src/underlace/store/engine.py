"""Engines: how this process is connected to a store's database, as its writer or as a reader.

A store is a file (SQLite), or a database of a PostgreSQL server (postgresql://USER@HOST/NAME), which several
controllers may share. Either way one change at a time: SQLite locks its file at BEGIN, PostgreSQL an advisory lock.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from underlace.model.diagnostic import Diagnostic, Refused, Where

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's lock on a SQLite file (a backup, a shell)."""

READERS = 64
"""Most connections that read at once; further ones wait."""

WRITERS_LOCK = 0x756E6465726C6163
"""Key of the advisory lock that a writer holds for its transaction: "underlac" in ASCII. It is the database's own."""

NOT_FOR_US = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
"""Settings of PostgreSQL's planner that are off on our connections. Every look-up is by index, of a few rows given as
JSON; the planner takes those for a hundred, and so reads whole tables until they are far too large for that."""

Place = Path | str
"""A file, or the URL of a PostgreSQL database."""


def is_server(place: Place) -> bool:
    """Whether a store is in a PostgreSQL database."""
    return str(place).startswith(("postgresql://", "postgres://"))


def engine(place: Place, *, writer: bool) -> Engine:
    """A writer has one connection, and is alone from the beginning of its transaction to the end. A reader's
    transaction sees one moment of the store. Raises Refused for a URL that is none."""
    return _postgresql(_url(str(place)), writer) if is_server(place) else _sqlite(str(place), writer)


def conninfo(place: str) -> str:
    """The URL of a PostgreSQL database as libpq reads it, password included."""
    return _url(place).set(drivername="postgresql").render_as_string(hide_password=False)


def _sqlite(path: str, writer: bool) -> Engine:
    made = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=1 if writer else 8,
        max_overflow=0 if writer else READERS - 8,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT, "cached_statements": 512},
    )
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @event.listens_for(made, "connect")
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

    @event.listens_for(made, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return made


def _postgresql(url: URL, writer: bool) -> Engine:
    made = create_engine(
        url,
        pool_size=1 if writer else 8,
        max_overflow=0 if writer else READERS - 8,
        # A server that was restarted closed our connections: found out before, not by, the next transaction.
        pool_pre_ping=True,
        # After the writers' lock a statement has to see what the writer before has committed.
        isolation_level="READ COMMITTED" if writer else "REPEATABLE READ",
        connect_args={"application_name": "underlace", "connect_timeout": 10},
    )

    @event.listens_for(made, "connect")
    def by_index(connection: Any, _record: object) -> None:
        connection.execute(
            "SELECT set_config(name, 'off', false) FROM unnest(%s::text[]) AS name", [list(NOT_FOR_US)]
        )
        connection.commit()

    if writer:

        @event.listens_for(made, "connect")
        def durable(connection: Any, _record: object) -> None:
            # An answer promises that the change is on disk, whatever the server does for others.
            connection.execute(
                "SELECT set_config(name, 'on', false) FROM pg_settings "
                "WHERE name = 'synchronous_commit' AND setting = 'off'"
            )
            connection.commit()

        @event.listens_for(made, "begin")
        def alone(connection: Connection) -> None:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")

    return made


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise Refused([_no_url()]) from None
    return url.set(drivername="postgresql+psycopg")


def _no_url() -> Diagnostic:
    # The text may hold a password: it is not shown.
    return Diagnostic(
        Where(),
        "database-url",
        "The URL of the database cannot be read",
        "It has another form than postgresql://USER@HOST:PORT/NAME.",
        "Correct it; characters other than letters and digits in a password are written as %XX.",
    )

"""Which database a test's stores are in: files, unless the fixture `database` of its package says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.postgres import PostgresServer
from underlace.store.engine import Place
from underlace.store.store import Store

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.contract)]
"""Parameters of that fixture. One module's tests run on one alone by
`pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)`. A fixture that opens a store
for a whole module asks for `database`: else pytest would keep it for both."""


def _file(directory: Path) -> Place:
    return directory / "store.sqlite"


def _migrated_file(directory: Path) -> Place:
    file = directory / "store.sqlite"
    if not file.exists():
        file.write_bytes(_new_file())
    return file


@cache
def _new_file() -> bytes:
    """A store of this release with nothing in it."""
    with TemporaryDirectory() as directory:
        store = Store.open(Path(directory) / "store.sqlite")
        store.close()
        return store.path.read_bytes()


@cache
def _new_database(server: PostgresServer) -> str:
    url = server.database()
    Store.open(url).close()
    return url


_place: Callable[[Path], Place] = _file
_migrated: Callable[[Path], Place] = _migrated_file


def place(directory: Path) -> Place:
    """Where the store of this directory is."""
    return _place(directory)


def migrated(directory: Path) -> Place:
    """The same, with what `Store.open` makes of an empty one in it, unless there is a store. A copy of one that was
    made once: migrations take ten times as long as what most tests do in their store."""
    return _migrated(directory)


def use(monkeypatch: pytest.MonkeyPatch, server: PostgresServer) -> None:
    """Have each directory mean a database of the server."""
    urls: dict[Path, str] = {}

    def empty(directory: Path) -> Place:
        if directory not in urls:
            urls[directory] = server.database()
        return urls[directory]

    def copied(directory: Path) -> Place:
        if directory not in urls:
            urls[directory] = server.database(copy_of=_new_database(server))
        return urls[directory]

    monkeypatch.setattr(f"{__name__}._place", empty)
    monkeypatch.setattr(f"{__name__}._migrated", copied)

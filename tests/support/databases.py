"""Which database a test's stores are in: files, unless the fixture `database` of its package says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.postgres import PostgresServer
from underlace.store.engine import Place

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.contract)]
"""Parameters of that fixture. One module's tests run on one alone by
`pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)`. A fixture that opens a store
for a whole module asks for `database`: else pytest would keep it for both."""


def _file(directory: Path) -> Place:
    return directory / "store.sqlite"


_place: Callable[[Path], Place] = _file


def place(directory: Path) -> Place:
    """Where the store of this directory is."""
    return _place(directory)


def use(monkeypatch: pytest.MonkeyPatch, server: PostgresServer) -> None:
    """Have each directory mean a database of the server."""
    urls: dict[Path, str] = {}

    def url(directory: Path) -> Place:
        if directory not in urls:
            urls[directory] = server.database()
        return urls[directory]

    monkeypatch.setattr(f"{__name__}._place", url)

"""`make gen`: everything that is made from the code. `--check` fails when a page is stale or missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from tools.pages import api, cli, device_objects, diagnostics, faults, kinds, live, settings
from underlace.api.app import create_app
from underlace.kinds.registry import KINDS
from underlace.lab.faults.registry import FAULTS
from underlace.main import build
from underlace.queries.registry import QUERIES

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"

BY_HAND = frozenset({"README.md", "benchmarks.md", "long-tests.md"})
"""Pages of docs/reference that are not made here."""


@cache
def made() -> Mapping[str, str]:
    """Every generated page by its path, made once."""
    return dict(pages())


def pages() -> Iterator[tuple[str, str]]:
    """Every generated page, as a path below docs/reference and its text."""
    yield from kinds.pages(KINDS, ROOT / "examples")
    yield from live.pages(QUERIES)
    yield from diagnostics.pages(ROOT / "src" / "underlace")
    yield from settings.pages()
    yield from device_objects.pages()
    yield from faults.pages(FAULTS)
    yield from cli.pages(build(["lab"]))
    yield from api.pages(openapi())


def openapi() -> dict[str, Any]:
    """What the controller serves at /v1/openapi.json. The routes need no controller to be described."""
    schema: dict[str, Any] = create_app(Mock(), Mock(), Mock()).inner.openapi()
    return schema


def stale() -> list[str]:
    """Pages that differ from the code, are missing, or that nothing makes any more."""
    wrong = [
        path
        for path, text in made().items()
        if not (REFERENCE / path).exists() or (REFERENCE / path).read_text() != text
    ]
    there = {str(p.relative_to(REFERENCE)) for p in REFERENCE.rglob("*") if p.is_file()}
    return sorted([*wrong, *(there - made().keys() - BY_HAND)])


def write() -> None:
    for path, text in made().items():
        target = REFERENCE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for path in stale():
        (REFERENCE / path).unlink()


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        write()
        return 0
    wrong = stale()
    for path in wrong:
        print(f"docs/reference/{path} is stale: make gen", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

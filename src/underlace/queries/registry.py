"""All live queries. A module of this package that has a `QUERY` is one: there is no other list."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import underlace.queries as package
from underlace.queries.base import Query


def _find() -> dict[str, Query]:
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "registry"]
    modules = (import_module(f"{package.__name__}.{name}") for name in names)
    found: list[Query] = [module.QUERY for module in modules if hasattr(module, "QUERY")]
    return {query.name: query for query in sorted(found, key=lambda query: query.name)}


QUERIES: Mapping[str, Query] = MappingProxyType(_find())
"""Queries by name."""

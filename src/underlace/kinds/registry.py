"""All kinds. A module of this package that has a `KIND` is one: there is no other list."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import underlace.kinds as package
from underlace.kinds.base import AnyKind


def _find() -> dict[str, AnyKind]:
    modules = (
        import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__) if _may(m.name)
    )
    found: list[AnyKind] = [module.KIND for module in modules if hasattr(module, "KIND")]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: (kind.order, kind.name))}


def _may(module: str) -> bool:
    """Modules that use the registry cannot be kinds."""
    return module not in ("registry", "builtin", "parse")


KINDS: Mapping[str, AnyKind] = MappingProxyType(_find())
"""Kinds by name, ordered for display: what others stand on comes first."""

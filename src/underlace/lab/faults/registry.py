"""All faults. A module of this package that has `FAULTS` holds some: there is no other list."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import underlace.lab.faults as package
from underlace.lab.faults.base import Fault


def _find() -> dict[str, Fault]:
    users = ("registry", "work", "cli")
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name not in users]
    modules = [import_module(f"{package.__name__}.{name}") for name in names]
    found: list[Fault] = [fault for module in modules for fault in getattr(module, "FAULTS", ())]
    return {fault.name: fault for fault in sorted(found, key=lambda fault: fault.name)}


FAULTS: Mapping[str, Fault] = MappingProxyType(_find())
"""Faults by name."""

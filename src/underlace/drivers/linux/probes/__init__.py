"""Probes of Linux devices: for each, what to run, and rows of what that says. One file each. Pure.

    question ──steps()──► programs and their places ──(probing, the door)──► output ──rows()──► rows

A module here that has a `PROBE` is one: there is no other list. Arguments come over the network: what becomes a word
of a command goes through `arguments`, which refuses all that it is not made for.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from underlace.drivers.linux.probes.base import Probe


@cache
def probes() -> Mapping[str, Probe]:
    """All of them by name."""
    modules = [import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return MappingProxyType({m.PROBE.name: m.PROBE for m in modules if hasattr(m, "PROBE")})

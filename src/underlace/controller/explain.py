"""Which resources are behind what a device holds. Nothing of it is stored: facts are stated again.

A text is looked for in device objects first, as what people call things (`swp5`, `10.1.1.1`, `acme/red`). What only
the device's own configuration has (`vni10005`, a line that was copied from it) is looked for there: behind a line are
the objects without which it would not be there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache

from underlace import compiler
from underlace.access import Actor, Use
from underlace.compiler import Why, compile_facts
from underlace.controller.devices import driver_of, no_device, require, scopes_of
from underlace.controller.run import Engine
from underlace.drivers.protocol import Driver
from underlace.model.device import DeviceObject, Key
from underlace.model.diagnostic import Refused
from underlace.store import devices, fragments, rows

Lines = Callable[[frozenset[Key]], frozenset[str]]
"""The native configuration of some objects of a device."""

SYSTEM: Key = ("system",)
"""What every object stands on, whether it says so or not."""


TOGETHER_MAX = 200
"""Objects of a scope that are taken away one by one: the time grows with the square."""


def explain(engine: Engine, actor: Actor, name: str, text: str) -> list[Why]:
    """Which resources are behind what the text is about, what fits best first.

    Of a longer text that is found nowhere as it is, the words that may name something are looked for.
    """
    require(actor, Use.READ_FABRIC, "explain what devices hold")
    with engine.store.read() as c:
        if devices.one(c, name) is None:
            raise Refused([no_device(name)])
        view = engine.view(c)
        members = [view.parse(s) for s in rows.by_id(c, fragments.on_device(c, name))]
        view.load(x.target for r in members for x in engine.kinds[r.ref.kind].refs(r))
        facts = list(compile_facts(members, view, frozenset((name,))))
        driver = driver_of(engine, c, name)
        scopes = scopes_of(c, name)
    native = _Native(driver, scopes) if driver is not None else None
    for wanted in (text.strip(), *_names(text)):
        if found := compiler.explain(facts, wanted):
            return found
        if native is not None and (keys := native.behind(wanted)):
            return [why for why in compiler.explain(facts) if why.key in keys]
    return []


def _names(text: str) -> list[str]:
    """The words of a text that may name something, the longest first."""
    words = (w.strip(",;:()[]{}<>\"'") for w in text.split())
    return sorted({w for w in words if len(w) > 2 and re.search(r"\d", w)}, key=lambda w: (-len(w), w))


class _Native:
    """A device's native configuration, in pieces that show which object is behind which line."""

    def __init__(self, driver: Driver, scopes: Iterable[Iterable[DeviceObject]]) -> None:
        found = [{item.key: item for item in scope} for scope in scopes]
        objects = {key: item for scope in found for key, item in scope.items()}
        self._scopes, self._objects = [frozenset(scope) for scope in found], objects

        @cache
        def lines(keys: frozenset[Key]) -> frozenset[str]:
            return frozenset(driver.text(driver.items([objects[key] for key in sorted(keys)])))

        self._lines: Lines = lines

    def behind(self, text: str) -> set[Key]:
        """The objects without which no line, or another one, would hold the text."""
        wanted = text.casefold()
        if not self._with(frozenset(self._objects), wanted):
            return set()
        alone = {key for key in self._objects if self._adds(key, wanted)}
        return alone or {key for scope in self._scopes for key in self._together(scope, wanted)}

    def _with(self, keys: frozenset[Key], wanted: str) -> frozenset[str]:
        """The lines that hold the text."""
        return frozenset(line for line in self._lines(keys) if wanted in line.casefold())

    def _adds(self, key: Key, wanted: str) -> bool:
        """Whether an object, on top of what it stands on, leads to a line that holds the text."""
        below = self._below([key])
        return not self._with(below | {key}, wanted) <= self._lines(below - {key})

    def _together(self, scope: frozenset[Key], wanted: str) -> Iterator[Key]:
        """The objects that lead to such a line only together, though none stands on another."""
        around = scope | self._below(scope)
        if len(scope) > TOGETHER_MAX or not (found := self._with(around, wanted)):
            return
        for key in sorted(scope):
            above = {other for other in scope if key in self._below([other])}
            if not found <= self._lines(around - above - {key}):
                yield key

    def _below(self, keys: Collection[Key]) -> frozenset[Key]:
        """All that objects stand on, they themselves apart."""
        found: set[Key] = {SYSTEM} & self._objects.keys()
        ahead: list[Key] = list(keys)
        while ahead:
            refs: Iterable[Key] = self._objects[ahead.pop()].refs
            new = (self._objects.keys() & set(refs)) - found
            found |= new
            ahead += new
        return frozenset(found)

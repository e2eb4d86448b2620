"""The live question `drift`: the device read anew, beside the state that it should hold.

With a door of its own: the one that applies belongs to another thread. Only what should be there is looked at,
because a full read also tends to the device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from underlace.agent.desired import Desired
from underlace.diff.change import changes
from underlace.drivers.protocol import Door, Driver, Items, Prober
from underlace.model.change import Change, Keyed, Verb
from underlace.model.question import Observed, Row, Value

NAME = "drift"
WORDS = {Verb.CREATE: "missing", Verb.UPDATE: "changed", Verb.DELETE: "extra"}
"""What would have to be done, as what is wrong."""


class Drift:
    """Answers that question, and leaves all others to the device's door. good: the last confirmed state."""

    def __init__(
        self, probes: Prober, driver: Driver, door: Callable[[], Door], good: Callable[[], Desired | None]
    ) -> None:
        self._probes, self._driver, self._make, self._good = probes, driver, door, good
        self._door: Door | None = None
        self._reading = threading.Lock()

    def probe(self, name: str, arguments: Mapping[str, Value], seconds: float) -> Observed:
        if name != NAME:
            return self._probes.probe(name, arguments, seconds)
        if not self._reading.acquire(blocking=False):
            raise OSError("the device is being read for the same question")
        try:
            return self._look()
        finally:
            self._reading.release()

    def _look(self) -> Observed:
        good = self._good()
        if good is None:
            raise OSError("the device has no confirmed state yet")
        if self._door is None:
            self._door = self._make()
        found = changes(self._door.read(good.items.keys()), good.items)
        scopes = good.scopes_of(change.key for change in found)
        rows = tuple(self._row(change, scopes[change.key]) for change in found)
        return Observed(rows, f"the device, and revision {good.manifest.revision}")

    def _row(self, change: Change[Keyed], scope: str) -> Row:
        return {
            "scope": scope,
            "item": "/".join(change.key),
            "change": WORDS[change.verb],
            "wanted": self._text(change.after),
            "found": self._text(change.before),
        }

    def _text(self, item: Keyed | None) -> str:
        if item is None:
            return ""
        items: Items = {item.key: item}
        try:
            return "; ".join(line.strip() for line in self._driver.text(items))
        except Exception:  # a part by itself may lack what a driver counts on
            return repr(item)

"""FRR, iproute2 and nftables on Linux: switches, and later whatever else runs the same.

capabilities  what it can do          normalise  defaults resolved         disruption  what a change hurts
render        objects to items        parse      items to objects          text        items for people
native        the items               frr        FRR's grammar             filters     nftables
io            the door to the device; modules beside it do its parts
"""

from __future__ import annotations

from collections.abc import Iterable

from underlace.drivers.linux import capabilities, disruption, native, normalise, parse, render, text
from underlace.drivers.protocol import Items
from underlace.model.capability import Capabilities
from underlace.model.change import Change, Disruption
from underlace.model.device import DeviceObject, Model


class LinuxDriver:
    """The pure half."""

    name = "linux"

    def capabilities(self, version: str = "") -> Capabilities:
        return capabilities.capabilities(version)

    def items(self, objects: Iterable[DeviceObject]) -> Items:
        return render.items(objects)

    def model(self, items: Items) -> Model:
        return parse.model(item for item in items.values() if isinstance(item, native.Item))

    def normalise(self, objects: Iterable[DeviceObject]) -> Model:
        return normalise.normalise(objects)

    def text(self, items: Items) -> list[str]:
        return text.text(item for item in items.values() if isinstance(item, native.Item))

    def disruption(self, change: Change[DeviceObject]) -> Disruption:
        return disruption.disruption(change)

    def not_carried(self) -> frozenset[tuple[str, str]]:
        return normalise.NOT_CARRIED


__all__ = ["LinuxDriver"]

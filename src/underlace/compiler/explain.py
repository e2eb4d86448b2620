"""Why a device has what it has: for each object the resources behind it, and who said which field."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from underlace.model.device import DeviceObject
from underlace.model.device.base import Key
from underlace.model.fact import Fact
from underlace.model.ids import Ref


class Reason(msgspec.Struct, frozen=True):
    """One resource behind an object, and what it says about it: {field: value}."""

    resource: str
    says: dict[str, object]


class Why(msgspec.Struct, frozen=True):
    """An object of a device and the resources behind it. text: the object as canonical JSON."""

    device: str
    scope: str
    key: Key
    text: str
    reasons: tuple[Reason, ...]


_encoder = msgspec.json.Encoder(order="deterministic")


def explain(facts: Iterable[Fact], text: str = "") -> list[Why]:
    """What is behind each object that `text` occurs in; all objects for an empty text.

    A text occurs in an object's key ("access-port swp5"), its values, or the names of the resources behind it.
    """
    groups: dict[tuple[str, str, Key], dict[Ref, list[DeviceObject]]] = {}
    for fact in facts:
        place = (fact.device, fact.scope, fact.object.key)
        groups.setdefault(place, {}).setdefault(fact.because, []).append(fact.object)
    found = [_why(device, scope, key, owners) for (device, scope, key), owners in sorted(groups.items())]
    return [why for why in found if _mentions(why, text)]


def _why(device: str, scope: str, key: Key, owners: dict[Ref, list[DeviceObject]]) -> Why:
    reasons = []
    whole: dict[str, object] = {}
    for owner in sorted(owners):
        said: dict[str, object] = {}
        for item in owners[owner]:
            for name, value in _said(item).items():
                said[name] = _union(said.get(name), value)
                whole[name] = _union(whole.get(name), value)
        reasons.append(Reason(str(owner), said))
    return Why(device, scope, key, _encoder.encode(whole).decode(), tuple(reasons))


def _said(item: DeviceObject) -> dict[str, object]:
    said: dict[str, object] = msgspec.to_builtins(item, order="deterministic")
    return said


def _union(one: object, other: object) -> object:
    if isinstance(one, list) and isinstance(other, list):
        return sorted({*one, *other})
    return other if one is None else one


def _mentions(why: Why, text: str) -> bool:
    wanted = text.casefold()
    places = (" ".join(why.key), why.text, why.scope, *(reason.resource for reason in why.reasons))
    return any(wanted in place.casefold() for place in places)

"""Why a device has what it has: for each object the resources behind it, and who said which field."""

from __future__ import annotations

import re
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
    """What is behind each object that `text` occurs in, the best fit first; all objects for an empty text.

    A text occurs in an object's key ("access-port swp5"), its values, or the names of the resources behind it. Where
    it is a word of its own, it is not looked for within others: "swp1" is not about "swp10".
    """
    groups: dict[tuple[str, str, Key], dict[Ref, list[DeviceObject]]] = {}
    for fact in facts:
        place = (fact.device, fact.scope, fact.object.key)
        groups.setdefault(place, {}).setdefault(fact.because, []).append(fact.object)
    found = [_why(device, scope, key, owners) for (device, scope, key), owners in sorted(groups.items())]
    ranked = sorted((rank, i) for i, why in enumerate(found) if (rank := _rank(why, text)) is not None)
    whole = bool(ranked) and ranked[0][0] < WITHIN
    return [found[i] for rank, i in ranked if rank < WITHIN or not whole]


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


WITHIN = 10
"""Ranks from here on: the text is only a part of a word."""


def _rank(why: Why, text: str) -> int | None:
    """How well a text fits: by key, by value, by the name of a resource; None where it does not occur."""
    wanted = text.casefold()
    resources = " ".join(reason.resource for reason in why.reasons)
    places = [place.casefold() for place in (" ".join(why.key), why.text, f"{why.scope} {resources}")]
    alone = re.compile(rf"(?<![0-9a-z]){re.escape(wanted)}(?![0-9a-z])")
    for rank, place in enumerate(places):
        if alone.search(place):
            return rank
    return next((WITHIN + rank for rank, place in enumerate(places) if wanted in place), None)

"""What differs between two keyed states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from underlace.model.change import Change, Key, Keyed, Verb

T = TypeVar("T", bound=Keyed)


def changes(actual: Mapping[Key, T], desired: Mapping[Key, T]) -> list[Change[T]]:
    """What differs, sorted by key. Empty when the states are equal."""
    found: list[Change[T]] = []
    for key in sorted(actual.keys() | desired.keys()):
        before, after = actual.get(key), desired.get(key)
        if before == after:
            continue
        verb = Verb.CREATE if before is None else Verb.DELETE if after is None else Verb.UPDATE
        found.append(Change(verb, key, before, after))
    return found

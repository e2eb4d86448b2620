"""What differs between two keyed states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from underlace.model.change import Change, Key, Keyed, Verb

T = TypeVar("T", bound=Keyed)


def changes(actual: Mapping[Key, T], desired: Mapping[Key, T]) -> list[Change[T]]:
    """What differs, sorted by key. Empty when the states are equal."""
    found = [Change(Verb.DELETE, key, before, None) for key, before in actual.items() if key not in desired]
    for key, after in desired.items():
        if (before := actual.get(key)) != after:
            found.append(Change(Verb.CREATE if before is None else Verb.UPDATE, key, before, after))
    # Few differ as a rule: they are sorted, not what is compared.
    return sorted(found, key=lambda change: change.key)

"""What all native items share."""

from __future__ import annotations

import msgspec

from underlace.model.change import Key

NOTHING: frozenset[str] = frozenset()


class Item(msgspec.Struct, frozen=True, tag=True):
    """One piece of native state."""

    @property
    def key(self) -> Key:
        raise TypeError(f"{type(self).__name__} has no key")

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset()

    @property
    def claims(self) -> frozenset[str]:
        return NOTHING


def netns_key(name: str) -> Key:
    return ("netns", name)

"""What all device objects share: a key, what they refer to, what they claim, and how partial ones merge."""

from __future__ import annotations

from typing import Any

import msgspec

Key = tuple[str, ...]
"""Identity of an object on its device: the type's word first, then names or numbers as text."""

NOTHING: frozenset[Any] = frozenset()
"""The empty set that counts as "left out": another one, though equal, would show in the bytes of a fragment."""


class DeviceObject(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, gc=False):
    """A vendor-neutral part of a device's configuration.

    Fields that identify it come first and have no default; every other field may be None ("not said here") or a
    frozenset (united on merge). A driver resolves what is still None after the merge to its default.
    Objects form no cycles, so the garbage collector need not walk the 160,000 of a large fabric (gc=False).
    """

    @property
    def key(self) -> Key:
        raise TypeError(f"{type(self).__name__} has no key")

    @property
    def refs(self) -> frozenset[Key]:
        """Keys of objects that must exist on the device while this one does."""
        return NOTHING

    @property
    def claims(self) -> frozenset[str]:
        """What only one object of the device may hold, e.g. "port:swp3"."""
        return NOTHING


class FieldConflict(Exception):
    """Two values for one field; `field` names it."""

    def __init__(self, field: str, one: object, other: object) -> None:
        super().__init__(f"{field}: {one!r} or {other!r}")
        self.field, self.one, self.other = field, one, other


def merge_objects(one: DeviceObject, other: DeviceObject) -> DeviceObject:
    """The union of two parts of one object: sets unite, None gives way, equal scalars agree.

    Commutative and associative. Raises FieldConflict for the first field that disagrees.
    """
    if one == other:
        return one
    changed: dict[str, object] = {}
    for name in one.__struct_fields__:
        a, b = getattr(one, name), getattr(other, name)
        if a == b or b is None:
            continue
        if a is None:
            changed[name] = b
        elif isinstance(a, frozenset) and isinstance(b, frozenset):
            changed[name] = a | b
        else:
            raise FieldConflict(name, a, b)
    return msgspec.structs.replace(one, **changed) if changed else one

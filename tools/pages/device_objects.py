"""docs/reference/device-objects.md: the vendor-neutral objects that facts are made of."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator

import msgspec

from tools.pages import NOTICE
from tools.pages.table import table
from underlace.model.device import AnyObject
from underlace.model.device.base import DeviceObject

INTRO = """# Device objects

What intent compiles to, for any device OS. A field without a value is not said, and the driver resolves it to its
default. Sets are united when several resources speak of one object.
"""


def pages() -> Iterator[tuple[str, str]]:
    objects = sorted(typing.get_args(AnyObject), key=lambda kind: str(kind.__struct_config__.tag))
    text = NOTICE.format(source="src/underlace/model/device/") + INTRO
    for kind in objects:
        text += f"\n## {kind.__struct_config__.tag}\n\n{inspect.getdoc(kind)}\n\n" + fields(kind)
    yield "device-objects.md", text


def fields(kind: type[DeviceObject]) -> str:
    hints = typing.get_type_hints(kind)
    rows = [
        (f"`{field.name}`", type_of(hints[field.name]), "identity" if field.required else "")
        for field in msgspec.structs.fields(kind)
    ]
    return table(("field", "type", ""), rows)


def type_of(hint: object) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(type_of(part) for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is frozenset:
        return f"set of {type_of(typing.get_args(hint)[0])}"
    if not isinstance(hint, type):
        return str(hint)
    return {str: "text", int: "integer", bool: "yes or no"}.get(hint, hint.__name__)

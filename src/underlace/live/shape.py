"""What a device says, made fit for people and programs: of the query's shape, bounded, nothing in it but text.

Names of neighbours, descriptions and hosts are whatever somebody typed, or an attacker sent.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import msgspec

from underlace.model.question import Row as Raw
from underlace.queries.base import Row

TEXT_MAX = 256
"""Characters of one text."""

ITEMS_MAX = 1_000
"""Members of a list in a row."""

DEPTH_MAX = 4

_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Categories of characters that nobody sees, or that turn the ones beside them around."""


def cleaned(text: str, limit: int = TEXT_MAX) -> str:
    """Without control characters and their like, and not longer than the limit."""
    if len(text) > limit * 4:
        text = text[: limit * 4]
    if not (text.isascii() and text.isprintable()):
        text = "".join(c for c in text if unicodedata.category(c) not in _UNSEEN)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain(value: object, depth: int = DEPTH_MAX) -> object:
    """A value with all texts in it cleaned. Deeper than any row goes, there is nothing."""
    if isinstance(value, str):
        return cleaned(value)
    if depth == 0:
        return None
    if isinstance(value, (list, tuple)):
        return [plain(one, depth - 1) for one in value[:ITEMS_MAX]]
    if isinstance(value, dict):
        members = list(value.items())[:ITEMS_MAX]
        return {cleaned(str(key)): plain(one, depth - 1) for key, one in members}
    return value


def shaped(kind: type[Row], rows: Iterable[Raw]) -> tuple[Row, ...]:
    """Rows of a query. Raises msgspec.ValidationError, with the device's word cleaned."""
    try:
        return tuple(msgspec.convert([plain(row) for row in rows], tuple[kind, ...], strict=True))  # type: ignore[valid-type]
    except msgspec.ValidationError as odd:
        raise msgspec.ValidationError(cleaned(str(odd))) from None

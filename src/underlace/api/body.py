"""Request bodies: bounded in size and depth before anything is made of them."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from underlace.model.diagnostic import Diagnostic, Refused, Where

REQUEST_MAX = 16 * 1024 * 1024
DOCUMENT_MAX = 1024 * 1024
DEPTH_MAX = 32
"""Far beyond any spec; a deeper document only wants to exhaust a parser's stack."""

T = TypeVar("T")


class TooLarge(Exception):
    """The body went over the limit while it was read."""


_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"\\'))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def decode(body: bytes, shape: type[T], place: str = "") -> T:
    """The body as `shape`; Refused for what is not JSON, too deep, or of another shape. place: the body's pointer."""
    if _depth(body) > DEPTH_MAX:
        detail = f"Lists and objects are nested more than {DEPTH_MAX} deep: no kind needs that."
        raise Refused([_fault("json-too-deep", "The JSON of the request is nested too deeply", detail, place)])
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as fault:
        text, _, path = str(fault).partition(" - at `$")
        pointer = place + re.sub(r"[.\[\]`]+", "/", path).rstrip("/")
        raise Refused([_fault("body-invalid", "The body of the request has another shape", text, pointer)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Refused([_fault("json-invalid", "The body of the request is not JSON", str(fault), place)]) from None


def decode_document(raw: msgspec.Raw | bytes, shape: type[T], index: int | None = None) -> T:
    """One document of intent, with its own limit of size."""
    pointer = "" if index is None else f"/documents/{index}"
    if memoryview(raw).nbytes > DOCUMENT_MAX:
        detail = f"A document holds at most {DOCUMENT_MAX} bytes."
        raise Refused([_fault("document-too-large", "A document is too large", detail, pointer)])
    return decode(bytes(raw), shape, pointer)


def too_large() -> Diagnostic:
    return _fault(
        "request-too-large",
        "The request is too large",
        f"A request holds at most {REQUEST_MAX} bytes.",
        remedy="Send the documents in several requests.",
    )


def _depth(body: bytes) -> int:
    """Nesting of a JSON text, told from its brackets alone: everything else is thrown away first, at C speed."""
    deepest = depth = 0
    for byte in _STRING.sub(b"", _unquoted(body)):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _unquoted(body: bytes) -> bytes:
    # A backslash escapes the byte after it, whatever that is: pairs go before the other bytes do.
    return re.sub(rb"\\.", b"", body, flags=re.DOTALL).translate(None, _STRUCTURE)


def _fault(code: str, summary: str, detail: str, pointer: str = "", remedy: str = "") -> Diagnostic:
    return Diagnostic(Where(pointer=pointer), code, summary, detail, remedy or "See /v1/openapi.json for the shape.")

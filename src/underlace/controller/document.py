"""What a request asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from underlace.model import document as written
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.ids import Ref


@dataclass(frozen=True, slots=True)
class Document:
    """A resource to write. spec is plain data; file and line (from 1) only help messages.

    id and allocated come with an import: the id and the numbers that the resource had where it was exported.
    """

    ref: Ref
    spec: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    line: int = 0
    id: int | None = None
    allocated: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> written.Document:
        """As a person would have written it."""
        return written.Document(*self.ref, self.labels, self.spec, self.file, self.line)


EVERYTHING = frozenset({"*"})
"""All devices, where devices are named."""


@dataclass(frozen=True, slots=True)
class Request:
    """A change of intent: what to write and what to delete, at once or not at all.

    expect: digest of the plan that was agreed to; the change is refused when it would now do something else.
    show: have the answer say what the change does to each device, as a plan always does.
    native: devices whose native configuration is shown with that; without it the first few: to render a device costs
    more than all the rest of its plan, and nobody reads two hundred.
    recompile: compile what these devices should hold anew. That changes something only where this release compiles
    otherwise than the one that wrote the store: it is how an upgrade reaches devices (law 10), some at a time.
    EVERYTHING stands for all devices at once, which takes memory for all of them.
    """

    put: tuple[Document, ...] = ()
    delete: tuple[Ref, ...] = ()
    message: str = ""
    expect: str = ""
    show: bool = False
    native: frozenset[str] | None = None
    recompile: frozenset[str] = frozenset()


def placed(found: tuple[Diagnostic, ...], request: Request) -> list[Diagnostic]:
    """The findings with file and line of the document that each is about."""
    known: dict[str, Document] = {}
    for document in request.put:
        if document.file:
            # Of two with one name the first counts; what is wrong with the second knows its place.
            known.setdefault(str(document.ref), document)
    result = []
    for finding in found:
        about = known.get(finding.where.resource)
        if about is not None and not finding.where.file:
            old = finding.where
            where = Where(old.resource, old.pointer, about.file, about.line, old.device)
            finding = Diagnostic(where, *(getattr(finding, f) for f in finding.__struct_fields__[1:]))
        result.append(finding)
    return result


def finding_at(
    ref: Ref, pointer: str, code: str, summary: str, detail: str, remedy: str, related: tuple[str, ...] = ()
) -> Diagnostic:
    return Diagnostic(Where(str(ref), pointer), code, summary, detail, remedy, related=related)

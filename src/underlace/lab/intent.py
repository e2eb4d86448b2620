"""An intent directory as the lab reads it: documents by kind, and `lab.yaml` beside them. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any

from underlace.kinds.parse import parse_all
from underlace.model.diagnostic import Diagnostic, Refused, Where, shortened
from underlace.model.document import Document, read_paths
from underlace.model.ids import NO_TENANT, Ref
from underlace.model.tree import Fault, Value, yaml_values

LAB_FILE = "lab.yaml"
"""What the lab plays beyond intent: it is no document and never reaches the controller."""

_ROUTERS_REMEDY = "Write routers: {NAME: {addresses: [PREFIX, ...], announce: [PREFIX, ...]}}."


@dataclass(frozen=True)
class PlayedRouter:
    """An upstream router's side: addresses it holds (with length), prefixes it announces."""

    addresses: tuple[str, ...] = ()
    announce: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intent:
    """documents: as the API takes them. specs: each parsed by its kind. labels: of those that have any. played: the
    content of `lab.yaml`.

    written: the same documents with their text, for the line of a field.
    """

    directory: Path
    documents: tuple[Mapping[str, Any], ...]
    specs: Mapping[Ref, Any]
    routers: Mapping[str, PlayedRouter]
    played: Any = None
    written: tuple[Document, ...] = ()
    labels: Mapping[Ref, Mapping[str, str]] = field(default_factory=dict)

    def of(self, kind: str) -> Iterator[tuple[Ref, Any]]:
        """Resources of a kind with their specs, by identity."""
        return ((ref, spec) for ref, spec in sorted(self.specs.items()) if ref.kind == kind)


def parse(documents: Iterable[Mapping[str, Any]], directory: Path, played: Any = None) -> Intent:
    """Intent from documents and the content of `lab.yaml`. Raises Refused with every fault."""
    return _checked([_document(d) for d in documents], directory, played, [], Where(file=LAB_FILE))


def read(directory: Path) -> Intent:
    """The intent of a directory, as `apply -f` reads it, and its `lab.yaml`. Raises Refused with every fault."""
    reading = read_paths([directory])
    played, place, faults = _played(directory / LAB_FILE)
    faults = [*reading.diagnostics, *faults]
    if not reading.documents and not faults:
        faults = [_finding(Where(file=str(directory)), f"{directory} holds no document.", "Name another directory.")]
    return _checked(reading.documents, directory, played, faults, place)


def _document(d: Mapping[str, Any]) -> Document:
    tenant = str(d.get("tenant") or NO_TENANT)
    labels, spec = d.get("labels") or {}, d.get("spec") or {}
    return Document(str(d.get("kind")), tenant, str(d.get("name")), labels, spec, d.get("file", ""), d.get("line", 0))


def _as_body(d: Document) -> dict[str, Any]:
    found = {"kind": d.kind, "tenant": d.tenant, "name": d.name, "labels": d.labels, "spec": d.spec}
    return {**found, "file": d.file, "line": d.line} if d.file else found


def _checked(
    documents: list[Document], directory: Path, played: Any, faults: Iterable[Diagnostic], place: Where
) -> Intent:
    """The intent of documents that have no fault, each by itself. The rest is the controller's to say."""
    drafts, found = parse_all(documents)
    routers, wrong = _routers(played, place)
    if every := [*faults, *found, *wrong]:
        raise Refused(every)
    specs = {draft.ref: draft.spec for draft in drafts}
    labels = {draft.ref: draft.labels for draft in drafts if draft.labels}
    return Intent(directory, tuple(map(_as_body, documents)), specs, routers, played, tuple(documents), labels)


def _finding(where: Where, detail: str, remedy: str) -> Diagnostic:
    return Diagnostic(where, "lab-intent-invalid", "A lab cannot be built from this", detail, remedy)


def _played(file: Path) -> tuple[Any, Where, list[Diagnostic]]:
    """The content of `lab.yaml` and its place, and what is wrong with its text."""
    place = Where(file=str(file))
    try:
        text = file.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None, place, []
    except (OSError, UnicodeDecodeError) as fault:
        return None, place, [_finding(place, f"{file}: {fault}.", "Make it readable UTF-8 text, or remove it.")]
    values = list(yaml_values(text))
    faults = [
        Diagnostic(Where(file=str(file), line=v.line), v.code, v.summary, v.detail, v.remedy)
        for v in values
        if isinstance(v, Fault)
    ]
    found = [v for v in values if isinstance(v, Value)]
    return (found[0].value, Where(file=str(file), line=found[0].line), faults) if found else (None, place, faults)


def _routers(played: Any, place: Where) -> tuple[dict[str, PlayedRouter], list[Diagnostic]]:
    """The upstream routers of `lab.yaml`, and what is wrong with each."""
    sides = ((played or {}).get("routers") or {}) if isinstance(played or {}, dict) else None
    if not isinstance(sides, dict):
        return {}, [_finding(place, "It is no mapping with the routers' names.", _ROUTERS_REMEDY)]
    routers, faults = {}, []
    for name, side in sides.items():
        try:
            routers[name] = PlayedRouter(**_prefixes(side))
        except (AttributeError, TypeError, ValueError) as fault:
            faults.append(_finding(place, f"Router {shortened(name)}: {shortened(str(fault))}.", _ROUTERS_REMEDY))
    return routers, faults


def _prefixes(side: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    checked: dict[str, Callable[[str], object]] = {"addresses": ip_interface, "announce": ip_network}
    if unknown := side.keys() - checked.keys():
        raise ValueError(f"a router has {' and '.join(checked)}, not {', '.join(sorted(unknown))}")
    return {name: tuple(str(checked[name](text)) for text in texts) for name, texts in side.items()}

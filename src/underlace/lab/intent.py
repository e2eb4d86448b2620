"""An intent directory as the lab reads it: documents by kind, and `lab.yaml` beside them. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from underlace.kinds.registry import KINDS
from underlace.model.ids import NO_TENANT, Ref

LAB_FILE = "lab.yaml"
"""What the lab plays beyond intent: it is no document and never reaches the controller."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C parser where libyaml was there at build time: ten times as fast."""


class IntentUnreadable(Exception):
    """The directory holds no intent that a lab could be built from."""


@dataclass(frozen=True)
class PlayedRouter:
    """An upstream router's side: addresses it holds (with length), prefixes it announces."""

    addresses: tuple[str, ...] = ()
    announce: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intent:
    """documents: as the API takes them. specs: each parsed by its kind. played: the content of `lab.yaml`."""

    directory: Path
    documents: tuple[Mapping[str, Any], ...]
    specs: Mapping[Ref, Any]
    routers: Mapping[str, PlayedRouter]
    played: Any = None

    def of(self, kind: str) -> Iterator[tuple[Ref, Any]]:
        """Resources of a kind with their specs, by identity."""
        return ((ref, spec) for ref, spec in sorted(self.specs.items()) if ref.kind == kind)


def parse(documents: Iterable[Mapping[str, Any]], directory: Path, played: Any = None) -> Intent:
    """Intent from documents and the content of `lab.yaml`. Raises IntentUnreadable with every fault."""
    specs: dict[Ref, Any] = {}
    faults: list[str] = []
    found = tuple(documents)
    for document in found:
        ref = Ref(str(document.get("kind")), str(document.get("tenant") or NO_TENANT), str(document.get("name")))
        kind = KINDS.get(ref.kind)
        if kind is None:
            faults.append(f"{ref}: there is no such kind")
            continue
        try:
            specs[ref] = kind.spec.model_validate(document.get("spec") or {})
        except ValidationError as fault:
            faults += [f"{ref} /{'/'.join(map(str, ('spec', *e['loc'])))}: {e['msg']}" for e in fault.errors()]
    routers = _routers(played, faults)
    if faults:
        raise IntentUnreadable("\n".join(faults))
    return Intent(directory, found, specs, routers, played)


def _routers(played: Any, faults: list[str]) -> dict[str, PlayedRouter]:
    try:
        return {name: PlayedRouter(**_prefixes(side)) for name, side in ((played or {}).get("routers") or {}).items()}
    except (AttributeError, TypeError, ValueError) as fault:
        faults.append(f"{LAB_FILE}: {fault}")
        return {}


def _prefixes(side: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    checked: dict[str, Callable[[str], object]] = {"addresses": ip_interface, "announce": ip_network}
    if unknown := side.keys() - checked.keys():
        raise ValueError(f"a router has {' and '.join(checked)}, not {', '.join(sorted(unknown))}")
    return {name: tuple(str(checked[name](text)) for text in texts) for name, texts in side.items()}


def read(directory: Path) -> Intent:
    """The intent of a directory: all its YAML files, in order of name. Raises IntentUnreadable."""
    files = sorted(f for f in directory.glob("*.y*ml") if f.suffix in (".yaml", ".yml"))
    if not files:
        raise IntentUnreadable(f"{directory} holds no YAML file")
    documents: list[dict[str, Any]] = []
    played = None
    for file in files:
        try:
            loaded = list(yaml.load_all(file.read_bytes(), Loader=_LOADER))
        except yaml.YAMLError as fault:
            raise IntentUnreadable(f"{file}: {fault}") from fault
        if file.name == LAB_FILE:
            played = loaded[0] if loaded else None
            continue
        for document in loaded:
            if not isinstance(document, dict):
                raise IntentUnreadable(f"{file}: a document is no mapping of kind, name and spec")
            documents.append({**document, "file": file.name})
    return parse(documents, directory, played)

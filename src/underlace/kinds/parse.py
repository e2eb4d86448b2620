"""From a document to a typed spec, or to everything that is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from underlace.kinds.base import AnyKind, Spec
from underlace.kinds.registry import KINDS
from underlace.model.diagnostic import Diagnostic, Refused, pointer_step, shortened
from underlace.model.document import Document
from underlace.model.ids import NO_TENANT, Ref, is_name

_LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/=-]{0,61}[A-Za-z0-9])?")
_LABEL_MAX = 255


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource as asked for: all that its document says, typed. What the controller adds is id and revision."""

    ref: Ref
    labels: Mapping[str, str]
    spec: Spec
    document: Document


def parse(document: Document) -> Draft:
    """The typed form of a document. Raises Refused with all its faults."""
    draft, found = examine(document)
    if draft is None:
        raise Refused(found)
    return draft


def parse_all(documents: Iterable[Document]) -> tuple[list[Draft], list[Diagnostic]]:
    """The drafts of the documents that have no fault, and the faults of the others, two of one name included."""
    drafts: list[Draft] = []
    found: list[Diagnostic] = []
    first: dict[Ref, Document] = {}
    for document in documents:
        draft, faults = examine(document)
        found += faults
        if draft is None:
            continue
        if draft.ref in first:
            found.append(_duplicate(document, first[draft.ref]))
        else:
            first[draft.ref] = document
            drafts.append(draft)
    return drafts, found


def examine(document: Document) -> tuple[Draft | None, list[Diagnostic]]:
    """A draft, or every fault of the document."""
    kind = KINDS.get(document.kind)
    if kind is None:
        return None, [_unknown_kind(document)]
    found = [*_check_identity(document, kind), *_check_labels(document)]
    try:
        spec = kind.spec.model_validate(document.spec)
    except ValidationError as error:
        found += [_translated(document, kind, e) for e in error.errors(include_url=False, include_context=True)]
        return None, found
    if found:
        return None, found
    ref = Ref(document.kind, document.tenant, document.name)
    return Draft(ref, dict(document.labels), spec, document), []


def _unknown_kind(document: Document) -> Diagnostic:
    near = difflib.get_close_matches(document.kind, KINDS, 1, 0.6)
    return Diagnostic(
        document.where("/kind"),
        "unknown-kind",
        "The kind is not known",
        f'There is no kind "{shortened(document.kind)}". The kinds are {", ".join(KINDS)}.',
        f"Did you mean {near[0]}?" if near else "Choose one of them.",
    )


def _check_identity(document: Document, kind: AnyKind) -> Iterable[Diagnostic]:
    name, tenant = document.name, document.tenant
    fault = (
        ""
        if is_name(name)
        else "is 1 to 255 printable ASCII letters, digits and . _ : @ / ( ) + # - or blanks inside"
    )
    fault = fault or kind.name_fault(name)
    if fault:
        yield Diagnostic(
            document.where("/name"),
            "bad-name",
            "The name is not possible",
            f'"{shortened(name)}" cannot name a {kind.name}: such a name {fault}.',
            "Choose another name.",
        )
    if kind.tenanted and tenant == NO_TENANT:
        yield Diagnostic(
            document.where(""),
            "tenant-missing",
            "The resource has no tenant",
            f"Every {kind.name} belongs to a tenant; {shortened(name)} names none.",
            "Add tenant: NAME beside name.",
        )
    elif kind.tenanted and (not is_name(tenant) or "/" in tenant):
        yield Diagnostic(
            document.where("/tenant"),
            "bad-name",
            "The name is not possible",
            f'"{shortened(tenant)}" cannot name a tenant.',
            "Name a tenant that exists.",
        )
    elif not kind.tenanted and tenant != NO_TENANT:
        yield Diagnostic(
            document.where("/tenant"),
            "tenant-forbidden",
            "The kind belongs to no tenant",
            f"A {kind.name} belongs to the fabric; {shortened(name)} names the tenant {shortened(tenant)}.",
            "Take tenant away.",
        )


def _check_labels(document: Document) -> Iterable[Diagnostic]:
    for key, text in document.labels.items():
        if _LABEL_KEY.fullmatch(key) and len(text) <= _LABEL_MAX and text.isprintable():
            continue
        yield Diagnostic(
            document.where(f"/labels/{pointer_step(key)}"),
            "bad-label",
            "The label is not possible",
            f'Label "{shortened(key)}" needs a key of 1 to 63 letters, digits and . _ / = - inside, and a '
            f"printable text of at most {_LABEL_MAX} characters.",
            "Correct the label.",
        )


def _translated(document: Document, kind: AnyKind, error: ErrorDetails) -> Diagnostic:
    """pydantic's error in our words, at its field."""
    steps = [str(step) for step in error["loc"]]
    pointer = "".join(f"/{pointer_step(step)}" for step in ("spec", *steps))
    where = document.where(pointer)
    match error["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            known = _fields(kind, steps[:-1])
            near = difflib.get_close_matches(steps[-1], known, 1, 0.6)
            return Diagnostic(
                where,
                "unknown-field",
                "A field is not known",
                f'A {kind.name} has no field "{shortened(steps[-1])}" here; it has {", ".join(known)}.',
                f"Did you mean {near[0]}?" if near else "Remove it, or choose one of these.",
            )
        case "missing" | "missing_argument":
            return Diagnostic(
                where,
                "missing-field",
                "A required field is missing",
                f"{kind.name} {shortened(document.name)} needs {'/'.join(steps)}: {_description(kind, steps)}",
                f"Add {steps[-1]}.",
            )
        case _:
            field = f"{'/'.join(steps) or 'spec'} of {kind.name} {shortened(document.name)}"
            detail = f"{field} {_message(kind, steps, error)}"
            return Diagnostic(where, "bad-value", "A value is not possible", detail, _hint(kind, steps))


def _message(kind: AnyKind, steps: list[str], error: ErrorDetails) -> str:
    """What is wrong with the value, to follow the field's name."""
    if error["type"] == "underlace":
        return f"is not possible: {error['msg']}"
    schema = _resolved(TypeAdapter(kind.spec).json_schema(), _schema(kind, steps))
    if "minimum" in schema and "maximum" in schema:
        must = f"it must be a number from {schema['minimum']} to {schema['maximum']}"
    elif error["type"] in ("model_type", "dataclass_type", "model_attributes_type"):
        must = "it must be a mapping"
    else:
        must = error["msg"].replace("Input should be", "it must be").replace("String should", "it should")
    return f"is {_shown(error['input'])}: {must}."


def _hint(kind: AnyKind, steps: list[str]) -> str:
    """The first sentence of what the reference says about the field."""
    text, end, _ = _description(kind, steps).partition(". ")
    name = next((step for step in reversed(steps) if not step.isdigit()), "spec")
    return f"Correct it. {name}: {text}{'.' if end else ''}" if text else "Correct it."


def _shown(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case str():
            return f'"{shortened(value)}"'
        case int() | float():
            return shortened(str(value))
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping"


def _schema(kind: AnyKind, steps: list[str]) -> dict[str, Any]:
    """The JSON schema of a field of the kind's spec; empty where the steps leave it."""
    root = TypeAdapter(kind.spec).json_schema()
    found = root
    for step in steps:
        found = _resolved(root, found)
        properties = found.get("properties", {})
        found = properties[step] if step in properties else found.get("items", {}) if step.isdigit() else {}
    return found


def _resolved(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            schema = option
            break
    reference = schema.get("$ref", "")
    resolved: dict[str, Any] = root["$defs"][reference.rpartition("/")[2]] if reference else schema
    return resolved


def _fields(kind: AnyKind, steps: list[str]) -> list[str]:
    root = TypeAdapter(kind.spec).json_schema()
    return list(_resolved(root, _schema(kind, steps)).get("properties", {}))


def _description(kind: AnyKind, steps: list[str]) -> str:
    """What the reference says about the nearest field that it describes."""
    for end in range(len(steps), 0, -1):
        text = _schema(kind, steps[:end]).get("description")
        if text:
            return str(text)
    return ""


def _duplicate(document: Document, first: Document) -> Diagnostic:
    place = str(first.where()).partition(" ")[0] if first.file else "an earlier document"
    return Diagnostic(
        document.where("/name"),
        "duplicate-document",
        "A resource is there twice",
        f"{document} is also written at {place}; only one of them can count.",
        "Remove one of them, or give it another name.",
    )

"""docs/reference/kinds/: one page per resource kind, from its spec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.pages import NOTICE
from tools.pages.table import cell, table
from underlace.kinds.base import AnyKind

Schema = Mapping[str, Any]

WRITERS = {
    "tenant": "users of the owning tenant, operators, admins",
    "operator": "operators, admins",
    "admin": "admins",
}

INTRO = """# Resource kinds

A document is `{kind, tenant, name, labels, spec}`; one of a kind that belongs to the fabric has no `tenant`. A file
is a stream of documents. A reference in a spec is the name of a resource of the same tenant, or `tenant/name`.

"""


def pages(kinds: Mapping[str, AnyKind], examples: Path) -> Iterator[tuple[str, str]]:
    ordered = sorted(kinds.values(), key=lambda kind: (kind.order, kind.name))
    samples = first_of_each(examples)
    yield "kinds/README.md", index(ordered)
    for kind in ordered:
        yield f"kinds/{kind.name}.md", page(kind, samples.get(kind.name))


def index(kinds: Iterable[AnyKind]) -> str:
    rows = [
        (f"[`{k.name}`]({k.name}.md)", "tenant" if k.tenanted else "fabric", WRITERS[k.writers], k.summary)
        for k in kinds
    ]
    return (
        NOTICE.format(source="src/underlace/kinds/")
        + INTRO
        + table(("kind", "belongs to", "written by", "what it is"), rows)
    )


def first_of_each(folder: Path) -> dict[str, dict[str, Any]]:
    """The first document of each kind in the example files, in order of file name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if isinstance(document, dict) and "kind" in document:
                found.setdefault(document["kind"], document)
    return found


def page(kind: AnyKind, sample: dict[str, Any] | None) -> str:
    schema = kind.spec.model_json_schema()
    text = NOTICE.format(source=f"src/underlace/kinds/{type(kind).__module__.rpartition('.')[2]}.py")
    text += f"# {kind.name}\n\n{kind.summary}\n\n"
    text += f"Belongs to {'a tenant' if kind.tenanted else 'the fabric'}. Written by {WRITERS[kind.writers]}.\n\n"
    text += "## spec\n\n" + fields(schema, schema.get("$defs", {}))
    for name, part in sorted(schema.get("$defs", {}).items()):
        if part.get("type") == "object":
            text += f"\n## {name}\n\n" + fields(part, schema["$defs"])
    if sample:
        text += "\n## Example\n\n```yaml\n" + yaml.safe_dump(sample, sort_keys=False, allow_unicode=True) + "```\n"
    return text


def fields(schema: Schema, defs: Mapping[str, Schema]) -> str:
    required = set(schema.get("required", ()))
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else default_of(field)
        rows.append((f"`{name}`", type_of(field, defs), default, field.get("description", "")))
    return table(("field", "type", "default", "meaning"), rows) if rows else "No fields.\n"


def default_of(field: Schema) -> str:
    value = field.get("default")
    if value in (None, "", []):
        return "none"
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False).strip().removesuffix("...").strip()
    return f"`{text}`"


def type_of(field: Schema, defs: Mapping[str, Schema]) -> str:
    """A JSON schema as a reader says it: "integer 1 to 4094", "list of prefix"."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        target = defs.get(name, {})
        return f"[{name}](#{name.lower()})" if target.get("type") == "object" else type_of(target, defs)
    if "anyOf" in field:
        return " or ".join(type_of(option, defs) for option in field["anyOf"] if option.get("type") != "null")
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        inner = field.get("items") or {}
        return f"list of {type_of(inner, defs)}"
    if field.get("type") == "object":
        return "map"
    name = str(field.get("format") or field.get("type") or "any").replace("-", " ")
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f"{name} {low} to {high}"
    return f"{name} from {low}" if low is not None else cell(name)

"""docs/reference/openapi.json and api.md, from the routes that the controller serves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tools.pages import NOTICE
from tools.pages.table import table

INTRO = """# REST API

Errors are `application/problem+json` (RFC 9457) with the whole list of [diagnostics](diagnostics.md). The schema of
every body is in [openapi.json](openapi.json). `{tenant}` of a kind that belongs to the fabric is `-`.

"""

KIND = re.compile(r"/v1/resources/([a-z-]+)")

LIST = "Resources of a kind, by page; those that the caller may read."
ONE = {
    "get": "One resource, with its status and the numbers that it has.",
    "put": "Create it, or change it to what the body says: a change of one document.",
    "delete": "Delete it; refused while others refer to it.",
}

VERBS = ("get", "put", "post", "patch", "delete")


def pages(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "openapi.json", json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    rows = {
        (by_kind(path), VERBS.index(verb)): (verb.upper(), f"`{by_kind(path)}`", told(verb, path, operation))
        for path, operations in schema["paths"].items()
        for verb, operation in operations.items()
    }
    yield (
        "api.md",
        NOTICE.format(source="src/underlace/api/")
        + INTRO
        + table(("verb", "path", "what it does"), [rows[key] for key in sorted(rows)]),
    )


def by_kind(path: str) -> str:
    """The same path for every kind of resource."""
    return KIND.sub(r"/v1/resources/{kind}", path).replace("/-/", "/{tenant}/")


def told(verb: str, path: str, operation: Mapping[str, Any]) -> str:
    if KIND.match(path):
        return ONE[verb] if path.endswith("{name}") else LIST
    text = operation.get("description") or operation.get("summary") or ""
    return " ".join(text.partition("\n\n")[0].split())

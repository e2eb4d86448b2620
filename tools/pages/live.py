"""docs/reference/live/: one page per live query, from its declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tools.pages import NOTICE
from tools.pages.table import table
from underlace.api.live import parameters
from underlace.queries.base import Query

INTRO = """# Live queries

What devices see at the moment of the question: `underlace live QUERY [NAME=VALUE]... [--device DEVICE]`, or
`GET /v1/live/QUERY`. Nothing of an answer is stored; that somebody asked is in the audit.

The answer has an entry for each device: `device`, `device_reachable`, `observed_at` (when its answer came, by the
controller's clock), `latency_ms` (what it says is at most so much older), `source` (what was read there),
`simulated`, `rows`, `cut` (there are more rows than an answer holds), and `error` in place of rows, with a
[diagnostic](../diagnostics.md). A device that does not answer is part of the answer. Text of devices comes without
control characters, and at most 256 characters of it.

"""

LOOK = "Admins, operators and readers may ask."
SEND = "It sends packets: admins and operators may ask, and name the devices."


def pages(queries: Mapping[str, Query]) -> Iterator[tuple[str, str]]:
    yield "live/README.md", index(queries.values())
    for query in queries.values():
        yield f"live/{query.name}.md", page(query)


def index(queries: Iterable[Query]) -> str:
    rows = [(f"[`{q.name}`]({q.name}.md)", "sends packets" if q.active else "looks", q.summary) for q in queries]
    return NOTICE.format(source="src/underlace/queries/") + INTRO + table(("query", "what it does", "about"), rows)


def page(query: Query) -> str:
    text = NOTICE.format(source=f"src/underlace/queries/{query.name.replace('-', '_')}.py")
    text += f"# {query.name}\n\n{query.summary}\n\n{SEND if query.active else LOOK}\n\n"
    text += f"```\n{usage(query)}\n```\n\n## Parameters\n\n"
    rows = [(f"`{p['name']}`", kind(p["schema"]), default(p), p["schema"]["description"]) for p in parameters(query)]
    text += table(("parameter", "type", "default", "meaning"), rows) if rows else "None.\n"
    return text + "\n## Rows\n\n" + fields(query) + metrics(query)


def usage(query: Query) -> str:
    words = ["underlace live", query.name, *(f"{p['name']}={p['name'].upper()}" for p in parameters(query))]
    return " ".join([*words, "--device leaf1"])


def fields(query: Query) -> str:
    (schema,) = msgspec.json.schema_components([query.row])[1].values()
    rows = [(f"`{name}`", kind(part), part["description"]) for name, part in schema["properties"].items()]
    return table(("field", "type", "meaning"), rows)


def metrics(query: Query) -> str:
    if not query.metrics:
        return ""
    rows = [(f"`{m.name}`", m.type, ", ".join(f"`{label}`" for label in m.labels), m.help) for m in query.metrics]
    return "\n## Metrics\n\n" + table(("metric", "type", "labels", "meaning"), rows)


def default(parameter: Mapping[str, Any]) -> str:
    if parameter["required"]:
        return "required"
    value = parameter["schema"].get("default")
    return "none" if value in (None, "") else f"`{value}`"


def kind(schema: Mapping[str, Any]) -> str:
    """A JSON schema as a reader says it."""
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema['items'])}"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{schema['type']} {low} to {high}"
    return str(schema.get("type", "any"))

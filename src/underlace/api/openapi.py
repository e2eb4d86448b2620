"""The OpenAPI document: routes as FastAPI sees them, bodies and answers from the types that really carry them.

Bodies are decoded by hand (they are bounded first, and a fault is a diagnostic like any other), so FastAPI is told
about them here. A kind's Spec is the schema of its documents.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from underlace.api.call import answer
from underlace.api.problem import MEDIA_TYPE
from underlace.kinds.base import AnyKind
from underlace.kinds.registry import KINDS

TEMPLATE = "#/components/schemas/{name}"
PROBLEM = {"$ref": TEMPLATE.format(name="Problem")}

Schema = dict[str, Any]


def reference(name: str) -> Schema:
    return {"$ref": TEMPLATE.format(name=name)}


def json_body(schema: Schema) -> Schema:
    """openapi_extra of a route that takes JSON."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def body_of(shape: type[msgspec.Struct]) -> Schema:
    """openapi_extra of a route that decodes its body as `shape`."""
    return json_body(reference(shape.__name__))


def answers(schema: Schema, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route."""
    return {status: {"description": "Done", "content": {"application/json": {"schema": schema}}}}


def words(kind: AnyKind) -> str:
    """The name of a kind's schemas: "VpcPeering" of "vpc-peering"."""
    return "".join(part.capitalize() for part in kind.name.split("-"))


def install(app: FastAPI, shapes: tuple[type[msgspec.Struct], ...]) -> None:
    """Serve the document at /v1/openapi.json, made once, at the first request for it."""
    made: list[Schema] = []

    def document() -> Schema:
        if not made:
            made.append(_document(app, shapes))
        return made[0]

    router = APIRouter()

    async def openapi() -> Response:
        """This document."""
        return answer(document())

    router.add_api_route("/v1/openapi.json", openapi, methods=["GET"], tags=["about"])
    app.include_router(router)
    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, shapes: tuple[type[msgspec.Struct], ...]) -> Schema:
    found: Schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components: Schema = {}
    _, structs = msgspec.json.schema_components(shapes, schema_hook=_plain, ref_template=TEMPLATE)
    components |= structs
    components |= _kinds()
    components["Problem"] = _problem()
    found.setdefault("components", {})["schemas"] = components
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    return found


def _plain(shape: type) -> Schema:
    """A field of any JSON value."""
    if shape is object:
        return {"description": "any JSON value"}
    raise NotImplementedError(shape)


def _complete(path: str, operation: Schema) -> None:
    """Every operation may answer with a problem; all but health need a token."""
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {"description": "Refused", "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
    if path.startswith("/v1/"):
        operation["security"] = [{"token": []}]


def _kinds() -> Schema:
    specs = [(kind.spec, "validation") for kind in KINDS.values()]
    names, definitions = models_json_schema(specs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    found: Schema = dict(definitions.get("$defs", {}))
    for kind in KINDS.values():
        spec = names[kind.spec, "validation"]
        found[words(kind) + "Document"] = _document_of(kind, spec)
        found[words(kind) + "Resource"] = _resource_of(kind, spec)
    return found


def _document_of(kind: AnyKind, spec: Schema) -> Schema:
    return {
        "type": "object",
        "description": kind.summary,
        "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}, "spec": spec},
        "required": ["spec"],
        "additionalProperties": False,
    }


def _resource_of(kind: AnyKind, spec: Schema) -> Schema:
    return {
        "description": kind.summary,
        "allOf": [
            reference("Item"),
            {
                "type": "object",
                "properties": {
                    "kind": {"const": kind.name},
                    "tenant": {"type": "string"} if kind.tenanted else {"const": "-"},
                    "spec": spec,
                },
            },
        ],
    }


def _problem() -> Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457 problem details with every finding.",
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "instance": text,
            "diagnostics": {"type": "array", "items": reference("Diagnostic")},
        },
        "required": ["type", "title", "status", "detail", "instance", "diagnostics"],
    }

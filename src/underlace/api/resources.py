"""/v1/resources and /v1/kinds: list, get, put and delete of every kind, derived from the registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from underlace.api.body import decode_document
from underlace.api.call import actor_of, answer, run
from underlace.api.openapi import answers, json_body, reference, words
from underlace.api.problem import problem
from underlace.controller import document
from underlace.controller.controller import Controller
from underlace.kinds.base import AnyKind
from underlace.kinds.registry import KINDS
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import NO_TENANT, Ref

PAGE = 500
PAGE_MAX = 1_000
NEXT = {"type": ["string", "null"]}

Tenant = Annotated[str | None, Query(description="Only resources of this tenant.")]
Label = Annotated[list[str] | None, Query(description="Only resources with this label, KEY=VALUE; may be repeated.")]
After = Annotated[str | None, Query(description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Resources on a page.")]


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What PUT takes: the path has the identity."""

    spec: dict[str, Any]
    labels: dict[str, str] = {}


def routes(controller: Controller) -> APIRouter:
    router = APIRouter(prefix="/v1")
    router.add_api_route("/kinds", list_kinds, methods=["GET"], tags=["about"])
    for kind in KINDS.values():
        _mount(router, controller, kind)
    # After all kinds: whatever gets here names none of them.
    for path in ("/resources/{kind}", "/resources/{kind}/{rest:path}"):
        router.add_api_route(path, unknown_kind, methods=["GET", "PUT", "DELETE"], include_in_schema=False)
    return router


async def list_kinds() -> Response:
    """Which kinds of resources there are."""
    return answer(
        {
            "items": [
                {
                    "name": kind.name,
                    "summary": kind.summary,
                    "tenanted": kind.tenanted,
                    "writers": kind.writers,
                    "columns": kind.columns,
                }
                for kind in KINDS.values()
            ]
        }
    )


async def unknown_kind(request: Request, kind: str) -> Response:
    detail = f"{kind[:80]!r} is none of {', '.join(KINDS)}."
    remedy = "List the kinds: underlace get"
    return problem(request.scope, [Diagnostic(Where(), "unknown-kind", "There is no such kind", detail, remedy)], 404)


def _mount(router: APIRouter, controller: Controller, kind: AnyKind) -> None:
    """The four routes of one kind."""

    async def list_resources(
        request: Request, tenant: Tenant = None, label: Label = None, after: After = None, limit: Limit = PAGE
    ) -> Response:
        page = await run(controller.find, actor_of(request), kind.name, tenant, _labels(label), after, limit)
        return answer(page)

    async def get_resource(request: Request) -> Response:
        return answer(await run(controller.get, actor_of(request), _identity(kind, request)))

    async def put_resource(request: Request) -> Response:
        body = decode_document(await request.body(), Body)
        written = document.Document(_identity(kind, request), body.spec, body.labels)
        change = document.Request(put=(written,), message=f"put {written.ref}")
        return answer(await run(controller.apply, actor_of(request), change))

    async def delete_resource(request: Request) -> Response:
        ref = _identity(kind, request)
        change = document.Request(delete=(ref,), message=f"delete {ref}")
        return answer(await run(controller.apply, actor_of(request), change))

    collection = f"/resources/{kind.name}"
    single = collection + ("/{tenant}" if kind.tenanted else f"/{NO_TENANT}") + "/{name:path}"
    one, changed = reference(words(kind) + "Resource"), reference("Applied")
    page = {"type": "object", "properties": {"items": {"type": "array", "items": one}, "next": NEXT}}
    body = json_body(reference(words(kind) + "Document"))
    _route(router, kind, "GET", collection, list_resources, page, {})
    _route(router, kind, "GET", single, get_resource, one, _parameters(kind))
    _route(router, kind, "PUT", single, put_resource, changed, body | _parameters(kind))
    _route(router, kind, "DELETE", single, delete_resource, changed, _parameters(kind))


def _route(
    router: APIRouter,
    kind: AnyKind,
    method: str,
    path: str,
    endpoint: Callable[..., Awaitable[Response]],
    shown: dict[str, Any],
    extra: dict[str, Any],
) -> None:
    verb = endpoint.__name__.partition("_")[0]
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        tags=[kind.name],
        operation_id=f"{verb}_{kind.name}",
        summary=f"{verb.capitalize()} {kind.name}",
        description=kind.summary,
        responses=answers(shown),
        openapi_extra=extra,
    )


def _identity(kind: AnyKind, request: Request) -> Ref:
    """A name may hold slashes, so it is the whole rest of the path."""
    return Ref(kind.name, request.path_params.get("tenant", NO_TENANT), request.path_params["name"])


def _parameters(kind: AnyKind) -> dict[str, Any]:
    """The path's parameters for OpenAPI; the routes take them from the request."""
    names = ("tenant", "name") if kind.tenanted else ("name",)
    return {"parameters": [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]}


def _labels(given: list[str] | None) -> Mapping[str, str]:
    pairs = [text.partition("=") for text in given or ()]
    wrong = [key for key, equals, _ in pairs if not (key and equals)]
    if wrong:
        summary = "A label is written KEY=VALUE"
        detail = f"{wrong[0][:80]!r} has no value to compare with."
        raise Refused(
            [
                Diagnostic(
                    Where(pointer="/query/label"),
                    "parameter-invalid",
                    summary,
                    detail,
                    "Write label=KEY=VALUE in the query.",
                )
            ]
        )
    return {key: value for key, _, value in pairs}

"""/v1/live: what devices see right now. A route for each query, made from its declaration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import anyio
import msgspec
from anyio import CapacityLimiter
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from underlace.api.call import actor_of, answer
from underlace.api.openapi import answers, reference
from underlace.controller.controller import Controller
from underlace.controller.live import VPC
from underlace.live.live import AT_ONCE
from underlace.queries.base import Query as LiveQuery
from underlace.queries.registry import QUERIES

DEVICE = "device"
VPC_MEANING = "Only in this VPC, as TENANT/NAME."

Devices = Annotated[list[str] | None, Query(description="Only these devices; may be repeated.")]


def routes(controller: Controller) -> APIRouter:
    router = APIRouter(prefix="/v1/live", tags=["live"])
    router.add_api_route("", list_queries, methods=["GET"])
    # Questions wait for devices: with threads of their own they keep nobody else waiting.
    threads: list[CapacityLimiter] = []

    async def ask(request: Request, name: str, devices: list[str] | None) -> Response:
        if not threads:
            threads.append(CapacityLimiter(2 * AT_ONCE))
        given = {key: value for key, value in request.query_params.items() if key != DEVICE}
        actor = actor_of(request)
        found = await anyio.to_thread.run_sync(
            lambda: msgspec.json.encode(controller.live.ask(actor, name, given, devices or [])), limiter=threads[0]
        )
        return Response(found, media_type="application/json")

    for query in QUERIES.values():
        _mount(router, ask, query)

    async def unknown(request: Request, query: str) -> Response:
        return await ask(request, query, None)

    router.add_api_route("/{query}", unknown, methods=["GET"], include_in_schema=False)
    return router


async def list_queries() -> Response:
    """Which live queries there are, what each may be asked and what it answers."""
    return answer({"items": [described(query) for query in QUERIES.values()]})


def described(query: LiveQuery) -> dict[str, Any]:
    """A query for those who have only the API."""
    return {
        "name": query.name,
        "summary": query.summary,
        "active": query.active,
        "parameters": parameters(query),
        "columns": [field.encode_name for field in msgspec.structs.fields(query.row)],
    }


def parameters(query: LiveQuery) -> list[dict[str, Any]]:
    """Name, schema and whether it must be given, of each parameter."""
    schema = _schema(query)
    required = set(schema.get("required", ()))
    found = [
        {"name": name, "required": name in required, "schema": dict(part)}
        for name, part in schema.get("properties", {}).items()
    ]
    vpc = {"name": VPC, "required": False, "schema": {"type": "string", "description": VPC_MEANING}}
    return [vpc, *found] if query.in_vpc else found


def _schema(query: LiveQuery) -> Mapping[str, Any]:
    _, components = msgspec.json.schema_components([query.parameters])
    return next(iter(components.values()))


def _mount(router: APIRouter, ask: Any, query: LiveQuery) -> None:
    async def live(request: Request, device: Devices = None) -> Response:
        return await ask(request, query.name, device)  # type: ignore[no-any-return]

    extra = {"parameters": [{"in": "query", **p} for p in parameters(query)]}
    router.add_api_route(
        f"/{query.name}",
        live,
        methods=["GET"],
        name=f"live_{query.name.replace('-', '_')}",
        summary=f"Live {query.name}",
        description=query.summary,
        openapi_extra=extra,
        responses=answers(reference("LiveAnswer")),
    )

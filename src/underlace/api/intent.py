"""/v1/plan, /v1/apply and /v1/explain: changes of many resources at once, and why a line is there."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from underlace.api.body import decode, decode_document
from underlace.api.call import actor_of, answer, run
from underlace.api.openapi import answers, body_of, reference
from underlace.controller import document
from underlace.controller.controller import Controller
from underlace.model.diagnostic import Diagnostic, Refused
from underlace.model.ids import NO_TENANT, Ref


class Document(msgspec.Struct, forbid_unknown_fields=True):
    """A resource as written. file and line say where, for messages; id and allocated come with an import."""

    kind: str
    name: str
    spec: dict[str, Any] = {}
    tenant: str = NO_TENANT
    labels: dict[str, str] = {}
    file: str = ""
    line: int = 0
    id: int | None = None
    allocated: dict[str, int] = {}


class Written(Document):
    """As it is decoded: whether the spec is one is the kind's to say, together with all else that is wrong."""

    spec: Any = {}


class Identity(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    name: str
    tenant: str = NO_TENANT


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What to write and what to delete, all or nothing. expect: digest of the plan that was agreed to. show: have
    the answer say what it does to each device, as a plan does. native: the devices whose native configuration that
    shows; null for the first few. recompile: devices to compile anew, which brings them what an upgraded controller
    configures otherwise; "*" for all at once."""

    documents: list[msgspec.Raw] = []
    delete: list[Identity] = []
    expect: str = ""
    message: str = ""
    show: bool = False
    native: list[str] | None = None
    recompile: list[str] = []


class ChangeRequest(msgspec.Struct):
    """Change, as its documents really are: each is bounded by itself, so they are decoded one by one."""

    documents: list[Document] = []
    delete: list[Identity] = []
    expect: str = ""
    message: str = ""
    show: bool = False
    native: list[str] | None = None
    recompile: list[str] = []


Device = Annotated[str, Query(description="A device.")]
Text = Annotated[str, Query(min_length=1, max_length=500, description="A part of a line of its configuration.")]


def routes(controller: Controller) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["intent"])

    async def plan(request: Request) -> Response:
        """What a change would do: to intent, to each device, and to traffic. Nothing is changed."""
        change = await run(_change, await request.body())
        return answer(await run(controller.plan, actor_of(request), change))

    async def apply(request: Request) -> Response:
        """Carry out a change, all or nothing. With `expect`, only if it still does what its plan said."""
        change = await run(_change, await request.body())
        return answer(await run(controller.apply, actor_of(request), change))

    async def explain(request: Request, device: Device, text: Text) -> Response:
        """Which resources ask for the lines of a device's configuration that hold this text."""
        return answer({"items": await run(controller.explain, actor_of(request), device, text)})

    body = body_of(ChangeRequest)
    router.add_api_route("/plan", plan, methods=["POST"], openapi_extra=body, responses=answers(reference("Plan")))
    router.add_api_route(
        "/apply", apply, methods=["POST"], openapi_extra=body, responses=answers(reference("Applied"))
    )
    router.add_api_route("/explain", explain, methods=["GET"])
    return router


def _change(body: bytes) -> document.Request:
    """The change that a body asks for; Refused with the fault of every document."""
    asked = decode(body, Change)
    written: list[document.Document] = []
    faults: list[Diagnostic] = []
    for index, raw in enumerate(asked.documents):
        try:
            found = decode_document(raw, Written, index)
        except Refused as refused:
            faults += refused.diagnostics
            continue
        ref = Ref(found.kind, found.tenant, found.name)
        written.append(
            document.Document(
                ref, found.spec, found.labels, found.file, found.line, id=found.id, allocated=found.allocated
            )
        )
    if faults:
        raise Refused(faults)
    delete = tuple(Ref(d.kind, d.tenant, d.name) for d in asked.delete)
    native = None if asked.native is None else frozenset(asked.native)
    anew = frozenset(asked.recompile)
    return document.Request(tuple(written), delete, asked.message, asked.expect, asked.show, native, anew)

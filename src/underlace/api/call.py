"""From a request to a use case: the actor that the gate found, the body, and a thread to run it in."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from underlace.access import Actor

P = ParamSpec("P")
T = TypeVar("T")


def actor_of(request: Request) -> Actor:
    """Who asks. There is one on every route but the open ones: the gate saw to it."""
    actor = request.scope["state"]["actor"]
    assert isinstance(actor, Actor)
    return actor


async def run(use_case: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Use cases are synchronous and wait for the disk; the event loop does not."""
    return await run_in_threadpool(use_case, *args, **kwargs)


def answer(value: object, status: int = 200) -> Response:
    """JSON of plain data, dataclasses and structs."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def nothing() -> Response:
    return Response(status_code=204)

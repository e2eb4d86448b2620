"""/agent/v1: what agents ask (model/wire.py). The certificate names the device: nobody speaks for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from underlace.access import Actor
from underlace.api import problem
from underlace.api.body import TooLarge, decode
from underlace.api.call import actor_of, answer, nothing, run
from underlace.api.gate import FailureLimit, client_address, too_many
from underlace.api.waiters import Waiters
from underlace.controller.controller import Controller
from underlace.controller.identity import Identity
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.question import ANSWER_MAX, Answer, Question, Questions, QuestionsRequest
from underlace.model.wire import (
    HEADER,
    PROTOCOL,
    WAIT_MAX,
    Credentials,
    DesiredRequest,
    EnrolRequest,
    FragmentRequest,
    Manifest,
    RenewRequest,
    Report,
)

Endpoint = Callable[[Request], Awaitable[Response]]


ROOM = 4_096
"""Bytes of an answer beside what its agent counts."""


def routes(
    controller: Controller, identity: Identity, waiters: Waiters, asking: Waiters, limit: FailureLimit
) -> APIRouter:
    """waiters, asking: agents that wait for another desired state, and for questions."""
    router = APIRouter(prefix="/agent/v1", include_in_schema=False)

    async def enrol(request: Request) -> Response:
        _check_version(request)
        asked = decode(await request.body(), EnrolRequest)
        pem = await run(identity.enrol, asked.device, asked.token, asked.csr)
        if pem is None:
            return _not_enrolled(request, limit)
        return answer(Credentials(pem, identity.ca_pem))

    def in_contact(endpoint: Endpoint) -> Endpoint:
        """The device is heard when it asks, and present until it has its answer."""

        @wraps(endpoint)
        async def answered(request: Request) -> Response:
            _check_version(request)
            with controller.contact(actor_of(request)):
                return await endpoint(request)

        return answered

    @in_contact
    async def renew(request: Request) -> Response:
        asked = decode(await request.body(), RenewRequest)
        pem = await run(identity.renew, actor_of(request), asked.csr)
        return answer(Credentials(pem, identity.ca_pem))

    @in_contact
    async def desired(request: Request) -> Response:
        asked = decode(await request.body(), DesiredRequest)
        manifest = await _await_change(controller, waiters, actor_of(request), asked)
        return nothing() if manifest is None else answer(manifest)

    @in_contact
    async def fragments(request: Request) -> Response:
        asked = decode(await request.body(), FragmentRequest)
        return answer(await run(controller.fragments, actor_of(request), asked.hashes))

    @in_contact
    async def report(request: Request) -> Response:
        told = decode(await request.body(), Report)
        return answer(await run(controller.report, actor_of(request), told))

    async def questions(request: Request) -> Response:
        _check_version(request)
        actor = actor_of(request)
        asked = decode(await request.body(), QuestionsRequest)
        with controller.live.polling(actor) as poll:
            found = await _await_questions(controller, asking, actor, poll, asked.wait)
        return answer(Questions(found)) if found else nothing()

    async def answer_question(request: Request) -> Response:
        _check_version(request)
        actor = actor_of(request)
        body = await request.body()
        if len(body) > ANSWER_MAX + ROOM:
            raise TooLarge
        controller.live.answer(actor, await run(decode, body, Answer))
        return nothing()

    router.add_api_route("/answer", answer_question, methods=["POST"])
    for endpoint in (enrol, renew, desired, fragments, report, questions):
        router.add_api_route(f"/{endpoint.__name__}", endpoint, methods=["POST"])
    return router


async def _await_change(
    controller: Controller, waiters: Waiters, actor: Actor, asked: DesiredRequest
) -> Manifest | None:
    """The desired manifest when it differs from what the agent has, at once or within its patience."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(max(asked.wait, 0.0), WAIT_MAX)
    while True:
        # Waiting begins before the look: a change between the two sets the event.
        with waiters.waiting(actor.name) as changed:
            manifest = await run(controller.desired, actor, asked.have)
            left = end - loop.time()
            if manifest is not None or left <= 0 or waiters.stopped:
                return manifest
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                return None


async def _await_questions(
    controller: Controller, asking: Waiters, actor: Actor, poll: int, patience: float
) -> tuple[Question, ...]:
    """The questions that wait for a device, at once or within its patience. The board never waits: no thread is
    needed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(max(patience, 0.0), WAIT_MAX)
    while True:
        with asking.waiting(actor.name) as came:
            found = controller.live.fetch(actor, poll)
            left = end - loop.time()
            if found or left <= 0 or asking.stopped:
                return found
            try:
                await asyncio.wait_for(came.wait(), left)
            except TimeoutError:
                return ()


def _check_version(request: Request) -> None:
    """This release speaks its own version of the protocol and the one before."""
    version = request.headers.get(HEADER, "")
    if version.isdigit() and PROTOCOL - 1 <= int(version) <= PROTOCOL:
        return
    raise Refused(
        [
            Diagnostic(
                Where(),
                "agent-version",
                "The agent speaks another version of the protocol",
                f"The header {HEADER} is {version[:20]!r}; this controller speaks {PROTOCOL - 1} and {PROTOCOL}.",
                "Upgrade the older of the two: the controller first, then agents.",
            )
        ]
    )


def _not_enrolled(request: Request, limit: FailureLimit) -> Response:
    """Wrong, used, expired and another device's token are not told apart."""
    wait = limit.fail(client_address(request.scope))
    if wait:
        return problem.problem(request.scope, [too_many(wait)], headers={"retry-after": str(int(wait) + 1)})
    fault = Diagnostic(
        Where(),
        "enrolment-refused",
        "The enrolment token is not good for this device",
        "It is unknown, used, expired, or was made for another device.",
        "Make a new one: underlace device enrol DEVICE",
    )
    return problem.problem(request.scope, [fault], HTTPStatus.UNAUTHORIZED)

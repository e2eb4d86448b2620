"""The native REST API as one ASGI application.

Gate ─► FastAPI: routes derived from the kinds, and the hand-written verbs ─► use cases (threads; each decides)
                 /agent/v1, which waits in the event loop
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from underlace import __version__
from underlace.api import agent, devices, fabric, health, intent, live, openapi, problem, resources, tokens
from underlace.api.body import TooLarge, too_large
from underlace.api.gate import FailureLimit, Gate
from underlace.api.intent import ChangeRequest
from underlace.api.tokens import NewToken
from underlace.api.waiters import Waiters
from underlace.compiler import Why
from underlace.controller.archive import Archive
from underlace.controller.controller import Controller
from underlace.controller.devices import Device
from underlace.controller.history import ChangeItem, RevisionItem, VersionItem
from underlace.controller.identity import Identity
from underlace.controller.plan import Applied, Plan
from underlace.controller.resources import Page
from underlace.controller.status import FabricStatus
from underlace.live.answer import LiveAnswer
from underlace.model.diagnostic import Refused

SHAPES = (
    Plan,
    Applied,
    Page,
    FabricStatus,
    Device,
    RevisionItem,
    VersionItem,
    ChangeItem,
    Why,
    ChangeRequest,
    NewToken,
    LiveAnswer,
)
"""What bodies are and answers hold, for OpenAPI: the types of the use cases themselves."""


class Application:
    """The gate with everything behind it. `stop` lets waiting agents go when the server shuts down."""

    def __init__(self, gate: ASGIApp, inner: FastAPI, *waiters: Waiters) -> None:
        self._gate = gate
        self.inner = inner
        self.waiters = waiters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gate(scope, receive, send)

    def stop(self) -> None:
        for waiters in self.waiters:
            waiters.stop()


def create_app(
    controller: Controller, identity: Identity, archive: Archive, *, simulated: bool = False
) -> Application:
    """The application of one controller."""
    waiters, asking = Waiters(), Waiters()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        waiters.bind()
        asking.bind()
        yield

    inner = FastAPI(
        title="Underlace",
        version=__version__,
        description="The native API of an Underlace controller.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The environment must not make the controller send anything anywhere.
        telemetry={"auto_configure": False},
        lifespan=lifespan,
    )
    limit = FailureLimit()
    for router in (
        health.routes(controller),
        resources.routes(controller),
        intent.routes(controller),
        devices.routes(controller, identity),
        fabric.routes(controller, archive),
        tokens.routes(identity),
        live.routes(controller),
        agent.routes(controller, identity, waiters, asking, limit),
    ):
        inner.include_router(router)
    openapi.install(inner, SHAPES)
    _install_problems(inner)
    controller.on_desired(waiters.notify)
    controller.live.on_question(asking.notify)
    return Application(Gate(inner, identity, limit, simulated=simulated), inner, waiters, asking)


def _install_problems(app: FastAPI) -> None:
    """Every exception that means an answer becomes a problem document."""

    async def refused(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, Refused)
        return problem.problem(request.scope, fault.diagnostics)

    async def http(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        return problem.from_status(request.scope, fault.status_code, fault.headers)

    async def invalid(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, RequestValidationError)
        return problem.from_validation(request.scope, fault.errors())

    async def large(request: Request, _: Exception) -> Response:
        return problem.problem(request.scope, [too_large()])

    async def unexpected(request: Request, _: Exception) -> Response:
        return problem.unexpected(request.scope)

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(TooLarge, large)
    # The framework answers with this and raises on: the gate then writes the event.
    app.add_exception_handler(Exception, unexpected)

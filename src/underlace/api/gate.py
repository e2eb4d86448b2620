"""The gate: what every request passes, in this order, before a route sees it.

    request id ─► size ─► what this listener serves ─► who is it? ─► route
                                                          │
                       bearer token (everything) or client certificate (/agent/v1), nothing for health and enrolment

It stands before routing, so an unauthenticated caller learns nothing about which paths exist. A route never
authenticates; it hands the actor to a use case, which decides.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from underlace.access import Actor
from underlace.api import problem
from underlace.api.body import REQUEST_MAX, TooLarge, too_large
from underlace.model.diagnostic import Diagnostic, Where

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/agent/v1/enrol"})
"""Health says nothing but yes or no; enrolment brings a one-time token of its own."""

AGENT_PREFIX = "/agent/"

FAILURES = 20
"""Failed authentications that one address may have within WINDOW seconds before it is told to wait.

A good token is honoured all the same: guessing 256 bits needs no brake, and whoever shares an address with a broken
client must not be locked out by it. What this spares is the log and the database.
"""
WINDOW = 60.0
ADDRESSES_MAX = 10_000

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

log = structlog.get_logger()


class Authenticator(Protocol):
    """What the gate needs of identity."""

    def authenticate(self, text: str) -> Actor | None: ...

    def authenticate_device(self, der: bytes) -> Actor | None: ...


class FailureLimit:
    """Counts failures per address over a window. Bounded: the address that failed longest ago is dropped first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def fail(self, address: str) -> float:
        """Count one failure; seconds to wait when it is one too many, else 0."""
        now = self._clock()
        since, count = self._since.pop(address, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        self._since[address] = (since, count + 1)
        if len(self._since) > ADDRESSES_MAX:
            self._since.popitem(last=False)
        return WINDOW - (now - since) if count + 1 > FAILURES else 0.0


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(
        self, app: ASGIApp, identity: Authenticator, limit: FailureLimit, *, simulated: bool = False
    ) -> None:
        self._app = app
        self._identity = identity
        self._limit = limit
        self._simulated = simulated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(Headers(scope=scope).get("x-request-id", ""))
        answer = _Answer(scope, send, self._simulated)
        try:
            await self._admit(scope, _Bounded(receive), answer)
        except TooLarge:
            if not answer.started:
                await problem.problem(scope, [too_large()])(scope, receive, answer)
        except Exception:
            log.exception("request-failed", request=state["request_id"], method=scope["method"], path=scope["path"])
            if not answer.started:
                await problem.unexpected(scope)(scope, receive, answer)

    async def _admit(self, scope: Scope, receive: _Bounded, send: Send) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > REQUEST_MAX:
            raise TooLarge
        if scope["state"].get("agents_only") and not (path.startswith(AGENT_PREFIX) or path in OPEN_PATHS):
            await problem.from_status(scope, 404)(scope, receive, send)
            return
        if path not in OPEN_PATHS:
            actor = await self._actor(scope, headers)
            if actor is None:
                await self._refuse(scope)(scope, receive, send)
                return
            scope["state"]["actor"] = actor
        await self._app(scope, receive, send)

    async def _actor(self, scope: Scope, headers: Headers) -> Actor | None:
        if scope["path"].startswith(AGENT_PREFIX):
            der = scope["state"].get("peer_certificate")
            return await run_in_threadpool(self._identity.authenticate_device, der) if der else None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        return await run_in_threadpool(self._identity.authenticate, token.strip())

    def _refuse(self, scope: Scope) -> ASGIApp:
        wait = self._limit.fail(client_address(scope))
        if wait:
            return problem.problem(scope, [too_many(wait)], headers={"retry-after": str(int(wait) + 1)})
        log.info("authentication-failed", request=scope["state"]["request_id"], address=client_address(scope))
        return problem.problem(scope, [_unauthenticated(scope)], 401, {"www-authenticate": "Bearer"})


class _Bounded:
    """receive(), with the size of the body bounded however it is sent."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > REQUEST_MAX:
            raise TooLarge
        return message


class _Answer:
    """send(), which adds the headers of every answer and remembers whether it began."""

    def __init__(self, scope: Scope, send: Send, simulated: bool) -> None:
        self._scope = scope
        self._send = send
        self._simulated = simulated
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = problem.request_id(self._scope)
            headers["x-content-type-options"] = "nosniff"
            headers["cache-control"] = "no-store"
            if self._simulated:
                headers["underlace-simulated"] = "true"
        await self._send(message)


def client_address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "-"


def _request_id(given: str) -> str:
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _unauthenticated(scope: Scope) -> Diagnostic:
    agent = scope["path"].startswith(AGENT_PREFIX)
    return Diagnostic(
        Where(),
        "unauthenticated",
        "The caller is not known",
        "The request shows no device certificate in force." if agent else "The request shows no token in force.",
        "Enrol the device: underlace device enrol DEVICE"
        if agent
        else "Send the header Authorization: Bearer TOKEN, or name a context: underlace --context FILE",
    )


def too_many(wait: float) -> Diagnostic:
    return Diagnostic(
        Where(),
        "too-many-failures",
        "Too many failed authentications from this address",
        f"There were more than {FAILURES} within {WINDOW:.0f} seconds.",
        f"Wait {int(wait) + 1} seconds, or use a token in force.",
    )

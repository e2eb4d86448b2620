"""Serves the application over TLS on several bound sockets, and stops gracefully.

    people and programs ─► API sockets    ─► all routes
    agents              ─► agent sockets  ─► /agent/v1 and health, nothing else
                           (without any, agents use the API sockets)

The peer certificate travels with each request as `scope["state"]["peer_certificate"]`: the handshake has checked its
chain against the controller's CA; whether it was revoked is asked at each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GRACE = 5
"""Seconds that requests under way may take after SIGTERM."""

FLUSH = 0.2
"""Seconds for the last bytes of an answer to leave."""

CERTIFICATE_CHECK = 3_600.0
"""Seconds between looks at the age of the server certificate."""

log = structlog.get_logger()


class PeerProtocol(HttpToolsProtocol):
    """HTTP/1.1 that tells the application who is at the other end of TLS."""

    agents_only = False
    _leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls else None
        # A copy per connection: the state that uvicorn hands in is shared by all of them.
        self.app_state = {
            **self.app_state,
            "peer_certificate": certificate,
            "agents_only": self.agents_only,
        }

    def shutdown(self) -> None:
        """Part with the client as soon as nothing is under way.

        A graceful end of TLS needs the client's answer, and a client that keeps its connection for later gives none:
        it would hold the controller up until the grace is over.
        """
        super().shutdown()
        self._leaving = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(FLUSH, self.transport.abort)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._leaving:
            self.loop.call_later(FLUSH, self.transport.abort)


class AgentProtocol(PeerProtocol):
    agents_only = True


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets. `api_tls` and `agent_tls` are kept and loaded anew when the certificate is renewed."""

    api: Sequence[socket.socket]
    agent: Sequence[socket.socket]
    api_tls: ssl.SSLContext
    agent_tls: ssl.SSLContext


class _Server(uvicorn.Server):
    """One of several servers in a process: signals are handled once, for all of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def tls_context(chain: Path, key: Path | None, clients: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer; with `clients`, a certificate of that CA may be shown and no other is accepted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, key)
    if clients is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(clients)
    return context


@runtime_checkable
class Stoppable(Protocol):
    """An application that has requests waiting for something which will not come any more."""

    def stop(self) -> None: ...


Stop = Callable[[], None]
"""Ends a server from any thread, like SIGTERM."""


def serve(app: ASGIApp, listeners: Listeners, ready: Callable[[Stop], None], renew: Callable[[], None]) -> None:
    """Run until SIGTERM or SIGINT, then finish what is under way.

    ready: called once when all sockets are served. renew: called now and then to see to the certificates.
    """
    asyncio.run(_serve(app, listeners, ready, renew))


async def _serve(
    app: ASGIApp, listeners: Listeners, ready: Callable[[Stop], None], renew: Callable[[], None]
) -> None:
    api = _server(app, PeerProtocol, listeners.api_tls, lifespan="on")
    servers = [(api, list(listeners.api))]
    if listeners.agent:
        agent = _server(app, AgentProtocol, listeners.agent_tls, lifespan="off")
        servers.append((agent, list(listeners.agent)))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True
        if isinstance(app, Stoppable):
            app.stop()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)

    def stop_safely() -> None:
        loop.call_soon_threadsafe(stop)

    def announce() -> None:
        ready(stop_safely)

    async with asyncio.TaskGroup() as tasks:
        keeper = tasks.create_task(_housekeeping([s for s, _ in servers], announce, renew))
        await asyncio.gather(*(server.serve(sockets) for server, sockets in servers))
        keeper.cancel()


def _server(app: ASGIApp, protocol: type[PeerProtocol], tls: ssl.SSLContext, lifespan: Any) -> _Server:
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE,
        ssl_context_factory=lambda _config, _default: tls,
    )
    return _Server(config)


async def _housekeeping(servers: Sequence[_Server], ready: Callable[[], None], renew: Callable[[], None]) -> None:
    while not all(server.started for server in servers):
        await asyncio.sleep(0.01)
    ready()
    while True:
        await asyncio.sleep(CERTIFICATE_CHECK)
        try:
            await asyncio.to_thread(renew)
        except Exception:
            log.exception("certificate-renewal-failed")

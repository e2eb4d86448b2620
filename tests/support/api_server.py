"""A real HTTPS server on a port of its own, in a thread, with a CA, tokens and device certificates of its own."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.types import ASGIApp

from support import databases
from support.certificates import key_pem, new_key, request_pem
from support.controlled import PlainDriver
from underlace.access import CONTROLLER, Role
from underlace.api import server, sockets
from underlace.api.app import Application, create_app
from underlace.controller.archive import Archive
from underlace.controller.authority import Authority
from underlace.controller.controller import Controller
from underlace.controller.directory import DataDirectory
from underlace.controller.identity import Identity
from underlace.store.identity import IdentityStore
from underlace.store.store import Store

START = 20.0


@dataclass
class Trust:
    """Identity of a controller under test."""

    directory: Path
    store: Store
    authority: Authority
    identity: Identity

    @classmethod
    def found(cls, directory: Path) -> Trust:
        store = Store.open(databases.migrated(directory))
        authority = Authority(directory / "ca")
        authority.renew_server(["127.0.0.1", "localhost"])
        return cls(directory, store, authority, Identity(IdentityStore(store), authority))

    def token(self, role: Role = Role.ADMIN, *tenants: str) -> str:
        return self.identity.create_token(CONTROLLER, "-".join((role, *tenants)), role, tenants).text

    def device(self, name: str) -> Path:
        """A file with key and certificate of an enrolled device."""
        key = new_key()
        enrolment = self.identity.create_enrolment(CONTROLLER, name)
        pem = self.identity.enrol(name, enrolment.text, request_pem(name, key))
        assert pem is not None
        file = self.directory / f"{name}-{enrolment.text[4:8]}.pem"
        file.write_text(key_pem(key) + pem)
        return file

    def stranger(self, name: str) -> Path:
        """A device certificate of another CA."""
        key = new_key()
        other = Authority(self.directory / "stranger")
        file = self.directory / f"stranger-{name}.pem"
        file.write_text(key_pem(key) + other.sign_device(request_pem(name, key), name).pem)
        return file

    def client_tls(self, certificate: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.ca_pem)
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context


@dataclass
class Served:
    trust: Trust
    url: str
    agent_url: str

    def client(
        self, token: str | None = None, certificate: Path | None = None, *, agents: bool = False
    ) -> httpx.Client:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.Client(
            base_url=self.agent_url if agents else self.url,
            verify=self.trust.client_tls(certificate),
            headers=headers,
            timeout=20.0,
            trust_env=False,
        )


def application(trust: Trust) -> Application:
    """The API of a controller with the identity's store, and a driver that shows device objects as they are."""
    controller = Controller(trust.store, {"linux": PlainDriver()})
    directory = DataDirectory.open(trust.directory)
    directory.close()
    return create_app(controller, trust.identity, Archive(controller.backup, directory))


@contextmanager
def serving(app: ASGIApp, trust: Trust) -> Iterator[Served]:
    """Serve the application, on one socket for the API and one for agents alone."""
    api, agents = sockets.listen("127.0.0.1:0"), sockets.listen("127.0.0.1:0")
    tls = server.tls_context(trust.authority.server_file, None, trust.authority.ca_file)
    started = threading.Event()
    stops: list[server.Stop] = []

    def ready(stop: server.Stop) -> None:
        stops.append(stop)
        started.set()

    listeners = server.Listeners([api], [agents], tls, tls)
    thread = threading.Thread(target=server.serve, args=(app, listeners, ready, lambda: None), name="api-under-test")
    thread.start()
    try:
        assert started.wait(START), "the server did not start"
        urls = (f"https://127.0.0.1:{s.getsockname()[1]}" for s in (api, agents))
        yield Served(trust, *urls)
    finally:
        for stop in stops:
            stop()
        thread.join(START)
        for bound in (api, agents):
            bound.close()
    assert not thread.is_alive(), "the server did not stop"

"""The gate over real HTTPS: who gets in, by what, on which socket, and what a stranger learns."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from support.api_server import Served, Trust, serving
from underlace.access import CONTROLLER, Role
from underlace.api.body import REQUEST_MAX
from underlace.api.gate import ADDRESSES_MAX, FAILURES, WINDOW, FailureLimit, Gate
from underlace.controller import document
from underlace.controller.controller import Controller
from underlace.model.ids import Ref


async def _inner(scope: Scope, receive: Receive, send: Send) -> None:
    """Behind the gate: says who asks."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    request = Request(scope, receive)
    if scope["path"] == "/v1/fault":
        raise RuntimeError("the inside of the controller")
    body = await request.body()
    actor = scope["state"].get("actor")
    who = None if actor is None else [actor.name, actor.role, sorted(actor.tenants)]
    await JSONResponse({"actor": who, "size": len(body)})(scope, receive, send)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    trust = Trust.found(tmp_path_factory.mktemp("gate"))
    # Each failure in a window of its own: only the test about too many of them has too many.
    limit = FailureLimit(lambda ticks=count(0.0, WINDOW): next(ticks))  # type: ignore[misc]
    with serving(Gate(_inner, trust.identity, limit), trust) as found:
        yield found
    trust.store.close()


def _code(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["diagnostics"][0]["code"]


def test_a_token_is_the_actor(served: Served) -> None:
    known = document.Document(Ref("tenant", "-", "acme"), {})
    Controller(served.trust.store, {}).apply(CONTROLLER, document.Request((known,)))
    with served.client(served.trust.token(Role.TENANT, "acme")) as client:
        assert client.get("/v1/x").json()["actor"] == ["tenant-acme", "tenant", ["acme"]]


@pytest.mark.parametrize(
    "path", ["/", "/v1/x", "/nothing", "/v1/openapi.json", "/agent/v1/desired", "/healthz/", "//healthz"]
)
def test_nobody_gets_in_without_being_known_and_paths_are_not_told_apart(served: Served, path: str) -> None:
    with served.client() as client:
        response = client.get(path)
    assert _code(response) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/agent/v1/enrol"])
def test_health_and_enrolment_are_open(served: Served, path: str) -> None:
    with served.client() as client:
        assert client.get(path).json()["actor"] is None


@pytest.mark.parametrize("header", [b"", b"Bearer", b"Basic eDp5", b"Bearer ul_a_b", b"bearer  x", b"Bearer \xff"])
def test_a_broken_header_is_nobody(served: Served, header: bytes) -> None:
    with served.client() as client:
        response = client.get("/v1/x", headers=[(b"authorization", header)])
    assert response.status_code == 401


def test_a_device_certificate_opens_the_agents_paths_and_nothing_else(served: Served) -> None:
    with served.client(certificate=served.trust.device("leaf1")) as client:
        assert client.post("/agent/v1/desired").json()["actor"] == ["leaf1", "device", []]
        assert _code(client.get("/v1/x")) == (401, "unauthenticated")


def test_a_token_does_not_open_the_agents_paths(served: Served) -> None:
    with served.client(served.trust.token()) as client:
        assert _code(client.post("/agent/v1/desired")) == (401, "unauthenticated")


def test_a_certificate_is_refused_from_the_moment_its_device_is_forgotten(served: Served) -> None:
    with served.client(certificate=served.trust.device("leaf9")) as client:
        assert client.post("/agent/v1/desired").status_code == 200
        served.trust.identity.revoke_device(CONTROLLER, "leaf9")
        assert _code(client.post("/agent/v1/desired")) == (401, "unauthenticated")


def test_a_certificate_of_another_ca_ends_in_the_handshake(served: Served) -> None:
    with served.client(certificate=served.trust.stranger("leaf1")) as client, pytest.raises(httpx.TransportError):
        client.post("/agent/v1/desired")


def test_a_client_does_not_trust_another_ca(served: Served, tmp_path: Path) -> None:
    other = Trust.found(tmp_path)
    other.store.close()
    with httpx.Client(verify=other.client_tls(), trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get(served.url + "/healthz")


def test_old_tls_is_not_spoken(served: Served) -> None:
    context = served.trust.client_tls()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with httpx.Client(verify=context, trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get(served.url + "/healthz")


def test_the_agents_socket_serves_agents_only(served: Served) -> None:
    with served.client(served.trust.token(), served.trust.device("leaf2"), agents=True) as client:
        assert client.post("/agent/v1/desired").status_code == 200
        assert client.get("/healthz").status_code == 200
        assert _code(client.get("/v1/x")) == (404, "path-unknown")


def test_a_request_is_bounded_however_it_is_sent(served: Served) -> None:
    token = served.trust.token()
    whole = b"x" * REQUEST_MAX
    with served.client(token) as client:
        assert client.post("/v1/x", content=whole).json()["size"] == REQUEST_MAX
    with served.client(token) as client:
        assert _code(client.post("/v1/x", content=iter([whole, b"x"]))) == (413, "request-too-large")
    host, port = served.url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port))) as plain,
        served.trust.client_tls().wrap_socket(plain, server_hostname=host) as tls,
    ):
        tls.sendall(f"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: {REQUEST_MAX + 1}\r\n\r\n".encode())
        assert tls.recv(64).startswith(b"HTTP/1.1 413"), "refused before a byte of the body was sent"


def test_a_fault_is_told_by_number_and_logged_without_the_token(served: Served) -> None:
    token = served.trust.token()
    with served.client(token) as client, capture_logs() as logs:
        response = client.get("/v1/fault", headers={"x-request-id": "abc-1"})
    assert _code(response) == (500, "internal-fault")
    assert response.json()["instance"] == "urn:underlace:request:abc-1"
    assert "inside" not in response.text
    assert [entry["request"] for entry in logs if entry["event"] == "request-failed"] == ["abc-1"]
    assert token not in repr(logs)


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", "x\x80".encode().decode("latin-1")])
def test_a_strange_request_id_is_replaced(served: Served, given: str) -> None:
    with served.client() as client:
        response = client.get("/healthz", headers={"x-request-id": given.encode("latin-1")})
    assert len(response.headers["x-request-id"]) == 16


def test_an_answer_does_not_wait_for_an_acknowledgement(served: Served) -> None:
    """Nagle's algorithm together with delayed ACKs costs 40 ms a request."""
    with served.client() as client:
        client.get("/healthz")
        spent = []
        for _ in range(20):
            start = time.perf_counter()
            client.get("/healthz")
            spent.append(time.perf_counter() - start)
    assert min(spent) < 0.03


def test_answers_are_neither_cached_nor_sniffed(served: Served) -> None:
    with served.client() as client:
        headers = client.get("/healthz").headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert "server" not in headers
    assert "underlace-simulated" not in headers


def test_a_lab_says_so_in_every_answer(tmp_path: Path) -> None:
    trust = Trust.found(tmp_path)
    with (
        serving(Gate(_inner, trust.identity, FailureLimit(), simulated=True), trust) as found,
        found.client() as client,
    ):
        assert [client.get(p).headers["underlace-simulated"] for p in ("/healthz", "/v1/x")] == ["true", "true"]
    trust.store.close()


def test_many_failures_have_to_wait_but_a_good_token_need_not(tmp_path: Path) -> None:
    trust = Trust.found(tmp_path)
    with serving(Gate(_inner, trust.identity, FailureLimit()), trust) as found, found.client() as client:
        statuses = [client.get("/v1/x").status_code for _ in range(FAILURES + 1)]
        assert statuses == [401] * FAILURES + [429]
        limited = client.get("/v1/x")
        assert 0 < int(limited.headers["retry-after"]) <= WINDOW + 1
        assert _code(limited) == (429, "too-many-failures")
        assert client.get("/v1/x", headers={"authorization": f"Bearer {trust.token()}"}).status_code == 200
    trust.store.close()


def test_failures_are_counted_by_address_and_forgotten_after_the_window() -> None:
    now = [0.0]
    limit = FailureLimit(lambda: now[0])
    assert [limit.fail("a") for _ in range(FAILURES)] == [0.0] * FAILURES
    assert limit.fail("a") == WINDOW
    assert limit.fail("b") == 0.0
    now[0] = WINDOW
    assert limit.fail("a") == 0.0


def test_the_count_of_failures_is_bounded() -> None:
    limit = FailureLimit(lambda: 0.0)
    for n in range(ADDRESSES_MAX + 10):
        limit.fail(str(n))
    assert len(limit._since) == ADDRESSES_MAX


def test_problems_decode_as_diagnostics(served: Served) -> None:
    from underlace.model.diagnostic import Diagnostic

    with served.client() as client:
        told = client.get("/v1/x").json()["diagnostics"]
    assert [d.code for d in msgspec.convert(told, list[Diagnostic])] == ["unauthenticated"]

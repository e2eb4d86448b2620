"""The client against a real HTTPS server."""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.https_controller import TOKEN, Authority, HttpsServer
from underlace.agent.client import HttpsController, Refusal, Unreachable, _Connection
from underlace.agent.identity import Identity
from underlace.model.wire import (
    Credentials,
    DesiredRequest,
    EnrolRequest,
    FragmentRequest,
    Manifest,
    Outcome,
    Report,
    manifest_digest,
)

SCOPES = {"base": "a" * 64}
MANIFEST = Manifest("leaf1", 3, manifest_digest(SCOPES), SCOPES)
REPORT = Report("leaf1", Outcome.APPLIED, 3, MANIFEST.digest, SCOPES, "0.1.0", "memory", "1.0")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[HttpsServer]:
    with HttpsServer(tmp_path, authority) as running:
        running.manifest = MANIFEST
        yield running


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path, "leaf1")


def client(
    tmp_path: Path, identity: Identity, *urls: str, authority: Authority, limit: float = 5.0
) -> HttpsController:
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(authority.pem)
    return HttpsController(urls, (trusted, identity.ca), identity.pem, None, limit)


@pytest.fixture
def controller(tmp_path: Path, identity: Identity, server: HttpsServer) -> Iterator[HttpsController]:
    made = client(tmp_path, identity, server.url, authority=server.authority)
    yield made
    made.forget()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> bytes:
    """Key and certificate of leaf1, made once: openssl takes longer than a test."""
    made = Identity(tmp_path_factory.mktemp("identity"), "leaf1")
    made.install(Credentials(authority.sign(made.request()), authority.pem))
    return made.pem.read_bytes()


@pytest.fixture
def enrolled(controller: HttpsController, identity: Identity, pair: bytes) -> HttpsController:
    identity.pem.write_bytes(pair)
    return controller


def test_enrols_with_a_token_and_then_shows_its_certificate(
    controller: HttpsController, identity: Identity, server: HttpsServer
) -> None:
    identity.install(controller.enrol(EnrolRequest("leaf1", TOKEN, identity.request())))
    assert controller.desired(DesiredRequest()) == MANIFEST
    assert server.seen == [("enrol", "", "1"), ("desired", "leaf1", "1")]


def test_wrong_token_is_a_refusal_in_the_controllers_words(controller: HttpsController, identity: Identity) -> None:
    with pytest.raises(Refusal, match="401: Unknown token: ask for another") as refusal:
        controller.enrol(EnrolRequest("leaf1", "guess", identity.request()))
    assert refusal.value.unknown_device


def test_nothing_new_is_none(enrolled: HttpsController) -> None:
    assert enrolled.desired(DesiredRequest(MANIFEST.digest)) is None


def test_poll_may_be_held_longer_than_other_requests(
    tmp_path: Path, identity: Identity, enrolled: HttpsController, server: HttpsServer
) -> None:
    hasty = client(tmp_path, identity, server.url, authority=server.authority, limit=0.4)
    assert hasty.desired(DesiredRequest(MANIFEST.digest, wait=0.6)) is None
    hasty.forget()


def test_fragments_and_reports(enrolled: HttpsController, server: HttpsServer) -> None:
    server.bodies = {"a" * 64: "[]"}
    assert enrolled.fragments(FragmentRequest(("a" * 64,))).bodies == server.bodies
    assert enrolled.report(REPORT).confirmed == MANIFEST.digest
    assert server.reports == [REPORT]


def test_hash_that_is_not_desired_any_more_is_outdated(enrolled: HttpsController) -> None:
    with pytest.raises(Refusal, match="Not desired any more") as refusal:
        enrolled.fragments(FragmentRequest(("b" * 64,)))
    assert refusal.value.outdated


def test_one_connection_serves_many_requests(enrolled: HttpsController, server: HttpsServer) -> None:
    before = server.connections
    for _ in range(5):
        enrolled.desired(DesiredRequest())
    assert server.connections == before + 1


def test_connection_that_the_controller_closed_is_made_again(enrolled: HttpsController, server: HttpsServer) -> None:
    enrolled.desired(DesiredRequest())
    server.drop_connections()
    assert enrolled.desired(DesiredRequest()) == MANIFEST


def test_server_of_another_authority_is_not_talked_to(
    tmp_path: Path, identity: Identity, server: HttpsServer
) -> None:
    suspicious = client(tmp_path, identity, server.url, authority=Authority("another"))
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        suspicious.desired(DesiredRequest())
    assert server.seen == []


def test_without_any_authority_nothing_is_trusted(tmp_path: Path, identity: Identity, server: HttpsServer) -> None:
    bare = HttpsController([server.url], (tmp_path / "missing.pem",), identity.pem, None, 5.0)
    with pytest.raises(Unreachable, match="no CA to trust"):
        bare.desired(DesiredRequest())


def test_next_controller_is_tried_after_one_that_is_gone(
    tmp_path: Path, identity: Identity, enrolled: HttpsController, server: HttpsServer
) -> None:
    two = client(tmp_path, identity, "https://127.0.0.1:9", server.url, authority=server.authority)
    with pytest.raises(Unreachable, match="port 9"):
        two.desired(DesiredRequest())
    assert two.desired(DesiredRequest()) == MANIFEST
    two.forget()


def test_silent_controller_is_given_up_in_time(
    tmp_path: Path, identity: Identity, enrolled: HttpsController, server: HttpsServer
) -> None:
    enrolled.desired(DesiredRequest())  # the limit belongs to a request, not to a connection
    server.answers["report"] = lambda body, name: server.hold.wait(30)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="timed out"):
        enrolled.report(REPORT, limit=0.3)
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize("answer", ["[]", '{"confirmed": 7}', "\xff", ""])
def test_answer_of_another_shape_is_a_refusal(enrolled: HttpsController, server: HttpsServer, answer: str) -> None:
    server.answers["report"] = lambda body, name: (200, answer)
    with pytest.raises(Refusal, match="is not a Receipt"):
        enrolled.report(REPORT)


def test_server_error_is_unreachable(enrolled: HttpsController, server: HttpsServer) -> None:
    server.answers["desired"] = lambda body, name: (503, "store is locked")
    with pytest.raises(Unreachable, match="503 for desired: store is locked"):
        enrolled.desired(DesiredRequest())


def test_huge_answer_is_not_read_to_its_end(
    enrolled: HttpsController, server: HttpsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("underlace.agent.client.ANSWER_MAX", 1000)
    server.answers["desired"] = lambda body, name: (200, "x" * 2000)
    with pytest.raises(Refusal, match="larger than 1000 bytes"):
        enrolled.desired(DesiredRequest())


def test_abort_ends_a_held_poll_at_once(enrolled: HttpsController, server: HttpsServer) -> None:
    failed: list[Exception] = []

    def poll() -> None:
        try:
            enrolled.desired(DesiredRequest(MANIFEST.digest, wait=30.0))
        except Unreachable as gone:
            failed.append(gone)

    thread = threading.Thread(target=poll)
    before = len(server.seen)
    thread.start()
    deadline = time.monotonic() + 10
    while len(server.seen) == before:
        assert time.monotonic() < deadline, "the poll did not arrive"
    enrolled.abort()
    thread.join(5)
    assert not thread.is_alive()
    assert "interrupted" in str(failed[0])
    assert len(server.seen) == before + 1


def test_abort_while_an_answer_arrives_never_takes_cipher_text_for_it(
    enrolled: HttpsController, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = _Connection.getresponse

    def interrupted(connection: _Connection) -> object:
        answer = original(connection)
        assert connection.sock is not None
        select.select([connection.sock], [], [], 0.2)  # the body, in a record of its own
        enrolled.abort()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(_Connection, "getresponse", interrupted)
        for _ in range(10):
            with suppress(Unreachable):  # anything but a Refusal
                assert enrolled.report(REPORT).confirmed == MANIFEST.digest
    with suppress(Unreachable):
        enrolled.report(REPORT)
    assert enrolled.report(REPORT).confirmed == MANIFEST.digest


def test_answer_that_is_cut_short_is_no_refusal(enrolled: HttpsController, server: HttpsServer) -> None:
    server.answers["report"] = lambda body, name: (200, '{"confirmed":', 100)
    with pytest.raises(Unreachable, match="IncompleteRead"):
        enrolled.report(REPORT)


def test_abort_while_a_connection_is_made_ends_the_request(
    enrolled: HttpsController, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal that ends an agent may come at any moment; this poll would be held for half a minute."""
    original = _Connection.connect

    def interrupted(connection: _Connection) -> None:
        original(connection)
        raw, connection.raw = connection.raw, None  # a signal just before the socket is known
        enrolled.abort()
        connection.raw = raw

    enrolled.forget()
    with monkeypatch.context() as patch:
        patch.setattr(_Connection, "connect", interrupted)
        began = time.monotonic()
        with pytest.raises(Unreachable, match="interrupted"):
            enrolled.desired(DesiredRequest(MANIFEST.digest, wait=30.0))
    assert time.monotonic() - began < 5
    assert enrolled.desired(DesiredRequest()) == MANIFEST


def test_abort_before_a_request_ends_that_one_and_no_other(enrolled: HttpsController) -> None:
    enrolled.abort()
    with pytest.raises(Unreachable, match="interrupted"):
        enrolled.desired(DesiredRequest())
    assert enrolled.desired(DesiredRequest()) == MANIFEST

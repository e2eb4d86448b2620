"""The agent's other ear: questions are fetched, answered beside each other, and never in the way of anything."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from support.fabric import poll
from support.https_controller import Authority, HttpsServer
from underlace.agent.client import HttpsController, Refusal, Unreachable
from underlace.agent.identity import Identity
from underlace.agent.listener import AT_ONCE, UNENROLLED, UNKNOWN, Listener, fitted
from underlace.agent.log import Log
from underlace.model.question import ROWS_MAX, Answer, Observed, Question, Questions, QuestionsRequest, Value
from underlace.model.wire import Credentials


class Hub:
    """Both connections of a listener: hands out `given` once, and keeps the answers."""

    def __init__(self, *given: Question) -> None:
        self.given: list[Question] = list(given)
        self.answers: dict[str, Answer] = {}
        self.fails: Exception | None = None
        self.forgotten = 0

    def questions(self, request: QuestionsRequest) -> Questions | None:
        if self.fails is not None:
            raise self.fails
        found, self.given = tuple(self.given), []
        return Questions(found) if found else None

    def answer(self, answer: Answer, limit: float | None = None) -> None:
        if self.fails is not None:
            raise self.fails
        self.answers[answer.id] = answer

    def forget(self) -> None:
        self.forgotten += 1

    def abort(self) -> None:
        pass


class Device:
    """Answers "slow" once it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.seconds: list[float] = []

    def probe(self, name: str, arguments: Mapping[str, Value], seconds: float) -> Observed:
        self.seconds.append(seconds)
        if name == "slow":
            assert self.go.wait(20.0)
        if name == "dead":
            raise TimeoutError("vtysh did not answer in time")
        if name == "buggy":
            raise RuntimeError("secret inside")
        return Observed(({"name": name, **arguments},), "test")


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    file = tmp_path / "identity.pem"
    file.write_text("")
    return file


def listener(hub: Hub, device: Device, identity: Path, log: io.StringIO | None = None) -> Listener:
    return Listener(hub, hub, device, identity, Log("leaf1", log or io.StringIO()), 0.0)


def test_a_question_is_answered(identity: Path) -> None:
    hub, device = Hub(Question("1", "ports", {"vrf": "vpc-7"}, 1.5), Question("2", "dead")), Device()
    assert listener(hub, device, identity).turn() == 0.0
    poll("both answers", lambda: len(hub.answers) == 2, 10.0, 0.002)
    assert hub.answers["1"] == Answer("1", Observed(({"name": "ports", "vrf": "vpc-7"},), "test"))
    assert hub.answers["2"] == Answer("2", error="vtysh did not answer in time")
    assert sorted(device.seconds) == [1.5, 2.0]


def test_one_that_takes_long_delays_no_other_and_too_many_are_turned_away(identity: Path) -> None:
    slow = [Question(str(n), "slow") for n in range(AT_ONCE - 1)]
    hub, device = Hub(*slow, Question("quick", "ports")), Device()
    listening = listener(hub, device, identity)
    listening.turn()
    poll("the quick one", lambda: "quick" in hub.answers, 10.0, 0.002)
    assert len(hub.answers) == 1
    hub.given = [Question("a", "slow"), Question("b", "slow")]
    poll("a free place", lambda: listening._free._value == 1, 10.0, 0.002)
    listening.turn()
    assert hub.answers["b"].error == "the device is busy with other questions"
    device.go.set()
    poll("all", lambda: len(hub.answers) == AT_ONCE + 2, 10.0, 0.002)


def test_a_fault_of_a_probe_is_logged_and_not_told(identity: Path) -> None:
    hub, log = Hub(Question("1", "buggy")), io.StringIO()
    listener(hub, Device(), identity, log).turn()
    poll("the answer", lambda: hub.answers, 10.0, 0.002)
    assert hub.answers["1"].error == "the probe failed: RuntimeError"
    assert "secret inside" in log.getvalue()


@pytest.mark.parametrize(
    ("fails", "low", "high"),
    [
        (Unreachable("gone"), 0.0, 1.0),
        (Refusal(404, "no such path"), UNKNOWN, UNKNOWN),
        (Refusal(401, "unknown"), 0.0, 1.0),
        (RuntimeError("odd"), 1.0, 60.0),
    ],
)
def test_a_controller_that_does_not_answer_is_asked_again_later(
    identity: Path, fails: Exception, low: float, high: float
) -> None:
    hub = Hub()
    hub.fails = fails
    assert low < listener(hub, Device(), identity).turn() <= high or low == high == UNKNOWN


def test_before_enrolment_nobody_is_asked(tmp_path: Path) -> None:
    hub = Hub()
    hub.fails = AssertionError("asked")
    assert listener(hub, Device(), tmp_path / "none.pem").turn() == UNENROLLED


def test_an_answer_is_cut_to_what_it_may_be() -> None:
    rows = tuple({"text": "x" * 100, "n": n} for n in range(1000))
    cut = fitted(Answer("1", Observed(rows, "test")), 10_000)
    assert cut.observed.cut
    assert len(msgspec.json.encode(cut)) <= 10_000
    assert 50 < len(cut.observed.rows) < 100
    assert fitted(Answer("1", Observed(rows[:3], "test")), 10_000).observed == Observed(rows[:3], "test")
    assert fitted(Answer("1", Observed(({"text": "x" * 10_000},), "test")), 1_000).observed.rows == ()
    most = fitted(Answer("1", Observed(({},) * (ROWS_MAX + 1), "test"))).observed
    assert (len(most.rows), most.cut) == (ROWS_MAX, True)


def test_over_https_with_two_connections(tmp_path: Path) -> None:
    authority = Authority()
    made = Identity(tmp_path, "leaf1")
    made.install(Credentials(authority.sign(made.request()), authority.pem))
    answered: dict[str, str] = {}
    waiting = [Question("7", "ports")]

    def questions(body: bytes, name: str) -> object:
        assert name == "leaf1"
        if waiting:
            return Questions((waiting.pop(),))
        server.hold.wait(msgspec.json.decode(body, type=QuestionsRequest).wait)
        return None

    def take(body: bytes, name: str) -> object:
        answered[name] = msgspec.json.decode(body, type=Answer).id
        return None

    with HttpsServer(tmp_path, authority) as server:
        server.answers |= {"questions": questions, "answer": take}
        trusted = tmp_path / "trusted.pem"
        trusted.write_text(authority.pem)
        clients = [HttpsController((server.url,), (trusted,), made.pem, None, 5.0) for _ in range(2)]
        listening = Listener(*clients, Device(), made.pem, Log("leaf1", io.StringIO()), 20.0)
        listening.start()
        poll("the answer", lambda: answered, 10.0, 0.002)
        assert answered == {"leaf1": "7"}
        listening.close()  # while a poll is held
        assert not listening._thread.is_alive()
        clients[1].forget()

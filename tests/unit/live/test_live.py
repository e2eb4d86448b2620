"""Fan-out to devices that answer, are slow, hang, are gone, or answer garbage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest

from support.fabric import poll
from underlace.live import live as module
from underlace.live.answer import LiveAnswer
from underlace.live.board import WAITING_MAX, Board
from underlace.live.live import Live
from underlace.model.diagnostic import Refused
from underlace.model.question import Answer, Observed, Question
from underlace.queries.base import Nothing, Query, Row

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Sample(Row, frozen=True):
    name: str


QUERY = Query("sample", "A sample.", Sample, seconds=0.3)
Says = Callable[[Question], Answer | None]


def good(question: Question) -> Answer:
    return Answer(question.id, Observed(({"name": "x\x1b[2J"},), "test\x07"))


def garbage(question: Question) -> Answer:
    return Answer(question.id, Observed(({"nom": "x"},), "test"))


def failed(question: Question) -> Answer:
    return Answer(question.id, error="vtysh\x1b is gone")


def slow(question: Question) -> Answer:
    threading.Event().wait(0.15)
    return good(question)


def hangs(question: Question) -> None:
    return None


@contextmanager
def device(board: Board, name: str, says: Says) -> Iterator[None]:
    """A device at our own door: polls, and answers as it is told to."""
    came, over = threading.Event(), threading.Event()
    board.on_question(lambda devices: came.set() if name in devices else None)

    def run() -> None:
        with board.polling(name):
            while not over.is_set():
                came.wait(20.0)
                came.clear()
                for question in board.fetch(name):
                    if (answer := says(question)) is not None:
                        board.answer(name, answer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        poll("the device", lambda: board.listens(name), 10.0, 0.002)
        yield
    finally:
        over.set()
        came.set()
        thread.join()


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def live(board: Board, monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.setattr(module, "ROAD", 10.0)  # nobody waits for it but who is hung up on, see `briefly`
    return Live(board, lambda: NOW, simulated=True)


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which somebody never answers."""
    monkeypatch.setattr(module, "ROAD", 0.0)


def ask(live: Live, *devices: str) -> LiveAnswer:
    return live.ask(QUERY, Nothing(), {}, devices)


def test_each_device_has_its_answer_whatever_the_others_do(
    board: Board, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROAD", 0.9)
    kinds: dict[str, Says] = {"good": good, "garbage": garbage, "failed": failed, "slow": slow, "hangs": hangs}
    with ExitStack() as stack:
        for name, says in kinds.items():
            stack.enter_context(device(board, name, says))
        began = time.monotonic()
        found = ask(live, *kinds, "gone")
        assert time.monotonic() - began < 10.0
    told = {d.device: d for d in found.devices}
    assert list(told) == sorted([*kinds, "gone"])
    assert told["good"].rows == told["slow"].rows == (Sample("x[2J"),)
    assert (told["good"].source, told["good"].error) == ("test", None)
    codes = {name: (d.device_reachable, d.error.code) for name, d in told.items() if d.error is not None}
    assert codes == {
        "garbage": (True, "live-answer-invalid"),
        "failed": (True, "live-failed"),
        "hangs": (False, "live-timeout"),
        "gone": (False, "live-away"),
    }
    assert "vtysh is gone" in str(told["failed"].error)
    assert told["slow"].latency_ms >= 150
    assert told["hangs"].latency_ms >= 1_200
    assert all(d.simulated for d in found.devices)
    assert found.simulated
    assert told["good"].observed_at < told["hangs"].observed_at, "when it came, and not when all were done"


def test_nobody_waits_for_devices_that_are_not_there(live: Live) -> None:
    began = time.monotonic()
    ask(live, "gone")
    assert time.monotonic() - began < 5.0


def test_64_devices_answer_side_by_side(board: Board, live: Live) -> None:
    with ExitStack() as stack:
        names = [f"leaf{n}" for n in range(64)]
        for name in names:
            stack.enter_context(device(board, name, good))
        assert all(d.error is None for d in ask(live, *names).devices)


def test_devices_share_the_rows_of_an_answer(board: Board, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_TOTAL", 10)
    monkeypatch.setattr(module, "ROWS_LEAST", 2)

    def much(question: Question) -> Answer:
        return Answer(question.id, Observed(({"name": "x"},) * 6, "test"))

    with device(board, "leaf1", much), device(board, "leaf2", good):
        alone = ask(live, "leaf1").devices[0]
        assert (len(alone.rows), alone.cut) == (6, False)
        one, other = ask(live, "leaf1", "leaf2").devices
    assert (len(one.rows), one.cut) == (5, True)
    assert (len(other.rows), other.cut) == (1, False)


def test_nothing_is_left_of_a_question(board: Board, live: Live, briefly: None) -> None:
    with device(board, "hangs", hangs):
        ask(live, "hangs", "gone")
    assert (board._given, board._waiting) == ({}, {})


def test_an_answer_that_was_not_asked_for_is_not_heard(board: Board, live: Live) -> None:
    ids: list[str] = []

    def remember(question: Question) -> None:
        ids.append(question.id)

    with device(board, "leaf1", remember):
        threads = [threading.Thread(target=ask, args=(live, "leaf1"))]
        threads[0].start()
        poll("the question", lambda: ids, 10.0, 0.002)
        assert not board.answer("leaf2", Answer(ids[0]))
        assert not board.answer("leaf1", Answer("made up"))
        assert board.answer("leaf1", Answer(ids[0]))
        assert not board.answer("leaf1", Answer(ids[0]))
        threads[0].join()


def test_what_waits_for_a_device_is_bounded_and_expires() -> None:
    now = [0.0]
    board = Board(lambda: now[0])

    def put(number: int) -> frozenset[str]:
        return board.put(Question(str(number), "x"), ["leaf1"], 1.0, lambda d, a: None)

    assert all(put(n) for n in range(WAITING_MAX))
    assert not put(WAITING_MAX)
    now[0] = 2.0
    assert board.fetch("leaf1") == ()
    assert put(1000)
    assert [q.id for q in board.fetch("leaf1")] == ["1000"]


def test_an_agent_between_two_polls_is_still_there() -> None:
    now = [100.0]
    board = Board(lambda: now[0])
    assert not board.listens("leaf1")
    with board.polling("leaf1"):
        now[0] += 60.0
        assert board.listens("leaf1")
    now[0] += 4.0
    assert board.listens("leaf1")
    now[0] += 2.0
    assert not board.listens("leaf1")


def test_a_poll_that_nobody_reads_any_more_gets_nothing() -> None:
    """An agent was started anew; its controller does not know yet that the other end of its last poll is gone."""
    board = Board()
    with board.polling("leaf1") as gone:
        with board.polling("leaf1") as poll:
            board.put(Question("1", "x"), ["leaf1"], 60.0, lambda d, a: None)
            assert board.fetch("leaf1", gone) == ()
            assert [q.id for q in board.fetch("leaf1", poll)] == ["1"]
        board.put(Question("2", "x"), ["leaf1"], 60.0, lambda d, a: None)
        assert board.fetch("leaf1", gone) == ()
    with board.polling("leaf1") as poll:
        assert [q.id for q in board.fetch("leaf1", poll)] == ["2"]


def test_too_many_questions_are_refused(
    board: Board, live: Live, briefly: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_free", threading.BoundedSemaphore(1))
    asked: list[Question] = []

    def remember(question: Question) -> None:
        asked.append(question)

    with device(board, "hangs", remember):
        first = threading.Thread(target=ask, args=(live, "hangs"))
        first.start()
        poll("the question", lambda: asked, 10.0, 0.002)
        with pytest.raises(Refused) as refused:
            ask(live, "hangs")
        first.join()
    assert [d.code for d in refused.value.diagnostics] == ["live-busy"]
    ask(live, "gone")

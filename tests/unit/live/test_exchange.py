"""Two controllers of one store: a question reaches the one to which the device listens, and the answer comes back."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from underlace.live.board import Board
from underlace.live.exchange import PIECE, PIECES_MAX, TEXT_MAX, Exchange
from underlace.model.question import Answer, Observed, Question

Asked = tuple[Board, Exchange]


class Wire:
    """Everybody hears everything, themselves included, as with NOTIFY."""

    def __init__(self) -> None:
        self.ears: list[Callable[[str], None]] = []
        self.texts: list[str] = []
        self.works = True

    def say(self, texts: list[str]) -> bool:
        self.texts += texts
        for text in texts if self.works else ():
            assert len(text.encode()) <= TEXT_MAX
            for ear in self.ears:
                ear(text)
        return self.works


@pytest.fixture
def wire() -> Wire:
    return Wire()


def controller(wire: Wire) -> Board:
    board = Board()
    exchange = Exchange(board)
    wire.ears.append(exchange.heard)
    exchange.join(wire.say)
    return board


def test_a_question_and_its_answer(wire: Wire) -> None:
    here, there, other = (controller(wire) for _ in range(3))
    came: dict[str, Answer] = {}
    question = Question("1", "ports", {"vrf": "vpc-7"})
    with there.polling("leaf1"), here.polling("leaf2"):
        assert here.ask(question, ["leaf1", "leaf2"], 5.0, came.__setitem__) == frozenset()
        assert there.fetch("leaf1") == here.fetch("leaf2") == (question,)
        assert other.fetch("leaf1") == ()
        assert there.answer("leaf1", Answer("1", Observed(({"name": "swp1"},), "test")))
        assert here.answer("leaf2", Answer("1", error="no"))
    assert came == {"leaf1": Answer("1", Observed(({"name": "swp1"},), "test")), "leaf2": Answer("1", error="no")}


def test_a_large_answer_comes_in_pieces_and_one_too_large_loses_rows(wire: Wire) -> None:
    here, there = controller(wire), controller(wire)
    noise = random.Random(1)  # not to be compressed
    rows = tuple({"n": noise.randbytes(400).hex()} for _ in range(2_000))
    came: dict[str, Answer] = {}
    for number, some in enumerate((rows[:200], rows)):
        with there.polling("leaf1"):
            here.ask(Question(str(number), "ports"), ["leaf1"], 5.0, came.__setitem__)
            wire.texts.clear()
            there.fetch("leaf1")
            there.answer("leaf1", Answer(str(number), Observed(some, "test")))
        assert 1 < len(wire.texts) <= PIECES_MAX
        kept = came["leaf1"].observed
        assert kept.rows == some[: len(kept.rows)]
        assert kept.cut == (len(kept.rows) < len(some))
    assert kept.cut
    assert len(kept.rows) > 200
    assert PIECE * PIECES_MAX > 200 * 400


def test_very_many_devices_are_named_in_several_messages(wire: Wire) -> None:
    here, there = controller(wire), controller(wire)
    names = [f"{'leaf' * 15}{n:03}" for n in range(256)]
    assert here.ask(Question("1", "ports"), names, 5.0, lambda d, a: None) == frozenset()
    assert len(wire.texts) > 1
    with there.polling(names[255]):
        here.ask(Question("2", "ports"), names, 5.0, lambda d, a: None)
        assert [q.id for q in there.fetch(names[255])] == ["2"]


def test_without_the_server_the_others_are_not_waited_for(wire: Wire) -> None:
    here = controller(wire)
    wire.works = False
    assert here.ask(Question("1", "ports"), ["leaf1"], 5.0, lambda d, a: None) == {"leaf1"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"type":"ask"}',
        '{"type":"piece","asker":"me","id":"1","device":"leaf1","number":0,"of":1,"text":"!"}',
        '{"type":"piece","asker":"me","id":"1","device":"leaf1","number":0,"of":1,"text":"AAAA"}',
        '{"type":"piece","asker":"me","id":"1","device":"leaf1","number":5,"of":2,"text":"AAAA"}',
        '{"type":"piece","asker":"me","id":"1","device":"leaf1","number":0,"of":100000,"text":"AAAA"}',
    ],
)
def test_garbage_on_the_wire_is_dropped(text: str) -> None:
    exchange = Exchange(Board(), "me")
    exchange.heard(text)
    assert not exchange._open

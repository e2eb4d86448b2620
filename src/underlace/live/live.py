"""Asking: one question to some devices, their answers within its time, an envelope around each."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from underlace.live.answer import Asked, DeviceAnswer, LiveAnswer, judged, silent
from underlace.live.board import Board
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.question import Answer, Observed, Question, Value
from underlace.queries.base import Parameters, Query
from underlace.store.ledger import stamp

ROAD = 0.6
"""Seconds that question and answer may need on their way, beside the device's own."""

AT_ONCE = 32
"""Questions of all callers together; each waits in a thread."""


ROWS_TOTAL, ROWS_LEAST = 100_000, 500
"""Rows of all devices together, shared alike; and what each may have at least."""


class Live:
    """simulated: the devices are a lab's."""

    def __init__(self, board: Board, clock: Callable[[], datetime], simulated: bool) -> None:
        self.board = board
        self._clock, self._simulated = clock, simulated
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def ask(
        self, query: Query, parameters: Parameters, arguments: Mapping[str, Value], devices: Collection[str]
    ) -> LiveAnswer:
        """Returns when all have answered, or the query's time is over. arguments: the parameters as devices
        understand them. Raises Refused when too many ask."""
        if not self._free.acquire(blocking=False):
            raise Refused([_busy()])
        try:
            found = self._collect(query, query.patience(parameters), arguments, devices)
        finally:
            self._free.release()
        given: dict[str, Any] = msgspec.to_builtins(parameters)
        return LiveAnswer(query.name, given, self._simulated, tuple(found[d] for d in sorted(found)))

    def _collect(
        self, query: Query, seconds: float, arguments: Mapping[str, Value], devices: Collection[str]
    ) -> dict[str, DeviceAnswer]:
        question = Question(secrets.token_hex(12), query.asked, dict(arguments), seconds)
        began, limit = time.monotonic(), seconds + ROAD
        done, share = threading.Condition(), max(ROWS_LEAST, ROWS_TOTAL // max(1, len(devices)))
        came: dict[str, tuple[float, Answer]] = {}

        def take(device: str, answer: Answer) -> None:
            with done:
                came[device] = (time.monotonic(), _cut(answer, share))
                done.notify()

        away = self.board.ask(question, devices, limit, take)
        wanted = set(devices) - away
        with done:
            done.wait_for(lambda: came.keys() >= wanted, began + limit - time.monotonic())
            answers = dict(came)
        self.board.drop(question.id)
        found = {}
        for device in devices:
            at, answer = answers.get(device, (time.monotonic(), None))
            asked = Asked(query, device, self._moment(at), round((at - began) * 1000), self._simulated)
            found[device] = judged(asked, answer) if answer is not None else silent(asked, device not in away)
        return found

    def _moment(self, at: float) -> str:
        """A moment of the monotonic clock as time of day."""
        return stamp(self._clock() - timedelta(seconds=time.monotonic() - at))


def _cut(answer: Answer, share: int) -> Answer:
    """With no more rows than the device's share."""
    told = answer.observed
    if len(told.rows) <= share:
        return answer
    return Answer(answer.id, Observed(told.rows[:share], told.source, True), answer.error)


def _busy() -> Diagnostic:
    return Diagnostic(
        Where(),
        "live-busy",
        "Too many questions at once",
        f"The controller asks devices {AT_ONCE} questions at a time.",
        "Ask again in a moment.",
    )

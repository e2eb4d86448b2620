"""Where questions wait for the agents that fetch them, and where answers find who asked. In memory alone.

    ask ──► board ──► poll of the agent ──► device ──► answer ──► collection ──► who asked
              │ not here?                                             ▲
              └──► relay ──► board of another controller ── relay ────┘

Any thread may call anything here. What nobody fetches in time is dropped.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from underlace.model.question import AT_ONCE, Answer, Question

RECENT = 5.0
"""Seconds after its last poll in which an agent is still expected to ask again."""

WAITING_MAX = 64
"""Questions that may wait for one device."""

Take = Callable[[str, Answer], None]
"""Called with a device and its answer. Must not block."""

Wake = Callable[[frozenset[str]], None]
Elsewhere = Callable[[Question, Collection[str]], bool]
"""Passes a question on for devices that do not listen here; whether anybody may have heard it."""


class _Waiting(NamedTuple):
    question: Question
    until: float


class _Given(NamedTuple):
    """A question that was put to devices, and who takes the answers of those that have not answered."""

    take: Take
    until: float
    left: set[str]


class Board:
    """elsewhere: passes a question on to other controllers of the same store, where there are any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._given: dict[str, _Given] = {}
        self._polls: Counter[str] = Counter()
        self._newest: dict[str, int] = {}
        self._count = itertools.count(1)
        self._last: dict[str, float] = {}
        self._wakers: list[Wake] = []
        self.elsewhere: Elsewhere | None = None

    def on_question(self, wake: Wake) -> None:
        """Have `wake` called with the devices for which a question waits. It must not block."""
        self._wakers.append(wake)

    def listens(self, device: str) -> bool:
        """Whether the agent of the device polls here, or did a moment ago."""
        with self._lock:
            return self._listens(device)

    def ask(self, question: Question, devices: Collection[str], seconds: float, take: Take) -> frozenset[str]:
        """Put a question to devices; those that will not answer, because nobody listens or too much waits."""
        here = [d for d in devices if self.listens(d)]
        away = [d for d in devices if d not in here]
        asked = self.put(question, here, seconds, take)
        if away and self.elsewhere is not None:
            self._expect(question, away, seconds, take)
            if self.elsewhere(question, away):
                asked |= frozenset(away)
        return frozenset(devices) - asked

    def put(self, question: Question, devices: Collection[str], seconds: float, take: Take) -> frozenset[str]:
        """The same for devices that listen here; those that will be asked."""
        now, taken = self._clock(), set()
        self._expect(question, devices, seconds, take)  # whoever fetches it now may answer at once
        with self._lock:
            self._sweep(now)
            for device in devices:
                queue = self._waiting.setdefault(device, deque())
                while queue and queue[0].until < now:
                    queue.popleft()
                if len(queue) < WAITING_MAX:
                    queue.append(_Waiting(question, now + seconds))
                    taken.add(device)
        found = frozenset(taken)
        if found:
            for wake in self._wakers:
                wake(found)
        return found

    def drop(self, identity: str) -> None:
        """Nobody waits for the answers any more."""
        with self._lock:
            self._given.pop(identity, None)

    @contextmanager
    def polling(self, device: str) -> Iterator[int]:
        """An agent waits for questions; with which number. Its last poll may still stand here, of a connection that
        nobody has at the other end any more: it is to be given nothing."""
        with self._lock:
            self._polls[device] += 1
            poll = self._newest[device] = next(self._count)
        try:
            yield poll
        finally:
            with self._lock:
                self._polls[device] -= 1
                if not self._polls[device]:
                    del self._polls[device], self._newest[device]
                self._last[device] = self._clock()

    def fetch(self, device: str, poll: int | None = None) -> tuple[Question, ...]:
        """The questions that wait for a device; they are its own to answer from now on. poll: its number; none but
        the newest gets any."""
        now = self._clock()
        with self._lock:
            if poll is not None and poll != self._newest.get(device):
                return ()
            queue = self._waiting.get(device, deque())
            found: list[Question] = []
            while queue and len(found) < AT_ONCE:
                waiting = queue.popleft()
                if waiting.until > now and waiting.question.id in self._given:
                    found.append(waiting.question)
            if not queue:
                self._waiting.pop(device, None)
        return tuple(found)

    def answer(self, device: str, answer: Answer) -> bool:
        """A device's answer; whether anybody waits for it. One that was not asked, or has answered, is not heard."""
        with self._lock:
            given = self._given.get(answer.id)
            if given is None or device not in given.left:
                return False
            given.left.discard(device)
            if not given.left:
                del self._given[answer.id]
        given.take(device, answer)
        return True

    def _expect(self, question: Question, devices: Collection[str], seconds: float, take: Take) -> None:
        with self._lock:
            known = self._given.get(question.id)
            if known is None:
                self._given[question.id] = _Given(take, self._clock() + seconds, set(devices))
            else:
                known.left.update(devices)

    def _listens(self, device: str) -> bool:
        return bool(self._polls[device]) or self._clock() - self._last.get(device, -RECENT) < RECENT

    def _sweep(self, now: float) -> None:
        """Drop what has expired, by whoever asks next: what is left is bounded by what was asked a moment ago."""
        for identity in [i for i, given in self._given.items() if given.until < now]:
            del self._given[identity]
        for device in [d for d, queue in self._waiting.items() if not queue or queue[-1].until < now]:
            del self._waiting[device]

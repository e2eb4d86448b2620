"""Live questions: fetched by a long poll of their own, each answered in a thread of its own.

    poll ──► question ──► thread: door.probe ──► answer        the agent's own thread applies meanwhile
      ▲         │
      └─────────┘ at once: a probe that takes long delays no other

Nothing is shared with the thread that applies, and nothing of an answer is kept. A controller that does not know
questions yet is asked again now and then.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec

from underlace.agent.client import Asker, Refusal, Unreachable
from underlace.agent.clock import Backoff
from underlace.agent.log import Log
from underlace.drivers.protocol import Prober
from underlace.model.question import ANSWER_MAX, ROWS_MAX, SECONDS_MAX, Answer, Observed, Question, QuestionsRequest

AT_ONCE = 4
"""Questions under way; whoever asks more is told that the device is busy."""

AWAY_FIRST, AWAY_LIMIT = 0.5, 15.0
"""Seconds between tries to reach a controller."""

UNKNOWN = 60.0
"""Seconds before a controller is asked again that does not know questions."""

UNENROLLED = 1.0
"""Seconds between looks for the certificate."""

ANSWER_SECONDS = 5.0
"""For handing an answer in: nobody waits for it any longer."""


class Listener:
    """polls, answers: connections of their own. wait: seconds that the controller may hold a poll."""

    def __init__(self, polls: Asker, answers: Asker, prober: Prober, identity: Path, log: Log, wait: float) -> None:
        self._polls, self._answers, self._prober = polls, answers, prober
        self._identity, self._log, self._wait = identity, log, wait
        self._away = Backoff(AWAY_FIRST, AWAY_LIMIT)
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._answering = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="underlace-questions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ask no more. What is under way ends with the process."""
        self._closed.set()
        self._polls.abort()
        self._thread.join(ANSWER_SECONDS)
        self._polls.forget()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._closed.wait(self.turn())

    def turn(self) -> float:
        """Ask once; seconds to wait before the next time."""
        if not self._identity.exists():
            return UNENROLLED
        asked = time.monotonic()
        try:
            found = self._polls.questions(QuestionsRequest(self._wait))
        except Unreachable:
            return self._away.next()
        except Refusal as refusal:
            self._polls.forget()  # an identity that was renewed or revoked is shown anew
            return self._away.next() if refusal.unknown_device else UNKNOWN
        except Exception as bug:  # whatever it is, the device is to be asked again
            self._log.event("questions-failed", level="error", why=repr(bug))
            return AWAY_LIMIT
        self._away.reset()
        for question in found.questions if found is not None else ():
            self._take(question)
        # A controller that cannot hold a poll must not be asked in a tight loop.
        return 0.0 if found is not None else max(0.0, asked + min(1.0, self._wait) - time.monotonic())

    def _take(self, question: Question) -> None:
        if not self._free.acquire(blocking=False):
            self._tell(Answer(question.id, error="the device is busy with other questions"))
            return
        threading.Thread(target=self._answer, args=(question,), name="underlace-probe", daemon=True).start()

    def _answer(self, question: Question) -> None:
        try:
            self._tell(self._observe(question))
        finally:
            self._free.release()

    def _observe(self, question: Question) -> Answer:
        try:
            seconds = min(max(question.seconds, 0.0), SECONDS_MAX)
            found = self._prober.probe(question.probe, question.arguments, seconds)
        except OSError as silent:
            return Answer(question.id, error=str(silent)[:1_000] or type(silent).__name__)
        except Exception as bug:
            self._log.event("probe-failed", level="error", probe=question.probe, why=repr(bug))
            return Answer(question.id, error=f"the probe failed: {type(bug).__name__}")
        return fitted(Answer(question.id, found))

    def _tell(self, answer: Answer) -> None:
        with self._answering:
            try:
                self._answers.answer(answer, ANSWER_SECONDS)
            except (Unreachable, Refusal):
                self._answers.forget()  # nobody waits for it for long, and the next question comes on its own


def fitted(answer: Answer, limit: int = ANSWER_MAX) -> Answer:
    """With as many rows as an answer may have, and may have bytes."""
    if len(answer.observed.rows) > ROWS_MAX:
        answer = Answer(answer.id, Observed(answer.observed.rows[:ROWS_MAX], answer.observed.source, True))
    rows, size = answer.observed.rows, len(msgspec.json.encode(answer))
    while rows and size > limit:
        rows = rows[: min(len(rows) - 1, len(rows) * limit // size)]
        answer = Answer(answer.id, Observed(rows, answer.observed.source, True), answer.error)
        size = len(msgspec.json.encode(answer))
    return answer

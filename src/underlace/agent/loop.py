"""The agent's state machine.

      start: cache, full read ──► hold the last good state
                                        │
         ┌──────────────────────────────▼──────────────────────────────┐
         │ HOLD   long-poll `desired`; every read_interval a full read, │◄──────────────┐
         │        drift is mended                                       │               │
         └──────────────┬───────────────────────────────────────────────┘               │
                        │ another manifest                                              │
                        ▼                                                               │
         fetch, check, render ──unusable─────────────► reject (the device is untouched) ┤
                        ▼                                                               │
                      APPLY ──failed──► REVERT to the last good state, reject ──────────┤
                        ▼                   ▲                                           │
                     CONFIRM ──deadline─────┘                                           │
                        │    ──another manifest──► APPLY that one                       │
                        ▼ confirmed                                                     │
                      KEEP   it is the last good state; boot files ─────────────────────┘

HOLD is `Holding`, the rest `Trial`. One thread: no decision is half made in memory while another begins.
"""

from __future__ import annotations

from underlace.agent.client import Refusal, Unreachable
from underlace.agent.clock import Backoff
from underlace.agent.enrolment import Enrolment, NotEnrolled
from underlace.agent.holding import Holding
from underlace.agent.parts import Parts
from underlace.agent.rejection import Rejection
from underlace.agent.trial import Trial
from underlace.model.wire import DesiredRequest, Manifest, Outcome

AWAY_FIRST, AWAY_LIMIT = 0.5, 15.0
"""Seconds between tries to reach a controller. With 2,000 devices the limit gives about 180 handshakes a second."""

LAST_WORDS = 2.0
"""Seconds for a last report while stopping."""


class Agent:
    """`start` once, then `turn` for ever, or `run` for both."""

    def __init__(self, parts: Parts, enrolment: Enrolment | None = None) -> None:
        self._parts, self._enrolment = parts, enrolment
        self.holding = Holding(parts)
        self.rejection = Rejection(parts)
        self._trial = Trial(parts, self.holding, self.rejection)
        self._away = Backoff(AWAY_FIRST, AWAY_LIMIT)
        self._away_words: str | None = None
        self._urged = False

    def run(self) -> None:
        """Until `stop`."""
        self.start()
        while not self._parts.stopping:
            self.turn()
        self._last_report()

    def stop(self) -> None:
        """End after the step in progress. Fit for a signal handler; the caller wakes clock and controller."""
        self._parts.stopping = True

    def urge(self) -> None:
        """Do at once what waits: a rejected manifest, an upgrade. Fit for a signal handler, as `stop` is."""
        self.rejection.retry_now()
        self._urged = True

    def start(self) -> None:
        """Recover the last good state. Works without any controller; changes nothing that is in place."""
        parts = self._parts
        parts.cache.open()
        self.holding.load()
        self.rejection.load()
        interrupted = self._trial.resume()
        parts.tell_cache()
        parts.log.event("start", good=self.holding.digest, rejected=self.rejection.digest, interrupted=interrupted)
        self.holding.recover(interrupted)
        parts.log.event("recovered", sound=self.holding.sound)

    def turn(self, wait: float | None = None) -> bool:
        """Mend, report, ask, and carry out what the controller wants. Whether a controller answered."""
        parts = self._parts
        if parts.clock.monotonic() >= self.holding.read_due:
            self.holding.inspect()
        try:
            if self._enrolment is not None:
                self._enrolment.ensure()
            self._report()
            if self._urged:
                self._urged = False
                self._trial.bring()
                self._report()
            manifest = self._ask(self._patience() if wait is None else wait)
            self._answered()
            if manifest is not None:
                self._trial.take(manifest)
                self._report()
        except Refusal as refusal:
            self._refused(refusal)
            return False
        except (Unreachable, NotEnrolled) as gone:
            self._unanswered(str(gone))
            return False
        return True

    @property
    def settled(self) -> bool:
        """The device holds a confirmed state, the controller knows, and nothing is being refused."""
        ledger = self._parts.ledger
        return ledger.outcome is Outcome.HELD and not ledger.due and not self.rejection.digest

    def _ask(self, wait: float) -> Manifest | None:
        """The manifest that the controller wants, if it is another than the one that this agent works on."""
        parts = self._parts
        have = self.rejection.digest if self.rejection.seconds_left() > 0 else self.holding.digest
        asked = parts.clock.monotonic()
        manifest = parts.controller.desired(DesiredRequest(have, wait))
        if wait > 0 and (manifest is None or manifest.digest == have):
            # A controller that cannot hold a poll, or repeats itself, must not be asked in a tight loop.
            parts.clock.wait(max(0.0, asked + min(1.0, wait) - parts.clock.monotonic()))
        return manifest

    def _patience(self) -> float:
        """How long the controller may hold the poll: until the next read, or the next try of what was rejected."""
        left = min(self._parts.config.wait, self.holding.read_due - self._parts.clock.monotonic())
        retry = self.rejection.seconds_left()
        return max(0.0, min(left, retry) if retry > 0 else left)

    def _report(self, limit: float | None = None) -> None:
        parts = self._parts
        if parts.ledger.due:
            parts.controller.report(parts.ledger.report(), limit)
            parts.ledger.delivered()

    def _last_report(self) -> None:
        try:
            self._report(LAST_WORDS)
        except (Unreachable, Refusal) as gone:
            self._parts.log.event("last-report-lost", level="warning", error=str(gone))
        self._parts.log.event("stop")

    def _answered(self) -> None:
        if self._away_words is not None:
            self._parts.log.event("controller-reached")
        self._away_words = None
        self._away.reset()

    def _refused(self, refusal: Refusal) -> None:
        """The controller said no: enrol again if it does not know this device, else ask again later."""
        if refusal.outdated:
            self._parts.clock.wait(AWAY_FIRST)
            return
        try:
            if refusal.unknown_device and self._enrolment is not None and self._enrolment.refused():
                return
        except (Unreachable, Refusal, NotEnrolled) as no:
            self._unanswered(str(no))
            return
        self._unanswered(str(refusal))

    def _unanswered(self, words: str) -> None:
        """No controller: nothing changes on the wire. Its absence is logged once, not at every try."""
        parts = self._parts
        if words != self._away_words:
            parts.log.event("controller-away", level="warning", why=words)
        self._away_words = words
        parts.ledger.again()
        until_read = self.holding.read_due - parts.clock.monotonic()
        parts.clock.wait(max(0.0, min(self._away.next(), until_read)))

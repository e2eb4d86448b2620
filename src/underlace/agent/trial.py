"""A manifest on trial: fetched, applied, confirmed and kept, or taken back."""

from __future__ import annotations

from contextlib import suppress

from underlace.agent.apply import DeviceFault
from underlace.agent.cache import Candidate
from underlace.agent.client import Refusal, Unreachable
from underlace.agent.clock import Backoff
from underlace.agent.desired import Desired, check_bodies, check_manifest, load
from underlace.agent.holding import Holding
from underlace.agent.parts import Parts
from underlace.agent.rejection import Rejection
from underlace.model.diagnostic import Diagnostic, Refused, Severity
from underlace.model.wire import DesiredRequest, FragmentRequest, Manifest, Outcome

TRIES = 3
"""Times that an apply may be interrupted (killed, power cut) before its manifest counts as the cause."""

BATCH = 200
"""Fragments asked for at once, so that an answer stays small."""

CONFIRM_POLL = 1.0
"""Seconds between two questions whether the applied state is confirmed."""


class Trial:
    """Carries out manifests, one at a time. The device is never left with an undecided one."""

    def __init__(self, parts: Parts, holding: Holding, rejection: Rejection) -> None:
        self._parts, self._holding, self._rejection = parts, holding, rejection
        self._interrupted: Candidate | None = None

    def resume(self) -> bool:
        """After a start: whether a manifest was left undecided. One that was so too often is rejected."""
        candidate = self._parts.cache.candidate()
        if candidate is None:
            return False
        if candidate.manifest.digest == self._holding.digest:  # ended right after the decision, or within an upgrade
            self._drop()
            return True
        self._interrupted = candidate
        if candidate.tries >= TRIES and not self._rejection.blocks(candidate.manifest.digest):
            self._parts.tell(self._interrupted_finding(candidate))
            self._rejection.add(candidate.manifest.digest)
        return True

    def take(self, manifest: Manifest) -> None:
        """Carry out what the controller wants. Raises Unreachable or Refusal only while the device is untouched."""
        if manifest.digest == self._holding.digest and manifest.device == self._parts.config.device:
            self._same(manifest)
            return
        if self._rejection.blocks(manifest.digest):
            self._parts.clock.wait(CONFIRM_POLL)  # it was not asked for
            return
        try:
            desired: Desired | None = self._fetch(manifest)
        except Refused as refused:
            self._reject(manifest.digest, refused.diagnostics)
            return
        except OSError as error:
            self._reject(manifest.digest, (self._parts.disk_fault("keep fragments", error),))
            return
        self._carry_out(desired)

    def bring(self) -> None:
        """The confirmed state as this release renders it, if an upgrade waits for that."""
        if self._holding.upgrade_waits:
            self._carry_out(self._holding.good)

    def _carry_out(self, desired: Desired | None) -> None:
        while desired is not None:
            desired = self._settle(desired) if self._apply(desired) else None

    def _same(self, manifest: Manifest) -> None:
        """What is wanted is what is confirmed, perhaps under another revision."""
        self._rejection.clear()
        self._drop()
        self._holding.renumber(manifest)
        self._holding.tell_state(self._holding.restore())
        self._holding.save()

    def _fetch(self, manifest: Manifest) -> Desired:
        """Get what is lacking and render. Raises Refused, OSError, Unreachable or Refusal; touches no device."""
        check_manifest(manifest, self._parts.config.device)
        cache = self._parts.cache
        lacking = cache.lacking(manifest.scopes.values())
        self._parts.tell_cache()
        for start in range(0, len(lacking), BATCH):
            asked = tuple(lacking[start : start + BATCH])
            sent = self._parts.controller.fragments(FragmentRequest(asked))
            cache.add(check_bodies(manifest.device, sent.bodies, asked))
        bodies = cache.bodies(manifest)
        if bodies is None:
            raise OSError("fragments that were just written cannot be read back")
        return load(manifest, bodies, self._parts.driver)

    def _apply(self, desired: Desired) -> bool:
        """Whether the device took it; if not, it holds the last good state again and the manifest is rejected."""
        parts = self._parts
        parts.log.event("apply", revision=desired.manifest.revision, digest=desired.digest)
        try:
            self._holding.begin()
            parts.cache.begin(Candidate(desired.manifest, self._tries(desired.digest)))
        except DeviceFault as fault:
            self._give_up(desired, fault.found)
            return False
        except OSError as error:
            self._give_up(desired, parts.disk_fault("note what it is about to apply", error))
            return False
        result = parts.applier.reach(desired.items, desired.scopes_of)
        if not result.ok:
            self._give_up(desired, *result.found)
        return result.ok

    def _settle(self, desired: Desired) -> Desired | None:
        """Wait until the applied state is confirmed, replaced or out of time. What is to be applied instead."""
        parts = self._parts
        parts.ledger.state(Outcome.APPLIED, desired.manifest)
        deadline = parts.clock.monotonic() + desired.manifest.confirm_within
        pauses, words = Backoff(0.2, 2.0), "the controller did not confirm"
        while True:
            left = deadline - parts.clock.monotonic()
            try:
                if self._confirmed(desired, left):
                    self._rejection.clear()
                    self._holding.keep(desired)
                    return None
                newer = self._newer(desired, left)
                pauses.reset()
            except (Unreachable, Refusal) as no:
                newer, words = None, str(no)
                parts.clock.wait(min(pauses.next(), max(0.0, left)))
            if newer is not None and newer.digest == self._holding.digest:
                self._withdraw(newer)
                return None
            if newer is not None and (replacement := self._replacement(newer)) is not None:
                return replacement
            if parts.stopping:
                self._take_back_at_stop()
                return None
            if parts.clock.monotonic() >= deadline:
                self._give_up(desired, self._unconfirmed(desired, words))
                return None

    def _confirmed(self, desired: Desired, left: float) -> bool:
        parts = self._parts
        limit = min(parts.config.request_timeout, max(0.5, left))
        receipt = parts.controller.report(parts.ledger.report(), limit)
        parts.ledger.delivered()
        return receipt.confirmed == desired.digest

    def _newer(self, desired: Desired, left: float) -> Manifest | None:
        """What the controller wants instead by now; the question also paces the waiting."""
        parts = self._parts
        wait = min(CONFIRM_POLL, max(0.0, left))
        limit = min(parts.config.request_timeout, max(0.5, left))
        asked = parts.clock.monotonic()
        newer = parts.controller.desired(DesiredRequest(desired.digest, wait), limit)
        if newer is None:
            parts.clock.wait(max(0.0, asked + wait - parts.clock.monotonic()))
        return None if newer is None or newer.digest == desired.digest else newer

    def _replacement(self, newer: Manifest) -> Desired | None:
        """The manifest that replaces an unconfirmed one, ready to be applied; None while it cannot be had."""
        try:
            return self._fetch(newer)
        except Refused as refused:
            self._parts.tell(*refused.diagnostics)
        except (Unreachable, Refusal, OSError) as no:
            self._parts.log.event("replacement-not-fetched", level="warning", error=str(no))
        self._parts.clock.wait(CONFIRM_POLL)
        return None

    def _give_up(self, desired: Desired, *found: Diagnostic) -> None:
        """Revert and reject."""
        parts = self._parts
        parts.tell(*found)
        parts.log.event("revert", level="warning", revision=desired.manifest.revision, digest=desired.digest)
        if desired.digest == self._holding.digest:  # an upgrade: what is wanted stays, as it was rendered before
            self._reverted(Outcome.HELD)
            return
        self._rejection.add(desired.digest)
        self._reverted(Outcome.REVERTED)

    def _reject(self, digest: str, found: tuple[Diagnostic, ...]) -> None:
        """Refuse a manifest that the device never saw."""
        self._parts.tell(*found)
        self._rejection.add(digest)
        good = self._holding.good
        outcome = Outcome.REVERTED if self._holding.sound else Outcome.FAILED
        self._parts.ledger.state(outcome, good.manifest if good and self._holding.sound else None)

    def _withdraw(self, wanted: Manifest) -> None:
        """The controller wants the last good state back: nobody is to blame."""
        self._holding.renumber(wanted)
        self._reverted(Outcome.HELD)

    def _take_back_at_stop(self) -> None:
        """An unconfirmed state never outlives the agent that watches over it."""
        self._parts.tell(
            self._parts.finding(
                "apply-stopped",
                "The agent was stopped before the state it had applied was confirmed.",
                f"{self._parts.config.device} is back at its last good state.",
                "Nothing: the agent applies the change again after its start.",
                Severity.WARNING,
            )
        )
        self._reverted(Outcome.REVERTED)

    def _reverted(self, outcome: Outcome) -> None:
        """Bring the last good state back and have the next report say so."""
        result = self._holding.restore(restart=True)
        self._parts.tell(*result.found)
        good = self._holding.good
        if result.ok:
            self._parts.ledger.state(outcome, good.manifest if good else None)
            self._drop()
        else:
            self._parts.ledger.state(Outcome.FAILED, None)

    def _unconfirmed(self, desired: Desired, words: str) -> Diagnostic:
        manifest = desired.manifest
        return self._parts.finding(
            "apply-not-confirmed",
            "A change was not confirmed in time and was taken back.",
            f"{self._parts.config.device} applied revision {manifest.revision} and heard no confirmation within "
            f"{manifest.confirm_within:g} s; last: {words}.",
            "Check that the change leaves the management network alone and that the controller runs; "
            "the agent tries again by itself later, or at once on SIGHUP.",
        )

    def _interrupted_finding(self, candidate: Candidate) -> Diagnostic:
        device, revision = self._parts.config.device, candidate.manifest.revision
        return self._parts.finding(
            "apply-interrupted",
            "An apply was interrupted again and again.",
            f"The agent on {device} ended {candidate.tries} times while it applied revision {revision}, "
            "or waited for its confirmation.",
            "Read the logs of agent and system on the device for why it ended, then plan the change again.",
        )

    def _tries(self, digest: str) -> int:
        """How often this manifest has been begun, this time included."""
        before, self._interrupted = self._interrupted, None
        return before.tries + 1 if before is not None and before.manifest.digest == digest else 1

    def _drop(self) -> None:
        self._interrupted = None
        with suppress(OSError):  # a candidate left on disk only costs a count at the next start
            self._parts.cache.drop_candidate()

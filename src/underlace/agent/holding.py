"""The state that a device has to hold between decisions, and how it is kept there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from underlace.agent.apply import DeviceFault, Result
from underlace.agent.clock import Backoff
from underlace.agent.desired import Desired, load
from underlace.agent.neighbourhood import watch
from underlace.agent.parts import Parts
from underlace.agent.upgrade import Upgrade
from underlace.diff.change import changes
from underlace.drivers.protocol import Items
from underlace.model.change import Key
from underlace.model.diagnostic import Refused, Severity
from underlace.model.fact import BASE
from underlace.model.wire import Manifest, Outcome

RESTART_ANSWER = 30.0
"""Seconds that a restarted routing service has to answer again."""

DRIFT_SHOWN = 10
"""Drifted items that are named one by one."""

RETRY_FIRST = 2.0
"""Seconds before the next look at a device that could not be brought to its state; doubles up to read_interval."""


class Holding:
    """`good`: the last confirmed state. `sound`: the device held what it should when last looked at.

    Before anything was ever confirmed there is no good state, and then the device is left as it was found: an agent
    that lost its cache must not clear a device that carries traffic. While a first manifest is tried, `_found` is
    what the device held before; it is what a revert returns to. While an upgrade waits, that is what was found, too.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.good: Desired | None = None
        self.sound = True
        self.read_due = 0.0
        self._found: Items | None = None
        self._upgrade = Upgrade(parts)
        self._kept = True
        self._restarted = False
        self._retries = Backoff(RETRY_FIRST, parts.config.read_interval)

    @property
    def digest(self) -> str:
        return self.good.digest if self.good else ""

    @property
    def upgrade_waits(self) -> bool:
        """Whether the device holds the good state as a former release has configured it."""
        return self._upgrade.pending is not None

    def load(self) -> None:
        """Take up the last good state from the cache, if all of it is there."""
        kept = self._parts.cache.good()
        if kept is None:
            return
        try:
            self.good = load(kept.manifest, kept.bodies, self._parts.driver)
        except Refused as unusable:
            self._parts.tell(*unusable.diagnostics)

    def recover(self, interrupted: bool) -> None:
        """After a start: bring the device back to the last good state; nothing is done where it is in place.

        interrupted: an undecided manifest may be on the device, so this is a revert.
        """
        if not self._look() or self.good is None:
            return
        if not interrupted:
            self._upgrade.look(self.good, self._parts.applier.known())
        result = self.restore(restart=interrupted)
        if result.ok and result.operations:
            self._unsave()
            self._parts.tell(
                self._parts.finding(
                    "state-restored",
                    "The agent restored the last good state when it started.",
                    f"{self._parts.config.device} differed from revision {self.good.manifest.revision}; "
                    f"{result.operations} changes brought it back.",
                    "Nothing, if the device was rebooted, rebuilt or interrupted, or its agent upgraded; else look "
                    "for who changed it.",
                    Severity.WARNING,
                )
            )
        self._state(result)
        if result.ok and not self.upgrade_waits:
            self._note_rendering(self.good)
        self.save()

    def inspect(self) -> None:
        """The full read on the timer: what has drifted is mended and reported."""
        target, was_sound = self._target(), self.sound
        if not self._look():
            return
        if target is None:
            self.sound = True
            return
        drifted = [change.key for change in changes(self._parts.applier.known(), target)]
        if drifted or not was_sound:
            result = self.restore()
            if was_sound:
                self._tell_drift(self.scopes_of(drifted), result)
            self._state(result)
        self.save()

    def begin(self) -> None:
        """Something else is about to be tried. Raises DeviceFault when there would be no way back."""
        if self.good is None and self._found is None:
            self._found = dict(self._parts.applier.read())

    def restore(self, restart: bool = False) -> Result:
        """Bring the device back. restart: after two failures restart the routing service, once until it is sound."""
        target = self._target()
        if target is None:
            return Result(True)
        applier = self._parts.applier
        result = applier.reach(target, self.scopes_of)
        if not result.ok:
            result = _after(result, applier.reach(target, self.scopes_of))
        if not result.ok and restart and self._restart():
            result = _after(result, applier.reach(target, self.scopes_of))
        self.sound = result.ok
        if result.ok:
            self._restarted = False
            self._retries.reset()
            if self.good is None:
                self._found = None
        else:
            self.read_due = self._parts.clock.monotonic() + self._retries.next()
        return result

    def keep(self, desired: Desired) -> None:
        """The device holds this state and it is confirmed."""
        if self.upgrade_waits:  # the same manifest may be in the boot files as it was rendered before
            self._unsave()
        self.good, self._found, self.sound, self._restarted = desired, None, True, False
        self._upgrade.done()
        self._retries.reset()
        self._keep()
        self._parts.ledger.state(Outcome.HELD, desired.manifest)
        self.save()

    def renumber(self, manifest: Manifest) -> None:
        """The same state under another revision."""
        if self.good is not None and self.good.manifest != manifest:
            self.good = Desired(manifest, self.good.objects, self.good.items, self.good.driver)
            self._keep()

    def save(self) -> None:
        """Write boot files for the good state unless they are written; never for any other state (hazards 19)."""
        if self.good is None or not self.sound or self.upgrade_waits:
            return
        if not self._kept:
            self._keep()
        if not self._kept or self._parts.cache.saved() == self.digest:
            return
        try:
            self._parts.applier.save(self.good.items)
            self._parts.cache.mark_saved(self.digest)
        except DeviceFault as fault:
            self._parts.tell(fault.found)
        except OSError as error:
            self._parts.tell(self._parts.disk_fault("note that boot files are written", error))

    def scopes_of(self, keys: Iterable[Key]) -> Mapping[Key, str]:
        return self.good.scopes_of(keys) if self.good else dict.fromkeys(keys, BASE)

    def tell_state(self, result: Result) -> None:
        """Have the next report say whether the device holds the good state."""
        self._state(result)

    def _target(self) -> Items | None:
        if self._upgrade.pending is not None:
            return self._upgrade.pending
        return self.good.items if self.good else self._found

    def _look(self) -> bool:
        """A full read; whether the device answered."""
        parts = self._parts
        try:
            parts.applier.read()
        except DeviceFault as fault:
            self.read_due = parts.clock.monotonic() + self._retries.next()
            self.sound = False
            self._state(Result(False, 0, (fault.found,)))
            return False
        self.read_due = parts.clock.monotonic() + parts.config.read_interval
        with suppress(DeviceFault):  # only words for the report
            parts.ledger.os_version = parts.applier.version()
        watch(parts)
        return True

    def _state(self, result: Result) -> None:
        self._parts.tell(*result.found)
        if self.good is None:
            return
        if result.ok:
            self._parts.ledger.state(Outcome.HELD, self.good.manifest)
        else:
            self._parts.ledger.state(Outcome.FAILED, None)

    def _tell_drift(self, scopes: Mapping[Key, str], result: Result) -> None:
        names = sorted(set(scopes.values()))
        self._parts.ledger.drifted(names)
        keys = ", ".join("/".join(key) for key in sorted(scopes)[:DRIFT_SHOWN])
        more = f" and {len(scopes) - DRIFT_SHOWN} more" if len(scopes) > DRIFT_SHOWN else ""
        if result.ok:
            code, summary = ("drift-mended", "Owned state had been changed by someone else, and was put back.")
        else:
            code, summary = ("drift-found", "Owned state was changed by someone else, and cannot be put back.")
        self._parts.tell(
            self._parts.finding(
                code,
                summary,
                f"On {self._parts.config.device}, in {', '.join(names)}: {keys}{more}.",
                remedy="Find out who changes the device beside Underlace; say in the intent what should be there.",
                severity=Severity.WARNING,
            )
        )

    def _keep(self) -> None:
        parts, good = self._parts, self.good
        if good is None:
            return
        try:
            text = parts.driver.text(good.items)
        except Exception as bug:
            text = [f"# driver {parts.driver.name} failed to print this state: {bug!r}"]
        try:
            if not self.upgrade_waits:
                self._upgrade.mark(good)
            parts.cache.keep(good.manifest, text)
            self._kept = True
        except OSError as error:
            self._kept = False
            parts.tell(parts.disk_fault("keep the confirmed state", error))

    def _note_rendering(self, good: Desired) -> None:
        try:
            self._upgrade.mark(good)
        except OSError as error:
            self._parts.tell(self._parts.disk_fault("note how it configured the device", error))

    def _unsave(self) -> None:
        """The device did not come back as it should: its boot files may be gone with a rebuilt disk."""
        try:
            self._parts.cache.mark_saved("")
        except OSError as error:
            self._parts.tell(self._parts.disk_fault("note that boot files are to be written", error))

    def _restart(self) -> bool:
        parts = self._parts
        if parts.restart is None or self._restarted:
            return False
        self._restarted = True
        parts.log.event("restart", level="warning", command=list(parts.config.restart_command))
        try:
            parts.restart()
            self._await_answer()
        except OSError as error:
            parts.tell(
                parts.finding(
                    "restart-failed",
                    "The routing service could not be restarted.",
                    f"On {parts.config.device}: {error}",
                    "Log in by the management network and restart it by hand.",
                )
            )
        return True

    def _await_answer(self) -> None:
        """Until the device can be read again, or the next try will say that it cannot."""
        clock = self._parts.clock
        deadline = clock.monotonic() + RESTART_ANSWER
        while clock.monotonic() < deadline:
            try:
                self._parts.applier.read()
                return
            except DeviceFault:
                clock.wait(0.5)


def _after(first: Result, second: Result) -> Result:
    """Two tries as one: the later one decides; what the first one found matters only if both failed."""
    found = () if second.ok else tuple(dict.fromkeys((*first.found, *second.found)))
    return Result(second.ok, first.operations + second.operations, found)

"""Bringing a device to a state: compare, order, carry out, read back what was touched, compare again.

          ┌────────────── again, after a full read ◄──────────────┐
          ▼                                                        │ refused, silent, or other
actual ──diff──► changes ──order──► door.run ──► door.read(touched) ──► than what was asked for
                    └─ none: the device holds it; nothing is done
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from traceback import format_exception
from typing import NamedTuple

from underlace.agent.clock import Clock
from underlace.agent.log import Log
from underlace.diff.change import changes
from underlace.diff.order import ordered
from underlace.drivers.protocol import Door, Duplicate, Failure, Items, Limited, Observer
from underlace.model.change import Change, Key, Keyed, Verb
from underlace.model.diagnostic import Diagnostic, Where

PAUSES = (0.1, 0.5)
"""Seconds before the second and the third try. Short: meanwhile the device is between two states."""

HANGS = 5.0
"""A try that ended in silence after this many seconds met a device that hangs, and is not repeated: a revert has to
come to the restart of a wedged routing service while that still helps."""

SHOWN = 10
"""Differences that are named one by one in a report; a wedged daemon may leave thousands."""

ScopesOf = Callable[[Iterable[Key]], Mapping[Key, str]]


class Result(NamedTuple):
    """How it went. operations: changes handed to the device, over all tries."""

    ok: bool
    operations: int = 0
    found: tuple[Diagnostic, ...] = ()


class DeviceFault(Exception):
    """The device did not answer, or said what its driver cannot read; `found` has the words."""

    def __init__(self, found: Diagnostic) -> None:
        super().__init__(found.detail)
        self.found = found


class Applier:
    """Holds the one door to the device, and what the device held when it was last read."""

    def __init__(self, device: str, door: Door, clock: Clock, log: Log) -> None:
        self._device, self._door, self._clock, self._log = device, door, clock, log
        self._actual: Items | None = None

    def read(self) -> Items:
        """Everything owned, from the device. Raises DeviceFault."""
        self.forget()
        with self._faults():
            self._actual = self._door.read()
        return self._actual

    def known(self) -> Items:
        """What the device held when last seen; a full read when that is in doubt. Raises DeviceFault."""
        return self.read() if self._actual is None else self._actual

    def duplicates(self) -> Sequence[Duplicate]:
        """Addresses that several hosts claim, as of the last full read."""
        return self._door.duplicates() if isinstance(self._door, Observer) else ()

    def lacks(self) -> Mapping[str, str]:
        """What the device cannot do of what its OS can. Raises DeviceFault."""
        with self._faults():
            return self._door.lacks() if isinstance(self._door, Limited) else {}

    def forget(self) -> None:
        """Distrust what is known: the next step begins with a full read."""
        self._actual = None

    def reach(self, target: Items, scopes_of: ScopesOf) -> Result:
        """Make the device hold exactly target. What the device or the driver raises comes back as findings."""
        done, refused, found = 0, list[Failure](), list[Diagnostic]()
        for pause in (0.0, *PAUSES):
            if pause:
                self._clock.wait(pause)
            began = self._clock.monotonic()
            try:
                known = self.known()
                with self._faults():
                    plan = ordered(known, target)
                if not plan:
                    return Result(True, done)
                done += len(plan)
                failures = self._carry_out(plan)
            except DeviceFault as fault:
                self.forget()
                refused, found = [], [fault.found]
                if self._clock.monotonic() - began >= HANGS:
                    break
                continue
            left = changes(self.known(), target)
            if not failures and not left:
                return Result(True, done)
            found = self._name(failures, left, scopes_of)
            self.forget()
            if failures and failures == refused:
                break  # the same words twice: a third time would only prolong the half-way state
            refused = failures
        return Result(False, done, tuple(found))

    def life(self) -> str:
        """A name for the time since the device's boot. Raises DeviceFault."""
        with self._faults():
            return self._door.life()

    def version(self) -> str:
        """The OS version. Raises DeviceFault."""
        with self._faults():
            return self._door.version()

    def save(self, items: Items) -> None:
        """Write boot files. Raises DeviceFault."""
        with self._faults():
            self._door.save(items)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Everything that a door may raise, as a finding; a bug in a driver must not leave a device half-way."""
        try:
            yield
        except OSError as error:
            raise DeviceFault(self._silent(error)) from error
        except Exception as error:
            self._log.event("driver-failed", level="error", error="".join(format_exception(error)))
            raise DeviceFault(self._bug(error)) from error

    def _carry_out(self, plan: list[Change[Keyed]]) -> list[Failure]:
        """Run a plan and read back what it touched."""
        actual: dict[Key, Keyed] = dict(self.known())
        self.forget()  # until the device has been read again, nothing about it is known
        started = self._clock.monotonic()
        touched = {change.key for change in plan}
        with self._faults():
            failures = self._door.run(plan)
            read = self._door.read(touched)
        for key in touched:
            actual.pop(key, None)
        self._actual = actual | dict(read)
        seconds = round(self._clock.monotonic() - started, 3)
        self._log.event("changes-run", operations=len(plan), refused=len(failures), seconds=seconds)
        return failures

    def _name(
        self, failures: Collection[Failure], left: Collection[Change[Keyed]], scopes_of: ScopesOf
    ) -> list[Diagnostic]:
        """Words for what was refused and for what is other than asked for. A refusal explains the rest."""
        if failures:
            scopes = scopes_of(failure.key for failure in failures)
            return [self._refused(failure, scopes[failure.key]) for failure in failures]
        shown = list(left)[:SHOWN]
        scopes = scopes_of(change.key for change in shown)
        found = [self._other(change, scopes[change.key]) for change in shown]
        if len(left) > len(shown):
            self._log.event("differences-not-shown", level="warning", count=len(left) - len(shown))
        return found

    def _refused(self, failure: Failure, scope: str) -> Diagnostic:
        return Diagnostic(
            Where(device=self._device),
            "device-refused",
            "The device refused a change.",
            f"{'/'.join(failure.key)} in scope {scope} on {self._device}: `{failure.command}` "
            f"was answered with: {failure.answer.strip() or 'nothing'}",
            f"Run the command on {self._device} by hand to see what stands in its way, then correct the intent "
            "behind the scope (`underlace explain` names it).",
            related=(scope,),
        )

    def _other(self, change: Change[Keyed], scope: str) -> Diagnostic:
        what = {
            Verb.CREATE: "is missing after it was made",
            Verb.UPDATE: f"reads back as {change.before!r}, not as {change.after!r}",
            Verb.DELETE: "is still there after it was removed",
        }[change.verb]
        return Diagnostic(
            Where(device=self._device),
            "device-differs",
            "The device took a change but does not hold it.",
            f"{'/'.join(change.key)} in scope {scope} on {self._device} {what}.",
            f"Look on {self._device} for another program that manages the same thing; "
            "if there is none, report it as a bug with the OS version.",
            related=(scope,),
        )

    def _silent(self, error: OSError) -> Diagnostic:
        return Diagnostic(
            Where(device=self._device),
            "device-silent",
            "The device does not answer its agent.",
            f"A command on {self._device} failed: {error or type(error).__name__}",
            f"Check on {self._device} that the routing daemons run and that its disk and memory are not full.",
        )

    def _bug(self, error: Exception) -> Diagnostic:
        return Diagnostic(
            Where(device=self._device),
            "driver-failed",
            "The driver failed on what the device said.",
            f"On {self._device}: {error!r}",
            "Report it as a bug with the agent's log and the OS version.",
        )

"""Between controller and agents: what a device should hold, bodies by hash, and what it says that it holds.

change ──► manifest {scope: hash} ──► fragments ──► agent applies ──► report ──► held, quarantine, receipt
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

import msgspec
import structlog
from sqlalchemy import Connection

from underlace.access import CONTROLLER, Actor, Role, forbidden
from underlace.controller import settlement
from underlace.controller.run import Engine, Run
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.fact import FragmentKey
from underlace.model.wire import Fragments, Manifest, Outcome, Receipt, Report, manifest_digest
from underlace.store import devices, fragments, ledger, numbers
from underlace.store.devices import DeviceRow
from underlace.store.ledger import Counters, Revision

log = structlog.get_logger()

Notify = Callable[[frozenset[str]], None]


class Rollout:
    """The agents' side of the controller."""

    def __init__(self, engine: Engine, confirm_within: float = 60.0) -> None:
        self._engine = engine
        self._confirm_within = confirm_within
        self._listeners: list[Notify] = []
        self._changed = threading.Condition()
        self._looking = threading.Lock()
        self._seen = 0

    def on_desired(self, notify: Notify) -> None:
        """Call `notify` with the devices whose desired state changed, after each commit, in the thread that made it.
        It must not block."""
        self._listeners.append(notify)

    def announce(self, changed: frozenset[str]) -> None:
        """Desired state of these devices changed, and that is durable."""
        if not changed:
            return  # what others change, they tell: to look after each change of ours would cost more than the change
        if self._engine.store.shared:
            self._catch_up()
        else:
            self._tell(changed)

    def follow(self) -> None:
        """Announce what other controllers of the store change, too."""
        with self._engine.store.read() as c:
            self._seen = ledger.counters(c).revision
        self._engine.store.listen(self._catch_up)

    def _catch_up(self) -> None:
        """Announce all that was committed since the last look, by whomever; each revision once."""
        with self._looking:
            with self._engine.store.read() as c:
                newest = ledger.counters(c).revision
                changed = devices.desired_since(c, self._seen)
            self._seen = newest
            self._tell(changed)

    def _tell(self, changed: frozenset[str]) -> None:
        if not changed:
            return
        for notify in self._listeners:
            notify(changed)
        with self._changed:
            self._changed.notify_all()

    def contact(self, actor: Actor) -> AbstractContextManager[None]:
        """The device is heard, and present for as long as this is entered."""
        return self._engine.contacts.present(_own(actor))

    def desired(self, actor: Actor, have: str) -> Manifest | None:
        """The manifest of the device that asks, or None when it is the one that it has.

        A state may be desired again under a newer revision. A device that holds it is told so: only its word about
        that revision shows that it has let go of what was desired between (law 8).
        """
        device = _own(actor)
        if heard := self._engine.contacts.due():
            self._engine.store.write(lambda c: devices.hear(c, heard))
        with self._engine.store.read() as c:
            manifest = self._manifest(c, device)
            row = devices.one(c, device)
        if manifest.digest == have and not (row is not None and _to_renumber(row, have)):
            return None
        if row is not None and row.offered < manifest.revision:
            # Durable before it leaves: from now on the device may hold what is in there (law 8).
            return self._engine.store.write(lambda c: self._offer(c, device))
        return manifest

    def wait(self, actor: Actor, have: str, patience: float) -> Manifest | None:
        """Like `desired`, but wait for a change. One thread for each waiter: for tests and tools."""
        end = time.monotonic() + patience
        while True:
            with self._changed:
                manifest = self.desired(actor, have)
                if manifest is not None or not self._changed.wait(max(0.0, end - time.monotonic())):
                    return manifest

    def _offer(self, c: Connection, device: str) -> Manifest:
        manifest = self._manifest(c, device)
        devices.offer(c, device, manifest.revision)
        return manifest

    def _manifest(self, c: Connection, device: str) -> Manifest:
        scopes = fragments.desired(c, device)
        row = devices.one(c, device)
        revision = 0 if row is None else row.desired
        return Manifest(device, revision, manifest_digest(scopes), scopes, self._confirm_within)

    def fragments(self, actor: Actor, hashes: Iterable[str]) -> Fragments:
        """Bodies of fragments that the device should hold; refused when one of them is no longer desired."""
        device, wanted = _own(actor), set(hashes)
        with self._engine.store.read() as c:
            desired = fragments.desired(c, device)
            found = fragments.bodies(c, {FragmentKey(device, s): h for s, h in desired.items() if h in wanted})
        if wanted - found.keys():
            raise Refused([_stale(device)])
        return Fragments(found)

    def report(self, actor: Actor, report: Report) -> Receipt:
        """A device's word. An applied manifest is confirmed: its report shows that the controller is reached."""
        device = _own(actor)
        if report.device != device:
            raise Refused([forbidden(actor, f"report for {report.device}")])
        changed, news, known = self._engine.store.write(lambda c: self._take_in(c, report))
        self.announce(changed)
        note = log.info if news else log.debug
        note(
            "device-report",
            device=device,
            outcome=str(report.outcome),
            revision=report.revision,
            rejected=report.rejected[:12],
            drift=list(report.drift),
        )
        kept = known and report.outcome in (Outcome.APPLIED, Outcome.HELD)
        return Receipt(report.digest if kept else "")

    def _take_in(self, c: Connection, report: Report) -> tuple[frozenset[str], bool, bool]:
        """Write down what was said; returns the devices whose desired state this changes, because numbers became
        free, whether it is more than a sign of life, and whether it is about a manifest of ours."""
        before = devices.one(c, report.device) or DeviceRow(report.device)
        desired = fragments.desired(c, report.device)
        believed = _believed(before, report, desired)
        row = _updated(before, report, believed, ledger.stamp(self._engine.clock()))
        devices.write(c, row)
        fragments.set_held(c, report.device, self._held(c, before, report, believed, desired))
        news = replace(row, last_seen="") != replace(before, last_seen="")
        known = believed > 0 or report.digest == manifest_digest(report.scopes) == manifest_digest(desired)
        free = numbers.clear(c, report.device, row.confirmed)
        if not free:
            return frozenset(), news, known
        run = Run.start(self._engine, c, CONTROLLER)
        settlement.resume(run, free)
        message = f"numbers are free since {report.device} confirmed revision {row.confirmed}"
        return record_resumed(run, message), news, known

    def _held(
        self, c: Connection, row: DeviceRow, report: Report, believed: int, desired: Mapping[str, str]
    ) -> dict[str, str]:
        """What a device holds by its word. What it was never told to hold it cannot hold, whatever it says (law 4):
        that counts once it was delivered and said again."""
        if report.outcome is Outcome.FAILED:
            return {}
        if believed and believed == row.desired:
            return report.scopes
        told = fragments.desired_until(c, row.name, row.offered) if believed else {}
        return {s: h for s, h in report.scopes.items() if desired.get(s) != h or told.get(s) == h}


def record_resumed(run: Run, message: str) -> frozenset[str]:
    """Give a revision to what followed from numbers that became free."""
    if not run.fragments:
        return frozenset()
    run.stop_on_errors()
    ledger.write_revision(run.c, Revision(run.revision, run.at, run.actor.name, message))
    ledger.set_counters(run.c, Counters(run.revision, run.counters.next_id))
    return run.devices


def _to_renumber(row: DeviceRow, have: str) -> bool:
    """Whether the device holds what is desired, but spoke of an older revision."""
    return row.outcome == Outcome.HELD and row.digest == have and row.reported < row.desired


def _believed(row: DeviceRow, report: Report, desired: Mapping[str, str]) -> int:
    """The revision that a report stands for; 0 for one that is not about a manifest of ours.

    A revision that was never handed out to the device is of another life of the store, or made up: it must neither
    free a number (law 8) nor make anything Active.
    """
    if not 0 < report.revision <= row.offered or report.digest != manifest_digest(report.scopes):
        return 0
    if report.revision == row.desired and report.scopes != desired:
        return 0  # it names our revision, but something else than that holds
    return report.revision


def _updated(row: DeviceRow, report: Report, known: int, now: str) -> DeviceRow:
    confirmed = max(row.confirmed, known) if report.outcome is Outcome.HELD else row.confirmed
    return replace(
        row,
        confirmed=confirmed,
        reported=known,
        digest=report.digest,
        outcome=str(report.outcome),
        last_seen=now,
        agent_version=report.agent_version,
        driver=report.driver,
        os_version=report.os_version,
        diagnostics=msgspec.json.encode(report.diagnostics).decode(),
        drift=_drift(row, report),
        rejected=report.rejected,
        simulated=report.simulated,
    )


def _drift(row: DeviceRow, report: Report) -> str:
    """What had been changed by others and was mended, since the device holds the state that it reports."""
    before = msgspec.json.decode(row.drift, type=set[str]) if row.digest == report.digest else set()
    return msgspec.json.encode(sorted(before | set(report.drift))).decode()


def _own(actor: Actor) -> str:
    """The device that asks; nobody else has a manifest."""
    if actor.role is not Role.DEVICE:
        raise Refused([forbidden(actor, "ask for the desired state of a device")])
    return actor.name


def _stale(device: str) -> Diagnostic:
    return Diagnostic(
        Where(device=device),
        "fragment-stale",
        "A fragment is no longer desired",
        f"What {device} should hold has changed since it was told.",
        "Ask for the manifest again.",
    )

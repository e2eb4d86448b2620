"""The controller: all use cases over one store. The only writer of intent.

Every method takes the actor who asks and decides; what cannot be done raises Refused with every reason. Methods are
synchronous, may be called from any thread, and return when what they wrote is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import structlog

from underlace.access import CONTROLLER, Actor, Role, forbidden
from underlace.compiler import Why
from underlace.controller import change, compaction, devices, explain, history, maintenance, resources, status
from underlace.controller import plan as planning
from underlace.controller.compaction import Compacted
from underlace.controller.contact import Contacts
from underlace.controller.devices import Device
from underlace.controller.document import Document, Request, placed
from underlace.controller.history import ChangeItem, RevisionItem, VersionItem
from underlace.controller.live import Questions
from underlace.controller.maintenance import Difference
from underlace.controller.plan import Applied, Plan
from underlace.controller.resources import Item, Page
from underlace.controller.rollout import Notify, Rollout
from underlace.controller.run import Engine, Run
from underlace.controller.status import FabricStatus
from underlace.controller.survey import Found, Survey
from underlace.drivers.protocol import Driver
from underlace.kinds.base import AnyKind
from underlace.kinds.builtin import BUILTIN
from underlace.kinds.registry import KINDS
from underlace.live.board import Board
from underlace.live.exchange import Exchange
from underlace.live.live import Live
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import Ref
from underlace.model.wire import SILENT_AFTER, Fragments, Manifest, Receipt, Report
from underlace.store import ledger
from underlace.store.past import Place
from underlace.store.store import Store

log = structlog.get_logger()

T = TypeVar("T")

SIMULATED = "simulated"
"""Fact of a store: whether its fabric is a lab's (law 6)."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Controller:
    """`drivers` by the name of the OS that they are for. simulated: the fabric is a lab's; a store stays what it
    was made for. silent_after: seconds without a request of its agent after which a device is silent."""

    def __init__(
        self,
        store: Store,
        drivers: Mapping[str, Driver],
        kinds: Mapping[str, AnyKind] = KINDS,
        clock: Callable[[], datetime] = utc_now,
        simulated: bool = False,
        confirm_within: float = 60.0,
        silent_after: float = SILENT_AFTER,
    ) -> None:
        self._engine = Engine(store, kinds, drivers, clock, Contacts(clock, silent_after))
        self._rollout = Rollout(self._engine, confirm_within)
        self._survey = Survey(self._engine)
        self._simulated = simulated
        board = Board()
        self.live = Questions(self._engine, Live(board, clock, simulated))
        """What is asked of devices, and answered by them, at the moment."""
        exchange = Exchange(board)
        self._relay = store.relay(exchange.heard)
        if self._relay is not None:
            exchange.join(self._relay.say)
        self._start()

    def _start(self) -> None:
        """The first start writes what is built in, through the normal change path."""
        with self._engine.store.read() as c:
            known = ledger.facts(c).get(SIMULATED)
            empty = ledger.counters(c).revision == 0
        if known is None:
            said = str(self._simulated).lower()
            self._engine.store.write(lambda c: ledger.set_fact(c, SIMULATED, said))
        elif known != str(self._simulated).lower():
            raise Refused([_other_world(self._simulated)])
        if empty:
            put = tuple(Document(Ref(d.kind, d.tenant, d.name), d.spec, d.labels) for d in BUILTIN)
            self.apply(CONTROLLER, Request(put, message="built in"))
        self._rollout.follow()

    # Intent

    def plan(self, actor: Actor, request: Request) -> Plan:
        """What `apply` of the same request would do now. Nothing is kept."""

        def attempt(run: Run) -> Plan:
            change.carry_out(run, request)
            return planning.plan(run, request.native)

        return self._run(actor, request, attempt, keep=False)

    def apply(self, actor: Actor, request: Request) -> Applied:
        """Change intent: all of it, durably, or nothing. Refused when the plan that was agreed to does not hold."""
        changed: frozenset[str] = frozenset()

        def attempt(run: Run) -> Applied:
            nonlocal changed
            change.carry_out(run, request)
            planning.expect(run, request.expect)
            done = planning.applied(run, request.show, request.native)
            change.finish(run, request)
            changed = run.devices
            return done

        done = self._run(actor, request, attempt, keep=True)
        if done.digest:
            log.info(
                "intent-changed",
                actor=actor.name,
                revision=done.revision,
                resources=len(done.resources),
                devices=len(changed),
                message=request.message,
            )
        self._rollout.announce(changed)
        return done

    def _run(self, actor: Actor, request: Request, attempt: Callable[[Run], T], *, keep: bool) -> T:
        engine = self._engine
        if actor.role is Role.DEVICE:
            raise Refused([forbidden(actor, "change intent")])
        if actor.role is not Role.ADMIN and any(d.id is not None or d.allocated for d in request.put):
            raise Refused([forbidden(actor, "bring along ids and numbers")])
        submit = engine.store.write if keep else engine.store.rehearse
        try:
            return submit(lambda c: attempt(Run.start(engine, c, actor)))
        except Refused as refused:
            raise Refused(placed(refused.diagnostics, request)) from None

    def get(self, actor: Actor, ref: Ref) -> Item:
        return resources.get(self._engine, actor, ref)

    def find(
        self,
        actor: Actor,
        kind: str,
        tenant: str | None = None,
        labels: Mapping[str, str] | None = None,
        after: str | None = None,
        limit: int = 500,
    ) -> Page:
        """Resources of a kind that the actor may see, by tenant and name."""
        return resources.page(self._engine, actor, kind, tenant, labels, after, limit)

    def export(self, actor: Actor) -> Iterator[Document]:
        """All intent with ids and allocated numbers; `apply` of it to an empty store leads to the same bytes."""
        return maintenance.export(self._engine, actor)

    # What devices have to do with it

    def status(self, actor: Actor, revision: int | None = None) -> FabricStatus:
        """Of the whole fabric, or of what one revision changed."""
        return status.fabric_status(self._engine, actor, revision)

    def explain(self, actor: Actor, device: str, text: str = "") -> list[Why]:
        return explain.explain(self._engine, actor, device, text)

    def devices(self, actor: Actor) -> list[Device]:
        return devices.every(self._engine, actor)

    def device(self, actor: Actor, name: str) -> Device:
        return devices.one(self._engine, actor, name)

    def config(self, actor: Actor, name: str) -> list[str]:
        """The native configuration that the device should hold, line by line."""
        return devices.config(self._engine, actor, name)

    def forget(self, actor: Actor, name: str) -> None:
        """The device is dead: no number waits for it any more. Audited. Its certificates are identity's to revoke."""
        changed = devices.forget(self._engine, actor, name)
        log.warning("device-forgotten", actor=actor.name, device=name)
        self._rollout.announce(changed)

    # History

    def revisions(self, actor: Actor, limit: int = 100, before: int | None = None) -> list[RevisionItem]:
        return history.revisions(self._engine, actor, limit, before)

    def revision(self, actor: Actor, number: int) -> tuple[RevisionItem, list[ChangeItem]]:
        """A revision and what it wrote."""
        return history.revision(self._engine, actor, number)

    def history(self, actor: Actor, ref: Ref, limit: int = 100) -> list[ChangeItem]:
        return history.versions(self._engine, actor, ref, limit)

    def as_of(self, actor: Actor, revision: int) -> list[VersionItem]:
        """All intent as a revision left it."""
        return history.as_of(self._engine, actor, revision)

    def compact(self, actor: Actor, keep: timedelta, after: Place = Place()) -> Compacted:
        """Drop what intent was longer ago than `keep`, as much as one request may take. Audited."""
        return compaction.compact(self._engine, actor, keep, after)

    # Agents: the actor is the device

    def contact(self, actor: Actor) -> AbstractContextManager[None]:
        """Around each request of an agent: the device is heard, and present while it waits for the answer. Quick
        enough for an event loop."""
        return self._rollout.contact(actor)

    def desired(self, actor: Actor, have: str = "") -> Manifest | None:
        """What the device should hold, None when its manifest's digest is `have`. Never waits."""
        return self._rollout.desired(actor, have)

    def wait_desired(self, actor: Actor, have: str, wait: float) -> Manifest | None:
        """Like `desired`, but wait for a change, at most `wait` seconds. Keeps a thread busy: see `on_desired`."""
        return self._rollout.wait(actor, have, wait)

    def fragments(self, actor: Actor, hashes: Iterable[str]) -> Fragments:
        return self._rollout.fragments(actor, hashes)

    def report(self, actor: Actor, report: Report) -> Receipt:
        return self._rollout.report(actor, report)

    def on_desired(self, notify: Notify) -> None:
        """Have `notify` called with the devices whose desired state changed, after each commit; it must not block."""
        self._rollout.on_desired(notify)

    # The store

    def backup(self, actor: Actor, target: Path) -> None:
        """Write a consistent copy of the store to a new file; `restore.restore` takes it."""
        maintenance.back_up(self._engine, actor, target)

    def differences(self, actor: Actor) -> list[Difference]:
        """Where the stored fragments are not those of a full compile: law 7, or what an upgrade would change."""
        return maintenance.differences(self._engine, actor)

    def survey(self, actor: Actor) -> Found:
        """Begin to find out, beside everything else, what this release would configure otherwise; see `surveyed`."""
        return self._survey.start(actor)

    def surveyed(self, actor: Actor) -> Found:
        return self._survey.found(actor)

    def ready(self) -> bool:
        """Whether the store answers."""
        with self._engine.store.read() as c:
            return ledger.counters(c).revision > 0

    def close(self) -> None:
        if self._relay is not None:
            self._relay.close()
        self._survey.close()
        self._engine.store.close()


def _other_world(simulated: bool) -> Diagnostic:
    this, that = ("a lab", "a real fabric") if simulated else ("a real fabric", "a lab")
    return Diagnostic(
        Where(),
        "simulated-mixed",
        "A lab and a real fabric do not share a store",
        f"This controller is for {this}, but the store was made for {that}.",
        "Name another data directory.",
    )

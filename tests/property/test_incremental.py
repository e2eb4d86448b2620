"""Laws 3 and 7 on the real kinds and the real store: after any sequence of changes what is stored equals a compile
from nothing, and an export with its allocations leads to the same bytes elsewhere.

Of all kinds: over the run, objects of every kind of the registry are put, edited and deleted.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support.controlled import ADMIN, Rig, rig
from support.fabric_documents import (
    ALONE,
    FOUNDATION,
    OFTEN,
    SELDOM,
    START,
    STRATEGIES,
    SWITCHES,
    documents,
    nic_labels,
)
from underlace.controller.document import Document, Request
from underlace.kinds.registry import KINDS
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref
from underlace.model.wire import Outcome
from underlace.store import rows
from underlace.store.view import StoreView

DONE: set[tuple[str, str]] = set()
"""What was done to objects of which kind, and accepted, over all runs."""


class Fabric(RuleBasedStateMachine):
    """Changes of any kind, accepted or refused, while devices follow or fall behind."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.rig: Rig = rig(self.directory)

    @initialize()
    def start(self) -> None:
        self.attempt(Request(START))
        self.rig.hold_all()

    @rule(put=st.lists(documents, min_size=1, max_size=4), data=st.data())
    def change(self, put: list[Document], data: st.DataObject) -> None:
        unique = {d.ref: d for d in put}
        present = [r for r in self.present(OFTEN) if r not in unique]
        gone = data.draw(st.sets(st.sampled_from(present), max_size=2)) if present else set()
        self.attempt(Request(tuple(unique.values()), tuple(sorted(gone))))

    @rule(kind=st.sampled_from(sorted(KINDS)), data=st.data())
    def edit(self, kind: str, data: st.DataObject) -> None:
        """Something that is there becomes like any other of its kind."""
        put = data.draw(STRATEGIES[kind])
        if present := self.present(frozenset({kind})):
            put = Document(data.draw(st.sampled_from((put.ref, *present))), put.spec, put.labels)
        self.attempt(Request((put,)))

    @rule(labels=nic_labels, data=st.data())
    def label(self, labels: dict[str, str], data: st.DataObject) -> None:
        """The same server with other labels."""
        if present := self.present(frozenset({"server"})):
            ref = data.draw(st.sampled_from(present))
            self.attempt(Request((Document(ref, self.rig.controller.get(ADMIN, ref).spec, labels),)))

    @rule(kinds=st.sampled_from((OFTEN, OFTEN, SELDOM)), data=st.data())
    def delete(self, kinds: frozenset[str], data: st.DataObject) -> None:
        if present := self.present(kinds):
            gone = data.draw(st.sets(st.sampled_from(present), min_size=1, max_size=2))
            self.attempt(Request(delete=tuple(sorted(gone))))

    @rule(kind=st.sampled_from(sorted(KINDS)), data=st.data())
    def delete_with_all_that_stands_on_it(self, kind: str, data: st.DataObject) -> None:
        """In the extreme a site: the whole fabric goes in one change."""
        if not (present := self.present(frozenset({kind}))):
            return
        gone = {data.draw(st.sampled_from(present))}
        with self.rig.store.read() as c:
            view = StoreView(c, KINDS)
            refs = {
                r.ref: {x.target for x in KINDS[r.ref.kind].refs(r) if not x.soft or r.ref.kind == "link"}
                for r in map(view.parse, list(rows.every(c)))
            }
        while more := {ref for ref, targets in refs.items() if targets & gone} - gone:
            gone |= more
        self.attempt(Request(delete=tuple(sorted(gone))))

    @rule(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    def come_change_and_go(self, kinds: list[str]) -> None:
        for kind in kinds:
            first, edit = ALONE[kind]
            second = Document(first.ref, {**first.spec, **edit})
            for request in (Request((first,)), Request((second,)), Request(delete=(first.ref,))):
                self.attempt(request)
                self.rig.check_derived()

    @precondition(lambda self: len(self.present(frozenset({"switch", "vpc"}))) < len(FOUNDATION))
    @rule()
    def put_back_what_others_stand_on(self) -> None:
        present = self.present(frozenset(KINDS))
        self.attempt(Request(tuple(d for d in START if d.ref not in present and d.ref.kind not in OFTEN)))

    @rule(data=st.data(), at_once=st.booleans())
    def reuse_a_number(self, data: st.DataObject, at_once: bool) -> None:
        """Delete a V-Net and ask for its VNI again, before or after its devices let go of it."""
        if not (present := self.present(frozenset({"vnet"}))):
            return
        old = data.draw(st.sampled_from(present))
        item = self.rig.controller.get(ADMIN, old)
        if "vni" not in item.status.allocated:
            return
        spec = {**item.spec, "vni": item.status.allocated["vni"]}
        again = Document(Ref("vnet", old.tenant, f"{old.name}x"[-6:]), spec)
        if at_once:
            self.attempt(Request((again,), (old,)))
        else:
            self.attempt(Request(delete=(old,)))
            self.attempt(Request((again,)))

    @rule(device=st.sampled_from(SWITCHES))
    def follow(self, device: str) -> None:
        if self.rig.fetch(device) is not None or device in self.rig.said:
            self.rig.say(device, Outcome.HELD)

    @rule(device=st.sampled_from(SWITCHES))
    def fall_behind(self, device: str) -> None:
        self.rig.fetch(device)

    @rule(device=st.sampled_from(SWITCHES))
    def forget(self, device: str) -> None:
        if device in {d.name for d in self.rig.controller.devices(ADMIN)}:
            self.rig.controller.forget(ADMIN, device)
            self.rig.said.pop(device, None)

    def attempt(self, request: Request) -> None:
        """A refused change leaves nothing behind; a plan says what apply then does."""
        before = self.rig.hashes()
        try:
            plan = self.rig.controller.plan(ADMIN, request)
        except Refused:
            plan = None
        assert self.rig.hashes() == before
        try:
            done = self.rig.controller.apply(ADMIN, request)
        except Refused:
            assert plan is None
            assert self.rig.hashes() == before
            return
        assert plan is not None
        assert (plan.digest, plan.resources, plan.numbers) == (done.digest, done.resources, done.numbers)
        assert tuple(d.device for d in plan.devices) == done.devices
        DONE.update((change.action, change.kind) for change in done.resources)

    def present(self, kinds: frozenset[str]) -> list[Ref]:
        with self.rig.store.read() as c:
            found = [Ref(*row) for row in c.exec_driver_sql("SELECT kind, tenant, name FROM resource")]
        return sorted(r for r in found if r.kind in kinds)

    @invariant()
    def incremental_equals_full(self) -> None:
        self.rig.check_derived()

    def teardown(self) -> None:
        try:
            self.export_leads_to_the_same_bytes()
        finally:
            self.rig.close()
            shutil.rmtree(self.directory)

    def export_leads_to_the_same_bytes(self) -> None:
        # Who waits for a device's word elsewhere does not wait where no device ever was.
        for device in self.rig.controller.devices(ADMIN):
            self.rig.controller.forget(ADMIN, device.name)
        exported = tuple(self.rig.controller.export(ADMIN))
        (self.directory / "other").mkdir()
        other = rig(self.directory / "other")
        try:
            other.controller.apply(ADMIN, Request(exported))
            assert other.hashes() == self.rig.hashes()
            assert tuple(other.controller.export(ADMIN)) == exported
        finally:
            other.close()


@pytest.mark.timeout(600)
class TestIncremental(Fabric.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=60, stateful_step_count=20)

    def runTest(self) -> None:  # noqa: N802
        DONE.clear()
        super().runTest()
        expected = {(action, kind) for action in ("create", "update", "delete") for kind in KINDS}
        assert expected <= DONE, f"never done: {sorted(expected - DONE)}"

    runTest.is_hypothesis_test = True  # type: ignore[attr-defined]


def test_every_kind_has_a_strategy() -> None:
    assert STRATEGIES.keys() == ALONE.keys() == KINDS.keys()

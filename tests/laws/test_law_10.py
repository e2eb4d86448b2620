"""Law 10: upgrading changes no device by itself; after an upgrade the difference is a plan."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.agent_rig import Rig as AgentRig
from support.controlled import ADMIN, Rig, doc, quickstart, rig
from support.fake_linux import FakeLinuxDoor
from underlace.access import Actor, Role, device_actor
from underlace.agent.cache import Cache
from underlace.agent.desired import load
from underlace.controller.controller import Controller
from underlace.controller.document import EVERYTHING, Request
from underlace.controller.survey import Found
from underlace.diff.order import ordered
from underlace.drivers.linux import LinuxDriver
from underlace.kinds.switch import Switch
from underlace.model.device import Protection, decode_fragment
from underlace.model.diagnostic import Refused
from underlace.model.fact import Fact
from underlace.model.wire import (
    Credentials,
    DesiredRequest,
    EnrolRequest,
    FragmentRequest,
    Fragments,
    Manifest,
    Receipt,
    RenewRequest,
    Report,
)
from underlace.store import migrate
from underlace.store.store import Store

CAPTURES = Path(__file__).parents[1] / "captures"
STORES = CAPTURES / "stores"
RELEASES = sorted(STORES.glob("*.sql"))


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    opened.hold_all()
    yield opened
    opened.close()


def newer_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Switch.compile

    def compile_(self: Switch, *args: Any) -> Iterator[Fact]:
        for fact in old(self, *args):
            if isinstance(fact.object, Protection):
                item = fact.object
                fact = fact._replace(object=Protection(item.vteps, item.underlay, icmp_rate=7))
            yield fact

    monkeypatch.setattr(Switch, "compile", compile_)


@pytest.fixture
def upgraded(fabric: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A release whose switches say something else about their protection."""
    newer_compiler(monkeypatch)
    fabric.controller.close()
    again = rig(fabric.path)
    fabric.controller, fabric.store = again.controller, again.store
    return fabric


def protection(fabric: Rig, device: str) -> Protection:
    manifest = fabric.controller.desired(device_actor(device))
    assert manifest is not None
    bodies = fabric.controller.fragments(device_actor(device), manifest.scopes.values()).bodies
    found = [i for b in bodies.values() for i in decode_fragment(b.encode()) if isinstance(i, Protection)]
    return found[0]


def test_nothing_is_delivered_that_was_not_rolled_out(upgraded: Rig) -> None:
    for device in ("leaf1", "spine1"):
        assert upgraded.fetch(device) is None
        assert protection(upgraded, device).icmp_rate == 100, "bodies of the old release are served"
    assert upgraded.controller.status(ADMIN).state == "Active"
    assert {(d.device, d.scope) for d in upgraded.controller.differences(ADMIN)} == {
        (name, "base") for name in ("leaf1", "leaf2", "leaf3", "spine1", "spine2")
    }


def test_an_edit_does_not_bring_the_upgrade_along(upgraded: Rig) -> None:
    plan = upgraded.plan(doc("vnet", "red-db", "acme", vpc="red", ports=[{"port": "swp5@leaf3"}], mtu=1500))
    assert {c.key[0] for d in plan.devices for c in d.changes} <= {"l2vni", "svi", "bgp-router", "vrf", "leak"}


def test_the_difference_is_a_plan_and_a_rollout(upgraded: Rig) -> None:
    request = Request(recompile=EVERYTHING, message="roll out the upgrade")
    plan = upgraded.controller.plan(ADMIN, request)
    assert plan.resources == ()
    assert [d.device for d in plan.devices] == ["leaf1", "leaf2", "leaf3", "spine1", "spine2"]
    assert {(c.verb, c.key) for d in plan.devices for c in d.changes} == {("update", ("protection",))}
    assert protection(upgraded, "leaf1").icmp_rate == 100
    done = upgraded.controller.apply(ADMIN, Request(recompile=EVERYTHING, expect=plan.digest))
    assert protection(upgraded, "leaf1").icmp_rate == 7
    assert upgraded.controller.differences(ADMIN) == []
    assert upgraded.controller.revisions(ADMIN, 1)[0].id == done.revision
    again = upgraded.controller.apply(ADMIN, request)
    assert (again.revision, again.digest) == (done.revision, "")


def surveyed(fabric: Rig) -> Found:
    fabric.controller.survey(ADMIN)
    limit = time.monotonic() + 60
    while (found := fabric.controller.surveyed(ADMIN)).state == "running":
        assert time.monotonic() < limit
    return found


def test_it_is_surveyed_beside_changes_and_reaches_one_device_after_the_other(upgraded: Rig) -> None:
    assert upgraded.controller.surveyed(ADMIN).state == "none"
    revision = upgraded.controller.revisions(ADMIN, 1)[0].id
    found = surveyed(upgraded)
    assert (found.state, found.revision, found.compiled) == ("done", revision, found.total)
    assert [d.device for d in found.devices] == ["leaf1", "leaf2", "leaf3", "spine1", "spine2"]
    assert upgraded.controller.revisions(ADMIN, 1)[0].id == revision, "nothing was written"
    some = Request(recompile=frozenset({"leaf1", "spine2"}))
    plan = upgraded.controller.plan(ADMIN, some)
    assert {d.device: {c.key for c in d.changes} for d in plan.devices} == {
        name: {("protection",)} for name in ("leaf1", "spine2")
    }
    upgraded.controller.apply(ADMIN, Request(recompile=some.recompile, expect=plan.digest))
    assert (protection(upgraded, "leaf1").icmp_rate, protection(upgraded, "leaf2").icmp_rate) == (7, 100)
    assert [d.device for d in surveyed(upgraded).devices] == ["leaf2", "leaf3", "spine1"], "what is left"
    for name in ("leaf2", "leaf3", "spine1"):
        upgraded.controller.apply(ADMIN, Request(recompile=frozenset({name})))
    assert surveyed(upgraded).devices == ()
    upgraded.check_derived()


def test_a_device_that_does_not_exist_is_not_compiled_anew(upgraded: Rig) -> None:
    with pytest.raises(Refused) as refused:
        upgraded.controller.plan(ADMIN, Request(recompile=frozenset({"leaf1", "ghost"})))
    assert [(d.code, d.where.resource) for d in refused.value.diagnostics] == [("not-found", "switch/-/ghost")]


def test_a_tenant_does_not_roll_out_an_upgrade(upgraded: Rig) -> None:
    with pytest.raises(Refused) as refused:
        upgraded.controller.plan(Actor("u", Role.TENANT, frozenset({"acme"})), Request(recompile=EVERYTHING))
    assert [d.code for d in refused.value.diagnostics] == ["forbidden"]


@pytest.mark.parametrize("dump", RELEASES, ids=lambda p: p.stem)
def test_a_store_of_every_release_opens_and_changes_nothing(dump: Path, tmp_path: Path) -> None:
    """A dump of a store that holds the quickstart, with all devices in step."""
    load_dump(dump, tmp_path)
    opened = Store.open(tmp_path / "store.sqlite")
    with opened.read() as c2:
        assert migrate.schema_revision(c2) == migrate.revisions()[-1]
    opened.close()
    fabric = rig(tmp_path)
    assert fabric.controller.status(ADMIN).state == "Active"
    assert fabric.put(*quickstart()).digest == ""
    fabric.close()


def load_dump(dump: Path, directory: Path) -> None:
    with closing(sqlite3.connect(directory / "store.sqlite")) as c:
        c.executescript(dump.read_text())


class InProcess:
    """A controller as its agent on leaf1 sees it, without the wire between them."""

    def __init__(self, controller: Controller) -> None:
        self._controller, self._actor = controller, device_actor("leaf1")

    def desired(self, request: DesiredRequest, limit: float | None = None) -> Manifest | None:
        return self._controller.desired(self._actor, request.have)

    def fragments(self, request: FragmentRequest) -> Fragments:
        return self._controller.fragments(self._actor, request.hashes)

    def report(self, report: Report, limit: float | None = None) -> Receipt:
        return self._controller.report(self._actor, report)

    def enrol(self, request: EnrolRequest) -> Credentials:
        raise AssertionError("not in these tests")

    def renew(self, request: RenewRequest) -> Credentials:
        raise AssertionError("not in these tests")

    def forget(self) -> None:
        pass


@pytest.mark.parametrize("dump", RELEASES, ids=lambda p: p.stem)
def test_a_store_and_an_agent_of_every_release_wait_for_the_plan(
    dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store as that release wrote it, leaf1 with the cache of that release's agent, and a compiler that renders
    otherwise: the device is touched when the plan is applied, and not before."""
    load_dump(dump, tmp_path)
    shutil.copytree(CAPTURES / "agents" / dump.stem / "leaf1", tmp_path / "leaf1")
    kept = Cache(tmp_path / "leaf1", "leaf1").good()
    assert kept is not None
    door, driver = FakeLinuxDoor([f"swp{n}" for n in range(1, 17)]), LinuxDriver()
    held = load(kept.manifest, kept.bodies, driver).items
    assert door.run(ordered(door.read(), held)) == []
    done = door.operations

    newer_compiler(monkeypatch)
    with closing(rig(tmp_path)) as fabric:
        agent = AgentRig(tmp_path / "leaf1", linux=door)
        agent.controller = InProcess(fabric.controller)  # type: ignore[assignment]
        agent.start().turns(3)
        elsewhere = doc("vnet", "later", "acme", vpc="red", ports=[{"port": "swp12@leaf3"}])
        fabric.put(elsewhere)
        plan = fabric.controller.plan(ADMIN, Request(recompile=EVERYTHING))
        agent.turns(3)
        assert door.operations == done
        assert fabric.controller.device(ADMIN, "leaf1").outcome == "held"
        assert ("update", ("protection",)) in {(c.verb, c.key) for d in plan.devices for c in d.changes}
        fabric.put(doc("vnet", "here", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}]))
        agent.turns(2)
        assert door.operations > done, "an edit reaches the device"
        assert icmp_rates(door) == {100}, "and brings nothing else along"

        plan = fabric.controller.plan(ADMIN, Request(recompile=EVERYTHING))
        fabric.controller.apply(ADMIN, Request(recompile=EVERYTHING, expect=plan.digest))
        agent.turns(2)
        assert icmp_rates(door) == {7}
        assert fabric.controller.device(ADMIN, "leaf1").outcome == "held"
        assert fabric.controller.differences(ADMIN) == []


def icmp_rates(door: FakeLinuxDoor) -> set[int | None]:
    """What the device's filters say of it."""
    found = LinuxDriver().model(door.read()).values()
    return {one.icmp_rate for one in found if isinstance(one, Protection)}


def test_there_is_a_store_of_this_schema() -> None:
    """Whoever adds a migration adds a dump of the store that releases before it wrote."""
    assert RELEASES

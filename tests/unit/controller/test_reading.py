"""What is read: plans as values, resources and pages, devices and explanations, history; and what tenants see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.controlled import ADMIN, Rig, doc, quickstart, rig
from underlace.access import Actor, Role
from underlace.controller import explain
from underlace.controller.document import Document, Request
from underlace.controller.plan import FieldChange, field_changes
from underlace.drivers.linux import device
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref

ACME = Actor("anna", Role.TENANT, frozenset({"acme"}))
READER = Actor("rita", Role.READER)
NEW = doc("vnet", "new", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}])


@pytest.fixture(scope="module")
def native(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """With the driver for Linux in place of the plain one."""
    opened = rig(tmp_path_factory.mktemp("native"), device.driver())
    opened.put(*quickstart())
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def fabric(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Read only: tests of this module apply nothing."""
    opened = rig(tmp_path_factory.mktemp("fabric"))
    opened.put(*quickstart(), doc("port", "swp12@leaf1", tenant="acme"))
    opened.hold_all()
    yield opened
    opened.close()


def refusals(work: Callable[[], object]) -> list[tuple[str, str, str]]:
    with pytest.raises(Refused) as refused:
        work()
    return [(d.code, d.summary, d.detail) for d in refused.value.diagnostics]


def test_a_plan_shows_intent_numbers_objects_and_lines(fabric: Rig) -> None:
    plan = fabric.plan(NEW, delete=[Ref("vnet", "bolt", "blue-heartbeat")])
    assert [(r.action, r.tenant, r.name) for r in plan.resources] == [
        ("create", "acme", "new"),
        ("delete", "bolt", "blue-heartbeat"),
    ]
    new = next(r for r in plan.resources if r.name == "new")
    assert FieldChange("/spec/vpc", None, "red") in new.fields
    numbers = {(n.name, n.slot): (n.before, n.value) for n in plan.numbers}
    assert numbers["new", "vni"][0] is None
    assert numbers["blue-heartbeat", "vni"][1] is None
    devices = {d.device: d for d in plan.devices}
    assert sorted(devices) == ["leaf1", "leaf2", "leaf3"]
    assert {(c.verb, c.key[0]) for c in devices["leaf1"].changes} == {("create", "access-port"), ("create", "l2vni")}
    assert devices["leaf1"].native is not None
    assert any(line.startswith('+{"type":"access-port","port":"swp12"') for line in devices["leaf1"].native)
    assert all(line[0] in "+- @" for line in devices["leaf1"].native)
    assert plan.disruption == "hitless"


def test_a_plan_is_against_what_the_device_holds(tmp_path: Path) -> None:
    behind = rig(tmp_path)
    behind.put(*quickstart())
    behind.hold_all()
    behind.put(NEW)
    plan = behind.plan(delete=[NEW.ref])
    (device,) = plan.devices
    assert (device.changes, device.native) == ((), ()), "leaf1 never had it"
    assert plan.digest
    other = doc("vnet", "other", "acme", vpc="red", ports=[{"port": "swp13@leaf1"}])
    (device,) = behind.plan(other).devices
    created = [c.key for c in device.changes if c.key[0] == "access-port"]
    assert created == [("access-port", "swp12"), ("access-port", "swp13")], "what is on its way, and this"
    assert {c.verb for c in device.changes} == {"create"}, "of what leaf1 holds nothing changes"
    behind.hold("leaf1")
    (device,) = behind.plan(delete=[NEW.ref]).devices
    assert {c.verb for c in device.changes} == {"delete"}
    behind.close()


def test_a_wide_plan_renders_a_few_devices_and_those_asked_for(fabric: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("underlace.controller.devplan.NATIVE", 1)
    change = doc("vnet", "wide", "acme", vpc="red", ports=[{"port": f"swp13@leaf{i}"} for i in (1, 2, 3)])
    plan = fabric.plan(change)
    assert [d.native is not None for d in plan.devices] == [True, False, False]
    some = fabric.controller.plan(ADMIN, Request((change,), native=frozenset({"leaf2"})))
    assert [d.native is not None for d in some.devices] == [False, True, False]
    assert some.digest == plan.digest
    assert [d.changes for d in some.devices] == [d.changes for d in plan.devices]


def test_field_changes_go_down_to_the_field() -> None:
    before = {"spec": {"a": 1, "b": {"c": [1, 2], "d/e": 1}}, "labels": {"x": "1"}}
    after = {"spec": {"a": 1, "b": {"c": [2, 3], "d/e": 2}, "f": True}}
    assert field_changes("", before, after) == [
        FieldChange("/labels/x", "1", None),
        FieldChange("/spec/b/c", [1], [3]),
        FieldChange("/spec/b/d~1e", 1, 2),
        FieldChange("/spec/f", None, True),
    ]
    assert field_changes("/l", [1, 2], [2, 1]) == [FieldChange("/l", [1, 2], [2, 1])]


def test_pages_hold_together(fabric: Rig) -> None:
    whole = fabric.controller.find(ADMIN, "subnet").items
    assert [(i.tenant, i.name) for i in whole] == sorted((i.tenant, i.name) for i in whole)
    found, after = [], None
    while True:
        page = fabric.controller.find(ADMIN, "subnet", after=after, limit=3)
        found += page.items
        after = page.next
        if after is None:
            break
        assert len(page.items) == 3
    assert tuple(found) == whole
    ports = fabric.controller.find(ADMIN, "port", limit=1)
    assert ([i.name for i in ports.items], ports.next) == (["swp12@leaf1"], None)


def test_an_item_says_every_default(fabric: Rig) -> None:
    item = fabric.controller.get(ADMIN, Ref("vnet", "acme", "red-web"))
    assert item.spec["mtu"] == 9_000
    assert item.status.allocated.keys() == {"vni", "rd/leaf1", "rd/leaf2"}


def test_a_tenant_sees_its_own_and_nothing_else(fabric: Rig) -> None:
    c = fabric.controller
    assert {i.tenant for i in c.find(ACME, "vnet").items} == {"acme"}
    assert c.find(ACME, "vnet", tenant="bolt").items == ()
    assert [i.name for i in c.find(ACME, "tenant").items] == ["acme"]
    assert [i.name for i in c.find(ACME, "port").items] == ["swp12@leaf1"]
    assert c.find(ACME, "switch").items == ()
    missing = refusals(lambda: c.get(ACME, Ref("vnet", "acme", "none")))
    hidden = refusals(lambda: c.get(ACME, Ref("vnet", "bolt", "blue-web")))
    assert [(a, b) for a, b, _ in hidden] == [(a, b) for a, b, _ in missing]
    assert refusals(lambda: c.history(ACME, Ref("vnet", "bolt", "blue-web"))) == hidden
    for work in (
        lambda: c.devices(ACME),
        lambda: c.config(ACME, "leaf1"),
        lambda: c.explain(ACME, "leaf1", "swp5"),
        lambda: c.revisions(ACME),
        lambda: c.as_of(ACME, 2),
        lambda: list(c.export(ACME)),
        lambda: c.forget(READER, "leaf1"),
        lambda: c.backup(READER, Path("/nowhere")),
    ):
        assert [code for code, _, _ in refusals(work)] == ["forbidden"]


def test_a_tenant_infers_nothing_from_refusals(fabric: Rig) -> None:
    def said(document: Document) -> list[tuple[str, str, str]]:
        return refusals(lambda: fabric.plan(document, actor=ACME))

    ports = [{"port": "swp12@leaf1"}]
    there = said(doc("vnet", "x", "acme", vpc="bolt/blue", ports=ports))
    not_there = said(doc("vnet", "x", "acme", vpc="bolt/none", ports=ports))
    assert [(a, b, c.replace("blue", "none")) for a, b, c in there] == not_there
    used = fabric.number("vni", "vnet", "blue-web", "bolt")
    (number,) = said(doc("vnet", "x", "acme", vpc="red", ports=ports, vni=used))
    assert "bolt" not in number[2]
    assert "blue" not in number[2]
    port = said(doc("vnet", "x", "acme", vpc="red", ports=[{"port": "swp6@leaf1"}]))
    assert not any("bolt" in text or "blue" in text for _, _, text in port)
    # The same V-Net by an operator is told who has the port.
    assert any(
        "blue" in t
        for _, _, t in refusals(
            lambda: fabric.plan(doc("vnet", "x", "acme", vpc="red", ports=[{"port": "swp6@leaf1"}]))
        )
    )


def test_a_tenant_is_not_told_who_refers_to_its_vpc(fabric: Rig) -> None:
    exported = [d.ref for d in fabric.controller.export(ADMIN)]
    mine = [r for r in exported if r.tenant == "acme" and r.kind != "vpc"]
    (found,) = refusals(lambda: fabric.plan(delete=[*mine, Ref("vpc", "acme", "red")], actor=ACME))
    assert found[0] == "still-referred-to"
    assert "platform" not in found[2]
    (found,) = refusals(lambda: fabric.plan(delete=[*mine, Ref("vpc", "acme", "red")]))
    assert "vpc-peering platform/red-shared" in found[2]


def test_a_tenants_plan_and_status_name_no_device(fabric: Rig) -> None:
    plan = fabric.plan(NEW, actor=ACME)
    assert plan.digest == fabric.plan(NEW).digest
    assert plan.devices == ()
    assert {n.tenant for n in plan.numbers} == {"acme"}
    status = fabric.controller.status(ACME)
    assert (status.devices, status.total, status.in_sync) == ((), 0, 0)


def test_an_explanation_names_who_said_what(fabric: Rig) -> None:
    found = fabric.controller.explain(READER, "leaf1", "access-port swp5")
    assert [(w.key, [r.resource for r in w.reasons]) for w in found] == [
        (("access-port", "swp5"), ["vnet/acme/red-web"])
    ]
    vrf = fabric.controller.explain(READER, "leaf1", "vrf vpc-60")
    assert {r.resource for w in vrf for r in w.reasons} >= {"vnet/acme/red-web", "vpc-peering/platform/red-shared"}
    assert fabric.controller.explain(READER, "leaf1", "zzz") == []
    assert fabric.controller.explain(READER, "leaf1", "vni 10099") == [], "not whatever else has a VNI"
    assert refusals(lambda: fabric.controller.explain(READER, "leaf9", "x"))[0][0] == "not-found"


NATIVE = {
    "vni10005": {("l2vni", "10005")},
    "br10005": {("l2vni", "10005"), ("svi", "10005"), ("access-port", "swp5")},
    "bridge br10005 address": {("l2vni", "10005"), ("svi", "10005")},
    "  vni 10000": {("vrf", "vpc-2")},
    "route-target import 65000:10000": {("bgp-router", "vpc-2")},
    "neighbor 192.0.2.1 remote-as 64496": {("bgp-neighbor", "vpc-2", "192.0.2.1")},
    "route 10.9.1.0/24 via": {("leak", "vpc-60", "vpc-62")},
    "12: vni10005: <BROADCAST,MULTICAST,UP> mtu 9000 master br10005": {("l2vni", "10005")},
}
"""What a device's own configuration has, and no device object: the objects behind it."""


@pytest.mark.parametrize("text", NATIVE)
def test_a_native_name_or_line_is_explained_by_the_objects_behind_it(native: Rig, text: str) -> None:
    assert {w.key for w in native.controller.explain(READER, "leaf1", text)} == NATIVE[text]


def test_every_native_line_is_explained(native: Rig, quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that say more than a bracket or an end, as a person copies them."""
    # All questions are about one device as it is: they share its renderings, dozens for each.
    made, kept = explain._Native, list[explain._Native]()
    monkeypatch.setattr(explain, "_Native", lambda *of: kept[0] if kept else kept.append(made(*of)) or kept[0])
    lines = {line.strip() for line in native.controller.config(READER, "leaf1")}
    telling = sorted(line for line in lines if re.search(r"\d", line) and not line.startswith("#"))
    assert len(telling) > 100
    if quick:  # one of each form
        telling = list({re.sub(r"[0-9a-f]+", "0", line): line for line in telling}.values())
    assert [line for line in telling if not native.controller.explain(READER, "leaf1", line)] == []


def test_the_configuration_of_a_device(fabric: Rig) -> None:
    lines = fabric.controller.config(READER, "leaf1")
    assert any('"access-port","port":"swp5"' in line for line in lines)
    assert refusals(lambda: fabric.controller.config(READER, "leaf9"))[0][0] == "not-found"
    assert refusals(lambda: fabric.controller.device(READER, "leaf9"))[0][0] == "not-found"


def test_history_keeps_every_version(tmp_path: Path) -> None:
    fabric = rig(tmp_path)
    red = Ref("vpc", "acme", "red")
    fabric.put(doc("tenant", "acme"), doc("vpc", "red", "acme", vni=1))
    fabric.put(doc("vpc", "red", "acme", vni=2))
    gone = fabric.delete(red).revision
    fabric.put(doc("vpc", "red", "acme", vni=3))
    versions = fabric.controller.history(ADMIN, red)
    assert [(v.revision, v.spec) for v in versions] == [(5, {"vni": 3}), (4, None), (3, {"vni": 2}), (2, {"vni": 1})]
    assert versions[0].id > versions[1].id, "another resource of the same name"
    then = {(v.kind, v.name): v.spec for v in fabric.controller.as_of(ADMIN, 3)}
    assert then["vpc", "red"] == {"vni": 2}
    assert ("vpc", "red") not in {(v.kind, v.name) for v in fabric.controller.as_of(ADMIN, gone)}
    item, wrote = fabric.controller.revision(ADMIN, gone)
    assert (item.id, item.actor, [(v.name, v.spec) for v in wrote]) == (gone, "admin", [("red", None)])
    assert refusals(lambda: fabric.controller.revision(ADMIN, 99))[0][0] == "not-found"
    assert refusals(lambda: fabric.controller.status(ADMIN, 99))[0][0] == "not-found"
    assert [r.id for r in fabric.controller.revisions(ADMIN, 2, before=4)] == [3, 2]
    fabric.close()

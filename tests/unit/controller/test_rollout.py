"""Between controller and agents: manifests, fragments, reports, and who is woken when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from support.controlled import ADMIN, Rig, doc, quickstart, report, rig
from underlace.access import Actor, Role, device_actor
from underlace.controller.document import Request
from underlace.model.device import decode_fragment, hash_fragment
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import Ref
from underlace.model.wire import CANNOT, Manifest, Outcome, Report, manifest_digest
from underlace.store import devices, fragments

LEAF1 = device_actor("leaf1")
CHANGE = doc("vnet", "new", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}])


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    yield opened
    opened.close()


def test_a_manifest_names_what_a_device_should_hold(fabric: Rig) -> None:
    manifest = fabric.controller.desired(LEAF1)
    assert manifest is not None
    assert manifest.device == "leaf1"
    assert manifest.digest == manifest_digest(manifest.scopes)
    assert manifest.revision == 2
    assert {"base", "port:swp1", "vrf:vpc-2"} <= manifest.scopes.keys()
    bodies = fabric.controller.fragments(LEAF1, manifest.scopes.values()).bodies
    assert all(hash_fragment(body.encode()) == name for name, body in bodies.items())
    assert all(decode_fragment(body.encode()) for body in bodies.values())
    assert fabric.controller.desired(LEAF1, manifest.digest) is None


def test_a_device_without_anything_has_an_empty_manifest(fabric: Rig) -> None:
    manifest = fabric.controller.desired(device_actor("oob1"))
    assert manifest is not None
    assert (manifest.revision, manifest.scopes) == (0, {})


def test_a_device_gets_its_own_fragments_only(fabric: Rig) -> None:
    theirs = fabric.controller.desired(device_actor("leaf2"))
    assert theirs is not None
    with pytest.raises(Refused) as refused:
        fabric.controller.fragments(LEAF1, [theirs.scopes["base"]])
    assert [d.code for d in refused.value.diagnostics] == ["fragment-stale"]
    with pytest.raises(Refused):
        fabric.controller.report(LEAF1, report(theirs, Outcome.HELD))
    for actor in (ADMIN, Actor("r", Role.READER)):
        with pytest.raises(Refused):
            fabric.controller.desired(actor)
        with pytest.raises(Refused):
            fabric.controller.fragments(actor, [])
    with pytest.raises(Refused):
        fabric.controller.get(LEAF1, Ref("switch", "-", "leaf1"))


def test_a_fragment_that_changed_meanwhile_is_stale(fabric: Rig) -> None:
    old = fabric.controller.desired(LEAF1)
    assert old is not None
    fabric.put(doc("vnet", "red-web", "acme", vpc="red", ports=[{"port": "swp5@leaf1"}]))
    with pytest.raises(Refused) as refused:
        fabric.controller.fragments(LEAF1, old.scopes.values())
    assert [d.code for d in refused.value.diagnostics] == ["fragment-stale"]


def test_receipts_confirm_what_is_in_place(fabric: Rig) -> None:
    manifest = fabric.fetch("leaf1")
    assert manifest is not None
    assert fabric.say("leaf1", Outcome.APPLIED).confirmed == manifest.digest
    assert fabric.say("leaf1", Outcome.HELD).confirmed == manifest.digest
    assert fabric.say("leaf1", Outcome.REVERTED).confirmed == ""
    assert fabric.say("leaf1", Outcome.FAILED).confirmed == ""


def test_only_devices_that_change_are_announced_and_only_after_the_commit(fabric: Rig) -> None:
    told: list[tuple[frozenset[str], int]] = []

    def note(changed: frozenset[str]) -> None:
        told.append((changed, fabric.controller.revisions(ADMIN, 1)[0].id))

    fabric.controller.on_desired(note)
    fabric.plan(CHANGE)
    assert told == []
    done = fabric.put(CHANGE)
    assert told == [(frozenset({"leaf1"}), done.revision)]
    fabric.put(doc("vpc", "unrelated", "acme"))
    assert len(told) == 1


def test_whoever_waits_is_woken_by_a_change(fabric: Rig) -> None:
    before = fabric.fetch("leaf1")
    assert before is not None
    assert fabric.controller.wait_desired(LEAF1, before.digest, 0.01) is None
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(fabric.controller.wait_desired(LEAF1, before.digest, 30.0)))
    thread.start()
    fabric.put(doc("vnet", "other", "acme", vpc="red", ports=[{"port": "swp12@leaf2"}]))
    fabric.put(CHANGE)
    thread.join(30)
    assert found == [fabric.controller.desired(LEAF1, before.digest)]
    assert found[0] is not None


def test_a_device_keeps_what_it_said(fabric: Rig) -> None:
    manifest = fabric.fetch("leaf1")
    assert manifest is not None
    said = report(manifest, Outcome.HELD)
    drifted = Report(**{f: getattr(said, f) for f in said.__struct_fields__} | {"drift": ("port:swp5",)})
    fabric.controller.report(LEAF1, drifted)
    fabric.controller.report(LEAF1, said)
    device = fabric.controller.device(ADMIN, "leaf1")
    assert (device.state, device.os_version, device.drift) == ("in-sync", "8.4.4", ["port:swp5"])
    assert {
        d.name: (d.os, d.os_version) for d in fabric.controller.devices(ADMIN) if d.name in ("leaf1", "leaf2")
    } == {
        "leaf1": ("linux", "8.4.4"),
        "leaf2": ("linux", ""),
    }, "before its first word a device has the OS that intent gives it"
    assert device.last_seen == "2030-01-01T00:00:00.000Z"
    fabric.put(CHANGE)
    device = fabric.controller.device(ADMIN, "leaf1")
    assert (device.state, device.pending) == ("behind", ("vrf:vpc-60",))
    fabric.hold("leaf1")
    assert fabric.controller.device(ADMIN, "leaf1").drift == [], "mended before the state that it holds now"


def test_a_revision_is_not_believed_without_what_it_stands_for(fabric: Rig) -> None:
    fabric.hold_all()
    old = fabric.said["leaf1"]
    fabric.put(CHANGE)
    new = fabric.fetch("leaf1")
    assert new is not None
    fabric.controller.report(LEAF1, report(Manifest("leaf1", new.revision, old.digest, old.scopes), Outcome.HELD))
    assert fabric.controller.device(ADMIN, "leaf1").state == "behind"
    fabric.controller.report(LEAF1, report(Manifest("leaf1", 10**9, new.digest, new.scopes), Outcome.HELD))
    assert fabric.controller.device(ADMIN, "leaf1").confirmed == old.revision


def test_what_was_never_delivered_is_neither_confirmed_nor_green(fabric: Rig) -> None:
    """A certificate is for saying what a device holds of what it was told, not for making up what it holds."""
    fabric.hold_all()
    fabric.put(CHANGE)
    told, ref = fabric.said["leaf1"], Ref("vnet", "acme", "new")
    with fabric.store.read() as c:
        row, desired = devices.one(c, "leaf1"), fragments.desired(c, "leaf1")
    assert row is not None
    assert row.offered < row.desired
    for revision, scopes in (
        (row.desired, desired),
        (row.desired + 1, desired),
        (told.revision, desired),
        (0, desired),
        (row.desired, told.scopes),
    ):
        made_up = Manifest("leaf1", revision, manifest_digest(scopes), scopes)
        fabric.say("leaf1", Outcome.APPLIED, made_up)
        fabric.say("leaf1", Outcome.HELD, made_up)
        device = fabric.controller.device(ADMIN, "leaf1")
        assert (device.confirmed, device.state) == (told.revision, "behind"), revision
        assert fabric.controller.get(ADMIN, ref).status.state == "Provisioning", revision
    fabric.hold("leaf1")
    assert fabric.controller.device(ADMIN, "leaf1").state == "in-sync"
    assert fabric.controller.get(ADMIN, ref).status.state == "Active"


def test_a_receipt_confirms_manifests_of_ours_only(fabric: Rig) -> None:
    fabric.hold("leaf1")
    ours = fabric.said["leaf1"]
    foreign = {**ours.scopes, "port:swp1": "0" * 64}
    for revision, digest, scopes in (
        (ours.revision, manifest_digest(foreign), foreign),
        (ours.revision, manifest_digest(foreign), ours.scopes),
        (ours.revision + 1, manifest_digest(foreign), foreign),
        (0, "", {}),
    ):
        assert fabric.say("leaf1", Outcome.APPLIED, Manifest("leaf1", revision, digest, scopes)).confirmed == ""
    another_life = Manifest("leaf1", ours.revision + 7, ours.digest, ours.scopes)
    assert fabric.say("leaf1", Outcome.APPLIED, another_life).confirmed == ours.digest, "that is what is wanted"


def test_bodies_are_kept_as_long_as_somebody_needs_them(fabric: Rig) -> None:
    def kept() -> set[tuple[str, str]]:
        with fabric.store.read() as c:
            found = c.exec_driver_sql("SELECT device, scope FROM held WHERE body IS NOT NULL")
            return {(r[0], r[1]) for r in found}

    fabric.hold_all()
    assert kept() == set()
    for mtu in (1400, 1500, 1600):
        fabric.put(doc("vnet", "red-web", "acme", vpc="red", ports=[{"port": "swp5@leaf1"}], mtu=mtu))
        fabric.fetch("leaf1")
    pending = {(leaf, s) for leaf in ("leaf1", "leaf2") for s in fabric.controller.device(ADMIN, leaf).pending}
    assert kept() == pending >= {("leaf1", "vrf:vpc-60")}, "what is held and no longer desired"
    plan = fabric.plan(doc("vnet", "red-web", "acme", vpc="red", ports=[{"port": "swp5@leaf1"}], mtu=1700))
    assert {c.verb for d in plan.devices if d.device == "leaf1" for c in d.changes} == {"delete", "update"}
    fabric.hold_all()
    assert kept() == set()


def test_a_switch_that_is_gone_should_hold_nothing(fabric: Rig) -> None:
    fabric.hold_all()
    exported = [d.ref for d in fabric.controller.export(ADMIN)]
    gone = [r for r in exported if r.kind == "link" and "leaf3" in r.name]
    gone += [r for r in exported if r.kind in ("vnet", "vpc-peering", "bgp-peer")]
    fabric.delete(*gone, Ref("switch", "-", "leaf3"))
    manifest = fabric.fetch("leaf3")
    assert manifest is not None
    assert manifest.scopes == {}
    fabric.hold("leaf3")
    assert fabric.controller.device(ADMIN, "leaf3").state == "in-sync"
    fabric.controller.forget(ADMIN, "leaf3")
    assert "leaf3" not in {d.name for d in fabric.controller.devices(ADMIN)}


def test_a_plan_names_the_upgrade_that_it_brings(fabric: Rig) -> None:
    """The lines of a plan are those of its change; the agent brings more, which only the agent can know (law 10)."""
    manifest = fabric.controller.desired(LEAF1)
    assert manifest is not None
    pending = Diagnostic(Where(device="leaf1"), "upgrade-pending", "s", "leaf1 differs from revision 7: port/swp1.")
    fabric.controller.report(LEAF1, msgspec.structs.replace(report(manifest, Outcome.HELD), diagnostics=(pending,)))
    touches, spares = doc("port", "swp5@leaf1", enabled=False), doc("port", "swp5@leaf2", enabled=False)
    assert pending in fabric.controller.plan(ADMIN, Request((touches,))).warnings
    assert pending not in fabric.controller.plan(ADMIN, Request((spares,))).warnings
    assert pending in fabric.controller.apply(ADMIN, Request((touches,), show=True)).warnings


def test_what_goes_on_at_a_device_is_part_of_the_status(fabric: Rig) -> None:
    """As long as its last report says so, and for those who may see devices."""
    manifest = fabric.controller.desired(LEAF1)
    assert manifest is not None
    twice = Diagnostic(Where(device="leaf1"), "address-claimed-twice", "s", "10.1.1.11 is claimed twice.")
    once = Diagnostic(Where(device="leaf1"), "drift-mended", "s", "Something was.")
    held = report(manifest, Outcome.HELD)
    fabric.controller.report(LEAF1, msgspec.structs.replace(held, diagnostics=(twice, once)))
    assert fabric.controller.status(ADMIN).warnings == (twice,)
    assert fabric.controller.status(Actor("u", Role.TENANT, frozenset({"acme"}))).warnings == ()
    fabric.controller.report(LEAF1, held)
    assert fabric.controller.status(ADMIN).warnings == ()


def test_what_a_device_says_that_it_lacks_is_refused_at_plan_time(fabric: Rig) -> None:
    """And is no warning: nobody may need it."""
    manifest = fabric.controller.desired(LEAF1)
    assert manifest is not None
    tagged = doc("vnet", "tagged", "acme", vpc="red", ports=[{"port": "swp12@leaf1", "vlan": 5}])
    assert fabric.plan(tagged).revision
    lacks = Diagnostic(Where(device="leaf1", pointer="/tagged_ports"), CANNOT, "s", "This device has no 8021q.")
    held = report(manifest, Outcome.HELD)
    fabric.controller.report(LEAF1, msgspec.structs.replace(held, diagnostics=(lacks,)))
    assert fabric.controller.status(ADMIN).warnings == ()
    with pytest.raises(Refused) as refused:
        fabric.plan(tagged)
    (found,) = refused.value.diagnostics
    assert (found.code, found.where.resource) == ("capability-missing", "vnet/acme/tagged")
    assert found.detail.endswith("This device has no 8021q.")


def test_a_lag_is_refused_on_a_device_without_bonding(fabric: Rig) -> None:
    """With the device and its reason; a V-Net that names the lag has no fault of its own."""
    manifest = fabric.controller.desired(LEAF1)
    assert manifest is not None
    lag = doc("lag", "bond1@leaf1", members=["swp12", "swp13"])
    vnet = doc("vnet", "wide", "acme", vpc="red", ports=[{"port": "bond1@leaf1"}])
    assert fabric.plan(lag, vnet).revision
    lacks = Diagnostic(Where(device="leaf1", pointer="/lags"), CANNOT, "s", "This device has no bonding.")
    held = report(manifest, Outcome.HELD)
    fabric.controller.report(LEAF1, msgspec.structs.replace(held, diagnostics=(lacks,)))
    with pytest.raises(Refused) as refused:
        fabric.plan(lag, vnet)
    (found,) = refused.value.diagnostics
    assert (found.code, found.where.resource) == ("capability-missing", "lag/-/bond1@leaf1")
    assert "On leaf1 " in found.detail
    assert found.detail.endswith("bond1 is to be made of swp12, swp13. This device has no bonding.")

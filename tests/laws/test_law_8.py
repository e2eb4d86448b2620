"""Law 8: a number is reused only after every device has confirmed its removal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.controlled import ADMIN, NOW, PlainDriver, Rig, doc, quickstart, report, rig
from underlace.access import device_actor
from underlace.controller.controller import Controller
from underlace.controller.document import Document
from underlace.controller.resources import Waiting
from underlace.controller.restore import restore
from underlace.model.device import decode_fragment
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref
from underlace.model.wire import Outcome
from underlace.store.store import Store

OLD, NEW = Ref("vnet", "acme", "old"), Ref("vnet", "acme", "new")
VNI = 7_000


def vnet(name: str, vni: int | None = VNI, port: str = "swp10@leaf1", **more: Any) -> Document:
    return doc("vnet", name, "acme", vpc="red", vni=vni, ports=[{"port": port}], **more)


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    """All devices hold the quickstart and the V-Net `old`, on leaf1."""
    opened = rig(tmp_path)
    opened.put(*quickstart(), vnet("old"))
    opened.hold_all()
    yield opened
    opened.close()


def vnis(fabric: Rig, device: str) -> set[str]:
    """The L2VNIs that a device should hold."""
    actor = device_actor(device)
    manifest = fabric.controller.desired(actor)
    assert manifest is not None
    bodies = fabric.controller.fragments(actor, manifest.scopes.values()).bodies.values()
    return {item.key[1] for body in bodies for item in decode_fragment(body.encode()) if item.key[0] == "l2vni"}


def waiting(fabric: Rig) -> tuple[Waiting, ...]:
    return fabric.controller.get(ADMIN, NEW).status.waiting


def test_a_requested_number_in_quarantine_waits_for_the_device_that_had_it(fabric: Rig) -> None:
    fabric.delete(OLD)
    done = fabric.put(vnet("new", port="swp10@leaf2"))
    assert [(n.slot, n.value, n.waiting) for n in done.numbers if n.slot == "vni"] == [("vni", VNI, True)]
    assert fabric.state("vnet", "new", "acme") == "Provisioning"
    assert waiting(fabric) == (Waiting("leaf1", "quarantine"),)
    assert done.devices == (), "it compiles to nothing"
    assert str(VNI) not in vnis(fabric, "leaf2")

    told: list[frozenset[str]] = []
    fabric.controller.on_desired(told.append)
    fabric.hold("leaf1")
    assert told == [frozenset({"leaf2"})], "what waited is rolled out by itself"
    assert str(VNI) in vnis(fabric, "leaf2")
    assert waiting(fabric) == (Waiting("leaf2", "behind"),)
    fabric.hold("leaf2")
    assert fabric.state("vnet", "new", "acme") == "Active"
    fabric.check_derived()


def test_in_one_change_too(fabric: Rig) -> None:
    fabric.put(vnet("new", port="swp10@leaf2"), delete=[OLD])
    assert waiting(fabric) == (Waiting("leaf1", "quarantine"),)
    fabric.hold("leaf1")
    assert str(VNI) in vnis(fabric, "leaf2")


def test_only_a_confirmed_state_lets_go(fabric: Rig) -> None:
    leaf1, before = (Waiting("leaf1", "quarantine"),), fabric.said["leaf1"]
    fabric.delete(OLD)
    fabric.put(vnet("new", port="swp10@leaf2"))
    fabric.say("leaf1", manifest=before)
    assert waiting(fabric) == leaf1, "it said that it holds what it held before"
    fabric.fetch("leaf1")
    assert waiting(fabric) == leaf1, "an offer is no word"
    fabric.say("leaf1", Outcome.APPLIED)
    assert waiting(fabric) == leaf1, "it may still go back"
    fabric.controller.report(device_actor("leaf1"), report(before, Outcome.REVERTED))
    assert waiting(fabric) == leaf1, "it did go back"
    fabric.say("leaf1", Outcome.HELD)
    assert waiting(fabric) == (Waiting("leaf2", "behind"),)


def test_a_device_that_was_offered_something_else_meanwhile_is_not_believed_for_less(fabric: Rig) -> None:
    """It was told of a state with the number, and then of one without that equals what it confirmed before: a late
    report of the old state proves nothing."""
    empty = fabric.delete(OLD)
    fabric.hold_all()
    confirmed = fabric.said["leaf1"]
    fabric.put(vnet("old"))
    offered = fabric.fetch("leaf1")
    assert offered is not None
    fabric.delete(OLD)
    back = fabric.controller.desired(device_actor("leaf1"))
    assert back is not None
    assert (back.digest, back.scopes) == (confirmed.digest, confirmed.scopes)
    assert confirmed.revision == empty.revision
    assert back.revision > offered.revision > confirmed.revision
    fabric.put(vnet("new", port="swp10@leaf2"))
    assert waiting(fabric) == (Waiting("leaf1", "quarantine"),)
    fabric.say("leaf1", manifest=confirmed)
    assert waiting(fabric) == (Waiting("leaf1", "quarantine"),), "leaf1 may be about to apply what it was offered"
    fabric.say("leaf1", manifest=back)
    assert waiting(fabric) == (Waiting("leaf2", "behind"),)


def test_a_state_that_is_desired_again_is_confirmed_under_its_new_revision(fabric: Rig) -> None:
    """leaf1 never heard of what was desired between. It is told the new revision, and its word about that counts."""
    fabric.delete(OLD)
    fabric.hold_all()
    held = fabric.said["leaf1"]
    fabric.put(vnet("old"))
    fabric.delete(OLD)
    fabric.put(vnet("new", port="swp10@leaf2"))
    assert waiting(fabric) == (Waiting("leaf1", "quarantine"),)
    fabric.say("leaf1", manifest=held)
    assert waiting(fabric) == (Waiting("leaf1", "quarantine"),)
    again = fabric.fetch("leaf1")
    assert again is not None
    assert again.digest == held.digest
    assert again.revision > held.revision
    fabric.say("leaf1")
    assert waiting(fabric) == (Waiting("leaf2", "behind"),)
    assert fabric.fetch("leaf1") is None, "and not told twice"


def test_a_lagging_device_counts_though_its_fragments_changed_long_before(fabric: Rig) -> None:
    """The V-Net goes, then the VPC: by then nothing of the VPC touches leaf1 any more, but leaf1 has not said so."""
    fabric.put(
        doc("vpc", "green", "acme", vni=8_000),
        doc("allocation", "green", "acme", prefix="10.7.0.0/16", vpc="green"),
        doc("subnet", "green", "acme", prefix="10.7.1.0/24", vpc="green"),
        doc("vnet", "green", "acme", vpc="green", ports=[{"port": "swp11@leaf1"}], gateways=["10.7.1.1/24"]),
    )
    fabric.hold_all()
    fabric.delete(Ref("vnet", "acme", "green"))
    fabric.delete(*(Ref(kind, "acme", "green") for kind in ("vpc", "subnet", "allocation")))
    fabric.put(doc("vpc", "lime", "bolt", vni=8_000))
    item = fabric.controller.get(ADMIN, Ref("vpc", "bolt", "lime"))
    assert item.status.waiting == (Waiting("leaf1", "quarantine"),)
    fabric.hold("leaf1")
    assert fabric.state("vpc", "lime", "bolt") == "Active"


def test_those_who_build_on_what_waits_wait_too(fabric: Rig) -> None:
    fabric.delete(OLD)
    fabric.put(
        doc("vpc", "lime", "bolt", vni=VNI),
        doc("vnet", "lime", "bolt", vpc="lime", ports=[{"port": "swp12@leaf3"}]),
    )
    item = fabric.controller.get(ADMIN, Ref("vnet", "bolt", "lime"))
    assert (item.status.state, item.status.waiting) == ("Provisioning", (Waiting("leaf1", "quarantine"),))
    fabric.hold("leaf1")
    item = fabric.controller.get(ADMIN, Ref("vnet", "bolt", "lime"))
    assert item.status.waiting == (Waiting("leaf3", "behind"),)


def test_a_device_that_waits_is_left_out_of_everything_and_then_gets_everything(fabric: Rig) -> None:
    """Also what does not refer to it: a peering is on leaf9 because a V-Net places one of its VPCs there."""
    asn = fabric.number("asn", "switch", "leaf3")
    leaf3 = doc("switch", "leaf3", site="dc1", role="leaf", ports=16, asn=4_200_000_500)
    leaf9 = doc("switch", "leaf9", site="dc1", role="leaf", ports=4, asn=asn)
    fabric.put(
        leaf3,
        leaf9,
        doc("vnet", "far", "acme", vpc="red", ports=[{"port": "swp1@leaf9"}], gateways=["10.1.2.1/24"]),
        delete=[Ref("vnet", "acme", "red-db")],
    )
    assert fabric.state("switch", "leaf9") == "Provisioning"
    assert "leaf9" not in {key.device for key in fabric.hashes()}
    fabric.check_derived()
    fabric.hold_all()
    objects = {w.key[0] for w in fabric.controller.explain(ADMIN, "leaf9")}
    assert {"system", "port", "l2vni", "svi", "vrf", "leak"} <= objects
    fabric.check_derived()


def test_a_number_that_no_device_ever_had_is_free_at_once(tmp_path: Path) -> None:
    fabric = rig(tmp_path)
    fabric.put(*quickstart(), vnet("old"))
    fabric.delete(OLD)
    fabric.put(vnet("new", port="swp10@leaf2"))
    assert waiting(fabric) == (Waiting("leaf2", "never-seen"),)
    fabric.close()


def test_a_number_on_one_device_waits_for_that_one_alone(fabric: Rig) -> None:
    held = fabric.number("rd/leaf1", "vnet", "old", "acme")
    fabric.put(vnet("other", vni=None, port="swp9@leaf2", mtu=1500))
    fabric.delete(OLD)
    with fabric.store.read() as c:
        rows = c.exec_driver_sql(
            "SELECT value, device FROM quarantine JOIN pool p ON p.id = pool WHERE p.name = 'rd/leaf1'"
        ).fetchall()
    assert rows == [(held, "leaf1")]


def test_the_next_number_of_a_pool_is_not_picked_while_in_quarantine(fabric: Rig) -> None:
    fabric.put(vnet("auto", vni=None, port="swp14@leaf3"))
    after = fabric.number("vni", "vnet", "auto", "acme") + 1
    fabric.put(vnet("asked", vni=after, port="swp10@leaf3"))
    fabric.hold_all()
    fabric.delete(Ref("vnet", "acme", "asked"))
    fabric.put(vnet("next", vni=None, port="swp11@leaf3"))
    assert fabric.number("vni", "vnet", "next", "acme") == after + 1


@pytest.mark.parametrize("gone", ["leaf1", "leaf2"])
def test_numbers_picked_by_the_controller_are_never_in_quarantine(tmp_path: Path, gone: str) -> None:
    """A pool with two addresses: that of a switch which goes is not given to a third before all have let go of it."""
    fabric = rig(tmp_path)
    fabric.put(
        doc("site", "dc1"),
        doc("allocation", "lo", "system", prefix="10.255.0.0/31"),
        doc("subnet", "lo", "system", prefix="10.255.0.0/31", purpose="loopback"),
        *(doc("switch", name, site="dc1", role="leaf", ports=4) for name in ("leaf1", "leaf2")),
    )
    fabric.hold("leaf1", "leaf2")
    freed = fabric.number("loopback", "switch", gone)
    (stays,) = {"leaf1", "leaf2"} - {gone}
    fabric.delete(Ref("switch", "-", gone))
    third = doc("switch", "leaf3", site="dc1", role="leaf", ports=4)
    with pytest.raises(Refused) as refused:
        fabric.put(third)
    assert [d.code for d in refused.value.diagnostics] == ["pool-exhausted"]
    fabric.hold(stays)
    with pytest.raises(Refused):
        fabric.put(third)
    fabric.controller.forget(ADMIN, gone)
    fabric.put(third)
    assert fabric.number("loopback", "switch", "leaf3") == freed
    fabric.close()


def test_a_forgotten_device_no_longer_holds_numbers_and_that_is_audited(fabric: Rig) -> None:
    fabric.delete(OLD)
    fabric.put(vnet("new", port="swp10@leaf2"))
    fabric.controller.forget(ADMIN, "leaf1")
    assert waiting(fabric) == (Waiting("leaf2", "behind"),)
    assert str(VNI) in vnis(fabric, "leaf2")
    with fabric.store.read() as c:
        assert c.exec_driver_sql("SELECT actor, action, target FROM audit").fetchall() == [
            ("admin", "device-forget", "leaf1")
        ]


@pytest.mark.parametrize("lost", [False, True], ids=["old store there", "old store lost"])
def test_a_restored_store_gives_out_nothing_that_a_device_may_hold(fabric: Rig, lost: bool) -> None:
    backup = fabric.path / "backup"
    fabric.controller.backup(ADMIN, backup)
    # After the backup: a V-Net that devices hold and the backup does not know.
    fabric.put(vnet("later", vni=9_000, port="swp12@leaf3"), vnet("auto", vni=None, port="swp13@leaf3"))
    auto = fabric.number("vni", "vnet", "auto", "acme")
    ids = fabric.controller.get(ADMIN, Ref("vnet", "acme", "auto")).id
    fabric.hold_all()
    last = fabric.controller.revisions(ADMIN, 1)[0].id
    fabric.close()
    if lost:
        (fabric.path / "store.sqlite").unlink()

    revision = restore(backup, fabric.path / "store.sqlite", NOW)
    assert revision > last
    store = Store.open(fabric.path / "store.sqlite")
    again = Rig(fabric.path, Controller(store, {"linux": PlainDriver()}, clock=lambda: NOW), store, fabric.said)
    again.check_derived()
    again.put(vnet("new", vni=9_000, port="swp10@leaf2"), vnet("newer", vni=None, port="swp11@leaf2"))
    assert again.controller.get(ADMIN, NEW).id > ids
    assert again.number("vni", "vnet", "newer", "acme") == auto, "picked again, and therefore waits"
    everyone = {"leaf1", "leaf2", "leaf3", "spine1", "spine2"}
    for name in ("new", "newer"):
        status = again.controller.get(ADMIN, Ref("vnet", "acme", name)).status
        assert {(w.device, w.reason) for w in status.waiting} == {(d, "quarantine") for d in everyone}
    assert str(auto) not in vnis(again, "leaf2")
    again.hold_all()
    again.hold_all()
    assert again.state("vnet", "new", "acme") == again.state("vnet", "newer", "acme") == "Active"
    assert {str(auto), "9000"} <= vnis(again, "leaf2")
    assert not {str(auto), "9000"} & vnis(again, "leaf3")
    again.check_derived()
    again.close()

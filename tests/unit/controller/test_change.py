"""Changes: what is refused and in which words, atomicity, plan and apply, concurrency, crashes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from support import databases
from support.controlled import ADMIN, PlainDriver, Rig, doc, quickstart, rig
from support.forked import Forked
from underlace.access import Actor, Role, device_actor
from underlace.controller.controller import Controller
from underlace.controller.document import Document, Request
from underlace.kinds.base import Devices
from underlace.kinds.vnet import Vnet
from underlace.model.capability import Capabilities
from underlace.model.device import Vrf
from underlace.model.diagnostic import Refused
from underlace.model.fact import Fact
from underlace.model.ids import Ref
from underlace.model.resource import Resource, View
from underlace.store.engine import Place
from underlace.store.store import Store


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    yield opened
    opened.close()


def codes(fabric: Rig, *put: Document, delete: tuple[Ref, ...] = (), actor: Actor = ADMIN) -> list[tuple[str, str]]:
    """(code, resource and pointer) of the findings; both plan and apply refuse, and nothing is written."""
    before, revisions = fabric.hashes(), len(fabric.controller.revisions(ADMIN))
    with pytest.raises(Refused) as planned:
        fabric.plan(*put, delete=delete, actor=actor)
    with pytest.raises(Refused) as refused:
        fabric.put(*put, delete=delete, actor=actor)
    assert planned.value.diagnostics == refused.value.diagnostics
    assert fabric.hashes() == before
    assert len(fabric.controller.revisions(ADMIN)) == revisions
    fabric.check_derived()
    return [(d.code, f"{d.where.resource}{d.where.pointer}") for d in refused.value.diagnostics]


def test_all_that_is_wrong_with_documents_is_said_at_once(fabric: Rig) -> None:
    found = codes(
        fabric,
        Document(Ref("vpc", "acme", "a"), {"vni": "many", "colour": 1}, file="x.yaml", line=7),
        Document(Ref("vlan", "acme", "b"), {}),
        Document(Ref("site", "acme", "c"), {}),
    )
    assert found == [
        ("tenant-forbidden", "site/acme/c/tenant"),
        ("unknown-kind", "vlan/acme/b/kind"),
        ("unknown-field", "vpc/acme/a/spec/colour"),
        ("bad-value", "vpc/acme/a/spec/vni"),
    ]


def test_all_that_is_wrong_between_resources_is_said_at_once(fabric: Rig) -> None:
    found = codes(
        fabric,
        doc("vnet", "one", "acme", vpc="nowhere", ports=[{"port": "swp12@leaf1"}]),
        doc("vnet", "two", "acme", vpc="red", ports=[{"port": "swp5@leaf1"}], vni=10_005),
        doc("subnet", "red-again", "acme", prefix="10.1.1.128/25", vpc="red"),
        delete=(Ref("vpc", "bolt", "blue"),),
    )
    assert found == [
        ("already-claimed", "subnet/acme/red-again/spec/prefix"),
        ("dangling-reference", "vnet/acme/one/spec/vpc"),
        ("already-claimed", "vnet/acme/two/spec/ports/0/port"),
        ("number-in-use", "vnet/acme/two/spec/vni"),
        ("still-referred-to", "vpc/bolt/blue"),
    ]


def test_a_newcomer_that_contradicts_what_is_stored_is_told_with_all_others(
    fabric: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of a fragment is taken as it is stored, which does not say whose it is."""
    normal = Vnet.compile

    def odd(self: Vnet, r: Resource[Any], view: View, devices: Devices = None) -> Iterator[Fact]:
        for fact in normal(self, r, view, devices):
            contradicts = r.ref.name == "odd" and isinstance(fact.object, Vrf)
            yield fact._replace(object=Vrf(fact.object.name, l3vni=9)) if contradicts else fact  # type: ignore[attr-defined]

    monkeypatch.setattr(Vnet, "compile", odd)
    found = codes(fabric, doc("vnet", "odd", "bolt", vpc="blue", ports=[{"port": "swp14@leaf1"}]))
    assert {code for code, _ in found} == {"merge-conflict"}
    assert {"vnet/bolt/odd", "vnet/bolt/blue-web"} <= {owner for _, owner in found}


def test_findings_name_file_and_line(fabric: Rig) -> None:
    wrong = Document(Ref("vnet", "acme", "one"), {"vpc": "nowhere"}, file="net.yaml", line=12)
    with pytest.raises(Refused) as refused:
        fabric.put(wrong)
    (finding,) = refused.value.diagnostics
    assert (finding.where.file, finding.where.line) == ("net.yaml", 12)


def test_two_resources_of_one_change_do_not_share_what_is_exclusive(fabric: Rig) -> None:
    found = codes(
        fabric,
        doc("vnet", "one", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}], vni=500),
        doc("vnet", "two", "bolt", vpc="blue", ports=[{"port": "swp12@leaf1"}], vni=500),
    )
    assert sorted(found) == [
        ("already-claimed", "vnet/acme/one/spec/ports/0/port"),
        ("already-claimed", "vnet/bolt/two/spec/ports/0/port"),
        ("number-in-use", "vnet/acme/one/spec/vni"),
        ("number-in-use", "vnet/bolt/two/spec/vni"),
    ]


def test_an_exclusive_thing_changes_hands_in_one_change(fabric: Rig) -> None:
    vni = fabric.number("vni", "vnet", "red-web", "acme")
    port = [{"port": "swp5@leaf1"}]
    fabric.put(
        doc("vnet", "next", "acme", vpc="red", ports=port, vni=vni),
        doc("vnet", "red-web", "acme", vpc="red", ports=[{"port": "swp5@leaf2"}], vni=400),
    )
    assert fabric.number("vni", "vnet", "next", "acme") == vni
    fabric.check_derived()


def test_many_go_together_in_any_order(fabric: Rig) -> None:
    exported = [d.ref for d in fabric.controller.export(ADMIN)]
    tenants = [r for r in exported if r.tenant in ("acme", "bolt", "platform")]
    fabric.delete(*sorted(tenants), *(Ref("tenant", "-", name) for name in ("bolt", "acme", "platform")))
    fabric.check_derived()
    fabric.put(*quickstart())
    fabric.check_derived()


def test_built_in_resources_stay(fabric: Rig) -> None:
    refs = (Ref("vpc", "system", "border"), Ref("tenant", "-", "system"), Ref("profile", "-", "default"))
    assert {code for code, _ in codes(fabric, delete=refs)} == {"built-in"}
    fabric.put(doc("profile", "default", protection={"icmp_rate": 5}))


def test_to_write_and_to_delete_is_a_contradiction(fabric: Rig) -> None:
    found = codes(fabric, doc("vpc", "red", "acme"), delete=(Ref("vpc", "acme", "red"),))
    assert found == [("put-and-deleted", "vpc/acme/red")]
    assert codes(fabric, delete=(Ref("vpc", "acme", "none"),)) == [("not-found", "vpc/acme/none")]
    assert codes(fabric, delete=(Ref("vlan", "acme", "none"),)) == [("unknown-kind", "vlan/acme/none/kind")]


def test_requested_numbers_lie_in_their_range(fabric: Rig) -> None:
    found = codes(fabric, Document(Ref("vpc", "acme", "new"), {}, allocated={"vni": 1 << 24}))
    assert found == [("number-out-of-range", "vpc/acme/new/spec/vni")]


def test_what_a_device_cannot_do_is_refused_and_names_who_asked(tmp_path: Path) -> None:
    capabilities = Capabilities("linux", max_vrfs=1, tagged_ports=False, why={"tagged_ports": "No 8021q."})
    fabric = rig(tmp_path, PlainDriver(capabilities))
    fabric.put(*(d for d in quickstart() if d.ref.kind not in ("vnet", "vpc-peering", "bgp-peer")))
    fabric.put(doc("vnet", "plain", "acme", vpc="red", ports=[{"port": "swp3@leaf1"}]))
    found = codes(fabric, doc("vnet", "tagged", "acme", vpc="red", ports=[{"port": "swp3@leaf1", "vlan": 5}]))
    assert found == [("capability-missing", "vnet/acme/tagged")], "not `plain`, though it is in the same fragment"
    found = codes(fabric, doc("vnet", "second", "bolt", vpc="blue", ports=[{"port": "swp4@leaf1"}]))
    assert found == [("too-many-vrfs", "")]
    found = codes(fabric, doc("switch", "leaf9", site="dc1", role="leaf", ports=4, os="toaster"))
    assert found == [("os-unknown", "switch/-/leaf9/spec/os")]
    fabric.close()


def test_apply_does_what_was_planned_or_nothing(fabric: Rig) -> None:
    change = doc("vnet", "new", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}])
    plan = fabric.plan(change)
    fabric.put(doc("vpc", "unrelated", "bolt"))
    with pytest.raises(Refused) as refused:
        fabric.put(change, expect=plan.digest)
    assert [d.code for d in refused.value.diagnostics] == ["plan-changed"], "the VNI of the plan is another's now"
    plan = fabric.plan(change)
    done = fabric.put(change, expect=plan.digest)
    assert (done.digest, done.devices) == (plan.digest, ("leaf1",))
    with pytest.raises(Refused):
        fabric.put(change, expect=plan.digest)


def test_an_apply_says_what_its_plan_said_when_it_is_asked(fabric: Rig) -> None:
    change = doc("vnet", "wide", "acme", vpc="red", ports=[{"port": f"swp13@leaf{i}"} for i in (1, 2, 3)])
    plan = fabric.plan(change)
    done = fabric.controller.apply(ADMIN, Request((change,), expect=plan.digest, show=True))
    assert (done.plans, done.disruption) == (plan.devices, plan.disruption)
    assert done.devices == ("leaf1", "leaf2", "leaf3")
    quiet = fabric.delete(change.ref)
    assert (quiet.plans, quiet.disruption, quiet.devices) == ((), "", done.devices)


def test_what_devices_say_meanwhile_does_not_change_a_plan(fabric: Rig) -> None:
    change = doc("vnet", "new", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}])
    plan = fabric.plan(change)
    fabric.hold_all()
    assert fabric.plan(change).digest == plan.digest
    fabric.put(change, expect=plan.digest)


def test_labels_are_intent_and_touch_no_device(fabric: Rig) -> None:
    labelled = Document(Ref("vpc", "acme", "red"), {}, {"team": "web"})
    done = fabric.put(labelled)
    assert done.devices == ()
    assert [(f.pointer, f.after) for f in done.resources[0].fields] == [("/labels/team", "web")]
    page = fabric.controller.find(ADMIN, "vpc", labels={"team": "web"})
    assert [i.name for i in page.items] == ["red"]
    fabric.put(Document(Ref("vpc", "acme", "red"), {}))
    assert fabric.controller.find(ADMIN, "vpc", labels={"team": "web"}).items == ()


def test_readers_and_devices_write_nothing(fabric: Rig) -> None:
    change = doc("vpc", "new", "acme")
    assert codes(fabric, change, actor=Actor("r", Role.READER)) == [("forbidden", "vpc/acme/new")]
    assert codes(fabric, change, actor=device_actor("leaf1")) == [("forbidden", "")]


def test_only_an_admin_brings_numbers_along(fabric: Rig) -> None:
    brought = Document(Ref("vpc", "acme", "new"), {}, id=900, allocated={"vni": 5})
    assert codes(fabric, brought, actor=Actor("o", Role.OPERATOR)) == [("forbidden", "")]
    fabric.put(brought)
    item = fabric.controller.get(ADMIN, brought.ref)
    assert (item.id, item.status.allocated) == (900, {"vni": 5})
    fabric.put(doc("vpc", "newer", "acme"))
    assert fabric.controller.get(ADMIN, Ref("vpc", "acme", "newer")).id == 901


def test_ids_come_once(fabric: Rig) -> None:
    fabric.put(doc("vpc", "new", "acme"))
    first = fabric.controller.get(ADMIN, Ref("vpc", "acme", "new")).id
    fabric.delete(Ref("vpc", "acme", "new"))
    fabric.put(doc("vpc", "new", "acme"))
    assert fabric.controller.get(ADMIN, Ref("vpc", "acme", "new")).id > first


def test_a_store_is_of_a_lab_or_of_a_real_fabric(fabric: Rig) -> None:
    fabric.close()
    store = Store.open(databases.place(fabric.path))
    with pytest.raises(Refused) as refused:
        Controller(store, {"linux": PlainDriver()}, simulated=True)
    assert [d.code for d in refused.value.diagnostics] == ["simulated-mixed"]
    store.close()


def test_eight_threads_at_once(fabric: Rig) -> None:
    """All succeed or are refused by a rule; numbers and claims stay exclusive."""
    wrong: list[BaseException] = []
    taken: list[str] = []

    def work(n: int) -> None:
        try:
            for i in range(15):
                fabric.put(doc("vpc", f"v{n}-{i}", "acme"))
                try:
                    fabric.put(
                        doc("vnet", f"n{n}-{i}", "bolt", vpc="blue", ports=[{"port": f"swp{10 + i % 5}@leaf3"}])
                    )
                    taken.append(f"{i % 5}")
                except Refused as refused:
                    assert [d.code for d in refused.diagnostics] == ["already-claimed"]  # noqa: PT017
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(taken) == ["0", "1", "2", "3", "4"]
    page = fabric.controller.find(ADMIN, "vpc", limit=1_000)
    vnis = [i.status.allocated["vni"] for i in page.items]
    assert len(vnis) == 8 * 15 + 4
    assert len(set(vnis)) == len(vnis)
    revisions = [r.id for r in fabric.controller.revisions(ADMIN, 1_000)]
    assert revisions == list(range(len(revisions), 0, -1))
    fabric.check_derived()


def write_on(place: Place, name: str) -> None:
    """Four threads that make VPCs, and say the name of each that was acknowledged."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    store = Store.open(place)
    fabric = Rig(Path(), Controller(store, {"linux": PlainDriver()}), store)
    lock = threading.Lock()

    def work(n: int) -> None:
        for i in range(10_000):
            fabric.put(doc("vpc", f"v{name}-{n}-{i}", "acme"))
            with lock:
                print(f"v{name}-{n}-{i}", flush=True)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_was_acknowledged_survives_a_kill(fabric: Rig) -> None:
    """kill -9 in the middle of commits, three times over."""
    fabric.close()
    place, acknowledged = databases.place(fabric.path), set[str]()
    for n in range(3):
        out, into = os.pipe()
        child = Forked.start(partial(write_on, place, str(n)), [0, into, 2])
        os.close(into)
        with open(out) as words:
            said = [words.readline() for _ in range(40)]
            child.kill()
            said += words.readlines()
        assert child.wait() == -signal.SIGKILL
        # A last line that the kill cut short was not said.
        acknowledged |= {line.strip() for line in said if line.endswith("\n")}
    store = Store.open(place)
    again = Rig(fabric.path, Controller(store, {"linux": PlainDriver()}), store)
    present = {i.name for i in again.controller.find(ADMIN, "vpc", "acme", limit=100_000).items}
    assert len(acknowledged) >= 120
    assert acknowledged <= present
    again.check_derived()
    again.close()


def test_export_and_import_with_allocations(fabric: Rig, tmp_path: Path) -> None:
    fabric.delete(Ref("vnet", "acme", "red-web"))
    fabric.put(doc("vnet", "red-web", "acme", vpc="red", gateways=["10.1.1.1/24"], ports=[{"port": "swp5@leaf2"}]))
    exported = tuple(fabric.controller.export(ADMIN))
    (tmp_path / "other").mkdir()
    other = rig(tmp_path / "other")
    other.controller.apply(ADMIN, Request(exported, message="import"))
    assert other.hashes() == fabric.hashes()
    assert tuple(other.controller.export(ADMIN)) == exported
    other.close()


def test_an_export_can_be_imported_in_parts_of_any_size(fabric: Rig, tmp_path: Path) -> None:
    """What others stand on comes first, also what a rule of another kind asks for: loopbacks of switches."""
    exported = tuple(fabric.controller.export(ADMIN))
    for size in (1, 7):
        (tmp_path / str(size)).mkdir()
        other = rig(tmp_path / str(size))
        for start in range(0, len(exported), size):
            other.controller.apply(ADMIN, Request(exported[start : start + size]))
        assert other.hashes() == fabric.hashes()
        assert tuple(other.controller.export(ADMIN)) == exported
        other.check_derived()
        other.close()


def test_an_import_that_is_run_again_compiles_nothing(fabric: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = tuple(fabric.controller.export(ADMIN))
    monkeypatch.setattr("underlace.controller.change.recompile", lambda run: pytest.fail("compiled"))
    assert fabric.controller.apply(ADMIN, Request(exported)).digest == ""


def test_an_import_gives_an_id_to_one_resource_only(fabric: Rig) -> None:
    known = next(d for d in fabric.controller.export(ADMIN) if d.ref.kind == "vpc")
    assert known.id is not None
    brought = [Document(Ref("vpc", "acme", name), {}, id=i) for name, i in (("a", known.id), ("b", 900), ("c", 900))]
    brought.append(Document(Ref("vpc", "acme", "d"), {}, id=1 << 31))
    with pytest.raises(Refused) as refused:
        fabric.controller.apply(ADMIN, Request(tuple(brought)))
    found = refused.value.diagnostics
    assert [(d.code, d.where.resource) for d in found] == [("id-not-possible", f"vpc/acme/{n}") for n in "acd"]
    assert str(known.ref) in found[0].detail

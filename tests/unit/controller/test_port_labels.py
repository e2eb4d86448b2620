"""Ports that join V-Nets by labels of servers: an edit plans these ports and nothing else, and no tenant selects what
is another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.controlled import Rig, doc, quickstart, rig
from underlace.access import Actor, Role
from underlace.controller import recompile
from underlace.controller.document import Document
from underlace.model.device import AccessPort, StaticRoute, TaggedPort, decode_fragment
from underlace.model.diagnostic import Refused
from underlace.model.ids import NO_TENANT, Ref
from underlace.store import fragments

USER = Actor("user", Role.TENANT, frozenset({"acme"}))


def server(name: str, tenant: str | None = "acme", /, *nics: str, **labels: str) -> Document:
    """A server; labels by interface."""
    spec = {"site": "dc1", "nics": [{"name": nic} for nic in nics or ("eth1", "eth2")]}
    written = {f"iface.{nic}": label for nic, label in labels.items()}
    return Document(Ref("server", NO_TENANT, name), spec | ({"tenant": tenant} if tenant else {}), written)


def cable(nic: str, port: str, **spec: Any) -> Document:
    return doc("link", f"{nic}-{port}", a=nic, b=port, **spec)


def disks(name: str = "disks", tenant: str = "acme", /, vpc: str = "red", **spec: Any) -> Document:
    return doc("vnet", name, tenant, vpc=vpc, **{"port_labels": [{"label": "storage"}], **spec})


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    opened.put(*quickstart())
    opened.put(
        *(server(name) for name in ("h1", "h2")),
        cable("eth1@h1", "swp10@leaf1"),
        cable("eth2@h1", "swp10@leaf2"),
        cable("eth1@h2", "swp11@leaf1"),
        disks(),
    )
    opened.hold_all()
    yield opened
    opened.close()


def members(fabric: Rig, name: str = "disks", tenant: str = "acme") -> set[str]:
    """Ports of a V-Net on devices, with their VLAN; what is stored is what a full compile gives."""
    fabric.check_derived()
    vni = fabric.number("vni", "vnet", name, tenant)
    found = set()
    with fabric.store.read() as c:
        keys = fragments.every_key(c)
        bodies = fragments.bodies(c, keys)
    for key, one in keys.items():
        for item in decode_fragment(bodies[one].encode()):
            if isinstance(item, AccessPort) and item.vni == vni:
                found.add(f"{item.port}@{key.device}")
            elif isinstance(item, TaggedPort) and item.vni == vni:
                found.add(f"{item.port}@{key.device}.{item.vlan}")
    return found


def refusal(change: Callable[[], object]) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        change()
    return sorted((d.code, f"{d.where.resource}{d.where.pointer}") for d in refused.value.diagnostics)


def test_a_label_puts_the_port_opposite_into_the_v_net(fabric: Rig) -> None:
    assert members(fabric) == set()
    fabric.put(server("h1", eth1="storage"))
    assert members(fabric) == {"swp10@leaf1"}
    fabric.put(server("h1", eth1="storage", eth2="backup, storage"), server("h2", eth1="other"))
    assert members(fabric) == {"swp10@leaf1", "swp10@leaf2"}
    fabric.put(server("h1", eth2="storage"))
    assert members(fabric) == {"swp10@leaf2"}
    fabric.put(server("h1"))
    assert members(fabric) == set()


def test_a_label_plans_exactly_its_port(fabric: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    fabric.put(server("h1", eth1="storage", eth2="storage"))
    fabric.hold_all()
    plan = fabric.plan(server("h2", eth1="storage"))
    (device,) = plan.devices
    assert (device.device, [(c.verb, c.key) for c in device.changes]) == (
        "leaf1",
        [("create", ("access-port", "swp11"))],
    )
    compiled: list[Any] = []
    original = recompile.compile_facts

    def counting(resources: Any, view: Any, devices: Any = None) -> Any:
        facts = list(original(resources, view, devices))
        compiled.extend(facts)
        return facts

    monkeypatch.setattr(recompile, "compile_facts", counting)
    fabric.put(server("h2", eth1="storage"))
    assert {fact.device for fact in compiled} == {"leaf1"}
    monkeypatch.undo()
    assert members(fabric) == {"swp10@leaf1", "swp11@leaf1", "swp10@leaf2"}


def test_other_labels_cost_nothing(fabric: Rig) -> None:
    before = fabric.hashes()
    spoken = Document(Ref("server", NO_TENANT, "h1"), server("h1").spec, {"rack": "b7"})
    assert fabric.put(spoken).devices == ()
    vnet = disks()
    fabric.put(Document(vnet.ref, vnet.spec, {"iface.eth1": "storage"}))
    assert fabric.hashes() == before


def test_a_cable_that_is_moved_moves_the_port(fabric: Rig) -> None:
    fabric.put(server("h1", eth1="storage"))
    link = Ref("link", NO_TENANT, "eth1@h1-swp10@leaf1")
    fabric.put(doc("link", link.name, a="eth1@h1", b="swp12@leaf1"))
    assert members(fabric) == {"swp12@leaf1"}
    fabric.put(doc("link", link.name, b="eth1@h1", a="swp12@leaf3"))
    assert members(fabric) == {"swp12@leaf3"}
    fabric.delete(link)
    assert members(fabric) == set()


def test_what_the_v_net_says_of_a_port_holds(fabric: Rig) -> None:
    labels = [{"label": "storage", "vlan": 10}]
    fabric.put(
        server("h1", eth1="storage", eth2="storage"), disks(ports=[{"port": "swp10@leaf1"}], port_labels=labels)
    )
    assert members(fabric) == {"swp10@leaf1", "swp10@leaf2.10"}


def test_a_port_is_untagged_in_one_v_net_and_tagged_in_many(fabric: Rig) -> None:
    more = disks("more", port_labels=[{"label": "storage", "vlan": 20}])
    fabric.put(server("h1", eth1="storage"), more)
    assert members(fabric, "more") == {"swp10@leaf1.20"}
    with pytest.raises(Refused) as refused:
        fabric.put(disks("again"))
    (fault,) = refused.value.diagnostics
    assert (fault.code, fault.where.pointer) == ("already-claimed", "/spec/port_labels/0/label")
    assert fault.detail == "Vnet acme/again asks for port swp10@leaf1, untagged, but vnet acme/disks has it."


def test_a_label_on_a_port_that_has_a_v_net_names_both(fabric: Rig) -> None:
    fabric.put(doc("vnet", "direct", "acme", vpc="red", ports=[{"port": "swp10@leaf1"}]))
    with pytest.raises(Refused) as refused:
        fabric.put(server("h1", eth1="storage"))
    (fault,) = refused.value.diagnostics
    assert str(fault.where.resource) == "vnet/acme/disks"
    assert fault.detail == "Vnet acme/disks asks for port swp10@leaf1, untagged, but vnet acme/direct has it."


def test_a_port_changes_hands_within_one_change(fabric: Rig) -> None:
    """Both the label that goes and the V-Net that comes are in it, whatever is looked at first."""
    fabric.put(server("h1", eth1="storage"))
    direct = doc("vnet", "direct", "acme", vpc="red", ports=[{"port": "swp10@leaf1"}])
    fabric.put(server("h1"), direct)
    assert (members(fabric), members(fabric, "direct")) == (set(), {"swp10@leaf1"})
    fabric.put(server("h1", eth1="storage"), disks(mtu=1_500), doc("vnet", "direct", "acme", vpc="red"))
    assert (members(fabric), members(fabric, "direct")) == ({"swp10@leaf1"}, set())
    other = doc("vnet", "backup", "acme", vpc="red", port_labels=[{"label": "backup"}])
    fabric.put(server("h1", eth1="backup"), server("h2", eth1="storage"), disks(mtu=1_400), other)
    assert (members(fabric), members(fabric, "backup")) == ({"swp11@leaf1"}, {"swp10@leaf1"})


def test_a_tenant_selects_nothing_of_anothers_by_its_label(fabric: Rig) -> None:
    fabric.put(
        server("h1", "acme", eth1="storage"),
        server("h2", None, eth1="bolt/storage"),
        disks("theirs", "bolt", vpc="blue"),
    )
    assert (members(fabric), members(fabric, "theirs", "bolt")) == ({"swp10@leaf1"}, {"swp11@leaf1"})
    fabric.put(server("h2", None, eth1="bolt/backup"))
    for label in ("backup", "storage"):
        fabric.put(doc("vnet", "guess", "acme", vpc="red", port_labels=[{"label": label, "vlan": 9}]), actor=USER)
        assert members(fabric, "guess") <= {"swp10@leaf1.9"}
    assert members(fabric, "guess") == {"swp10@leaf1.9"}


def test_a_label_says_whose_it_is_and_is_of_an_interface_on_a_leaf(fabric: Rig) -> None:
    assert refusal(lambda: fabric.put(server("h1", None, eth1="storage"))) == [
        ("label-of-no-tenant", "server/-/h1/labels/iface.eth1")
    ]
    assert refusal(lambda: fabric.put(server("h1", eth9="storage", eth1="bolt//x,"))) == [
        ("bad-nic-label", "server/-/h1/labels/iface.eth1"),
        ("bad-nic-label", "server/-/h1/labels/iface.eth1"),
        ("no-such-port", "server/-/h1/labels/iface.eth9"),
    ]
    fabric.put(doc("port", "swp10@leaf1", tenant="bolt"))
    assert refusal(lambda: fabric.put(server("h1", eth1="storage"))) == [
        ("port-of-another-tenant", "link/-/eth1@h1-swp10@leaf1/spec/b")
    ]
    fabric.put(cable("eth2@h2", "swp7@spine1"))
    assert refusal(lambda: fabric.put(server("h2", eth2="storage"))) == [
        ("not-a-leaf", "link/-/eth2@h2-swp7@spine1/spec/b")
    ]
    fabric.put(server("h2", eth1="storage"))
    assert refusal(lambda: fabric.put(doc("port", "swp11@leaf1", tenant="bolt"))) == [
        ("port-of-another-tenant", "link/-/eth1@h2-swp11@leaf1/spec/b")
    ]


def test_what_a_leaf_carries_is_known_of_labelled_ports_too(fabric: Rig) -> None:
    """The V-Net names neither the leaf nor the port."""
    fabric.put(server("h1", eth1="storage"))
    assert refusal(lambda: fabric.put(doc("port", "swp10@leaf1", mtu=1_500))) == [
        ("port-mtu-too-small", "vnet/acme/disks/spec/port_labels/0/label")
    ]
    low = doc("profile", "low", underlay={"mtu": 1_600})
    leaf = next(d for d in quickstart() if str(d.ref) == "switch/-/leaf1")
    assert ("mtu-too-large", "vnet/acme/disks/spec/mtu") in refusal(
        lambda: fabric.put(low, Document(leaf.ref, {**leaf.spec, "profile": "low"}))
    )
    fabric.put(Document(leaf.ref, {**leaf.spec, "loopback": "10.255.0.77"}))
    fabric.check_derived()


def test_a_static_route_follows_its_v_net_to_labelled_ports(fabric: Rig) -> None:
    subnet = doc("subnet", "disks", "acme", prefix="10.1.30.0/24", vpc="red")
    route = doc("static-route", "behind", "acme", vpc="red", prefix="10.50.0.0/24", next_hop="10.1.30.9")
    fabric.put(subnet, disks(gateways=["10.1.30.1/24"]), server("h1", eth1="storage"), route)
    assert having_route(fabric) == {"leaf1"}
    fabric.put(server("h1", eth1="storage", eth2="storage"))
    assert having_route(fabric) == {"leaf1", "leaf2"}
    fabric.put(disks(gateways=["10.1.30.1/24"], port_labels=[{"label": "backup"}]), server("h1", eth2="backup"))
    assert having_route(fabric) == {"leaf2"}


def having_route(fabric: Rig) -> set[str]:
    fabric.check_derived()
    with fabric.store.read() as c:
        keys = fragments.every_key(c)
        bodies = fragments.bodies(c, keys)
    routed = {one for one, body in bodies.items() if "static-route" in body}
    assert all(any(isinstance(o, StaticRoute) for o in decode_fragment(bodies[one].encode())) for one in routed)
    return {key.device for key, one in keys.items() if one in routed}

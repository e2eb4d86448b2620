"""Law 7: cost follows the change, not the size of the fabric, and incremental equals full.

That any sequence of edits leaves what a full compile gives is shown in tests/property/test_incremental.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from support.controlled import ADMIN, Rig, doc, quickstart, rig
from underlace.controller.document import Document
from underlace.kinds.base import AnyKind
from underlace.kinds.registry import KINDS
from underlace.model.fact import FragmentKey
from underlace.model.ids import NO_TENANT, Ref
from underlace.store.view import StoreView


@dataclass
class Cost:
    """statements: sent by the writer; read: resources made from rows; compiled: compiles of resources, by kind."""

    statements: int = 0
    read: int = 0
    compiled: Counter[str] = field(default_factory=Counter)


@contextmanager
def counting(fabric: Rig) -> Iterator[Cost]:
    cost = Cost()

    def count(*_: Any) -> None:
        cost.statements += 1

    parse = StoreView.parse

    def counted_parse(view: StoreView, row: Any) -> Any:
        cost.read += 1
        return parse(view, row)

    def counted(kind: AnyKind) -> Callable[..., Any]:
        compile_ = type(kind).compile

        def counted_compile(*args: Any) -> Any:
            cost.compiled[kind.name] += 1
            return compile_(*args)

        return counted_compile

    engine = fabric.store._writers
    event.listen(engine, "before_cursor_execute", count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoreView, "parse", counted_parse)
        for kind in KINDS.values():
            patch.setattr(type(kind), "compile", counted(kind))
        yield cost
    event.remove(engine, "before_cursor_execute", count)


def fabric_of(fabric: Rig, leaves: int, vpcs: int) -> None:
    """`vpcs` tenants' VPCs with a V-Net each, all on leaf1 and leaf2, and an outside session; peered two by two."""
    documents = [
        doc("site", "dc1"),
        doc("allocation", "lo", "system", prefix="10.255.0.0/16"),
        doc("subnet", "lo", "system", prefix="10.255.0.0/20", purpose="loopback"),
        *(doc("switch", f"leaf{i}", site="dc1", role="leaf", ports=64) for i in range(1, leaves + 1)),
    ]
    for i in range(vpcs):
        name = f"t{i}"
        documents += [
            doc("tenant", name),
            doc("vpc", "one", name),
            doc("allocation", "one", name, prefix="10.0.0.0/8", vpc="one"),
            *(doc("subnet", f"s{n}", name, prefix=f"{net(name, n)}.0/24", vpc="one") for n in (1, 2)),
            vnet(name, "first", 1, 100 + i),
            session(name),
        ]
    fabric.put(*documents, *(peering(i) for i in range(0, vpcs - 1, 2)))


def net(tenant: str, n: int) -> str:
    """The first bytes of a VPC's n-th prefix: peered ones have others."""
    return f"10.{n + 2 * (int(tenant[1:]) % 2)}.0"


def vnet(tenant: str, name: str, n: int, vlan: int, leaves: int = 2) -> Document:
    ports = [{"port": f"swp{n}@leaf{i}", "vlan": vlan} for i in range(1, leaves + 1)]
    return doc("vnet", name, tenant, vpc="one", gateways=[f"{net(tenant, n)}.1/24"], ports=ports)


def session(tenant: str, remote_asn: int = 64_496) -> Document:
    """On a port and network of its own."""
    i = int(tenant[1:])
    local, remote = (f"192.0.2.{2 * i + end}" for end in (0, 1))
    return doc(
        "bgp-peer",
        "up",
        tenant,
        vpc="one",
        port=f"swp{20 + i}@leaf1",
        local_addresses=[f"{local}/31"],
        remote_addresses=[remote],
        remote_asn=remote_asn,
    )


def peering(i: int, *prefixes: str) -> Document:
    """Of the VPCs of two tenants; the first opens these prefixes, or all."""
    ends = {"a": {"vpc": "one", "prefixes": list(prefixes)}, "b": {"vpc": f"t{i + 1}/one"}}
    return doc("vpc-peering", "pair", f"t{i}", **ends)


def costs(path: Path, leaves: int, vpcs: int) -> dict[str, Cost]:
    path.mkdir()
    fabric = rig(path)
    fabric_of(fabric, leaves, vpcs)
    found = {}
    edits = {
        "create": ((vnet("t0", "second", 2, 10),), ()),
        "update": ((vnet("t0", "second", 2, 11),), ()),
        "new VPC": ((doc("vpc", "two", "t1"),), ()),
        "create port": ((doc("port", "swp2@leaf1", mtu=9_100),), ()),
        "update port": ((doc("port", "swp2@leaf1", mtu=9_000, enabled=False),), ()),
        "delete port": ((), (Ref("port", NO_TENANT, "swp2@leaf1"),)),
        "update peering": ((peering(0, f"{net('t0', 1)}.0/24"),), ()),
        "delete peering": ((), (peering(0).ref,)),
        "create peering": ((peering(0),), ()),
        "update session": ((session("t0", 64_497),), ()),
        "delete session": ((), (session("t0").ref,)),
        "create session": ((session("t0"),), ()),
        "delete": ((), (vnet("t0", "second", 2, 11).ref,)),
    }
    for name, (put, delete) in edits.items():
        with counting(fabric) as cost:
            fabric.put(*put, delete=delete)
        assert cost.compiled or name == "new VPC"
        found[name] = cost
    fabric.check_derived()
    fabric.close()
    return found


def test_an_edit_costs_the_same_in_a_larger_fabric(tmp_path: Path) -> None:
    small, large = costs(tmp_path / "small", 3, 4), costs(tmp_path / "large", 12, 30)
    for edit, cost in large.items():
        assert (cost.read, cost.compiled) == (small[edit].read, small[edit].compiled), edit
        assert cost.statements <= small[edit].statements + 2, edit


def test_an_edit_over_many_leaves_sends_few_statements(tmp_path: Path) -> None:
    fabric = rig(tmp_path)
    fabric_of(fabric, 40, 2)
    with counting(fabric) as narrow:
        fabric.put(vnet("t0", "second", 2, 10, leaves=2))
    with counting(fabric) as wide:
        fabric.put(vnet("t1", "second", 2, 11, leaves=40))
    assert wide.statements <= narrow.statements + 3
    assert wide.statements < 70
    fabric.close()


def test_a_leaf_more_sends_as_few_statements_to_a_larger_fabric(tmp_path: Path) -> None:
    """Every leaf hears of it, as it takes VXLAN from known VTEPs only (law 11)."""
    sent = []
    for leaves in (4, 40):
        (tmp_path / str(leaves)).mkdir()
        fabric = rig(tmp_path / str(leaves))
        fabric_of(fabric, leaves, 2)
        with counting(fabric) as cost:
            fabric.put(doc("switch", "one-more", site="dc1", role="leaf", ports=64))
        assert cost.compiled == {"switch": leaves + 1}
        sent.append(cost.statements)
        fabric.close()
    assert sent[1] <= sent[0] + 2


def test_no_change_writes_nothing(tmp_path: Path) -> None:
    fabric = rig(tmp_path)
    first = fabric.put(*quickstart())
    again = fabric.put(*quickstart())
    assert (again.revision, again.digest, again.resources) == (first.revision, "", ())
    assert len(fabric.controller.revisions(ADMIN)) == 2
    fabric.close()


def test_a_fragment_that_is_not_what_intent_says_is_found(tmp_path: Path) -> None:
    fabric = rig(tmp_path)
    fabric.put(*quickstart())
    assert fabric.controller.differences(ADMIN) == []
    fabric.store.write(
        lambda c: c.exec_driver_sql("UPDATE fragment SET hash = x'00' WHERE device = 'leaf1' AND scope = 'base'")
    )
    fabric.store.write(
        lambda c: c.exec_driver_sql("DELETE FROM fragment WHERE device = 'leaf2' AND scope = 'port:swp1'")
    )
    found = fabric.controller.differences(ADMIN)
    assert [FragmentKey(d.device, d.scope) for d in found] == [("leaf1", "base"), ("leaf2", "port:swp1")]
    assert found[0].stored == "00"
    assert found[1].stored is None
    fabric.close()


def test_what_intent_was_is_not_kept_in_memory(tmp_path: Path) -> None:
    """A controller that another process writes beside sees it at once: it holds no copy."""
    fabric = rig(tmp_path)
    fabric.put(*quickstart())
    other = rig(tmp_path)
    other.put(doc("vpc", "green", "acme"))
    assert fabric.state("vpc", "green", "acme") == "Active"
    fabric.put(doc("vnet", "green", "acme", vpc="green", ports=[{"port": "swp11@leaf1"}]))
    other.check_derived()
    other.close()
    fabric.close()

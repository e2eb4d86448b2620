"""What a device cannot do is refused in the plan, with who asked for it and why not."""

from __future__ import annotations

import pytest

from underlace.compiler import check_budget, check_capabilities, limited
from underlace.model.capability import Capabilities
from underlace.model.device import BgpRouter, DeviceObject, L2Vni, Lag, Port, Protection, System, TaggedPort, Vrf
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.ids import Ref
from underlace.model.wire import CANNOT

ABLE = Capabilities("linux", "8.4.4", tagged_ports=True, lags=True)
OWNER = Ref("vnet", "acme", "web")


@pytest.mark.parametrize(
    ("item", "capabilities", "words"),
    [
        (TaggedPort("swp5", 7), Capabilities("linux"), "port swp5 is to carry VLAN 7 tagged"),
        (Lag("bond1", frozenset({"swp5", "swp6"})), Capabilities("linux"), "bond1 is to be made of swp5, swp6"),
        (System("leaf1", mtu=9_216), Capabilities("linux", max_underlay_mtu=9_000), "its largest is 9000"),
        (
            Port("swp1", mtu=9_216),
            Capabilities("linux", max_underlay_mtu=9_000),
            "port swp1 is to have an MTU of 9216",
        ),
        (Protection(), Capabilities("linux", closed_underlay=False), "the underlay must be closed"),
        (Vrf("vpc-1", rd="10.0.0.1:65536"), ABLE, "10.0.0.1:65536 is no route distinguisher"),
        (L2Vni(7, rd="7"), ABLE, "7 is no route distinguisher"),
        (L2Vni(7, rd="10.0.0.1:x"), ABLE, "10.0.0.1:x is no route distinguisher"),
        (BgpRouter("vpc-1", maximum_paths=2), ABLE, "it uses at most 1"),
        (System("leaf1"), Capabilities("linux", "7.0", why={"version": "FRR 7 has no namespaces."}), "FRR 7 has no"),
    ],
)
def test_gaps(item: DeviceObject, capabilities: Capabilities, words: str) -> None:
    (found,) = check_capabilities("leaf1", [item], capabilities, lambda _: [OWNER])
    assert found.code == "capability-missing"
    assert (found.where.resource, found.where.device) == ("vnet/acme/web", "leaf1")
    assert words in found.detail
    assert found.remedy


def test_no_gap() -> None:
    items = [
        System("leaf1", mtu=9_216),
        Protection(),
        Port("swp1", mtu=9_216),
        TaggedPort("swp5", 7),
        Lag("bond1", frozenset({"swp6"})),
        Vrf("vpc-1", rd="10.0.0.1:65535"),
        L2Vni(7),
        BgpRouter("default", maximum_paths=64),
        BgpRouter("vpc-1", maximum_paths=1),
    ]
    assert check_capabilities("leaf1", items, ABLE) == []


def test_what_a_device_says_that_it_lacks_is_missing() -> None:
    def told(code: str, feature: str) -> Diagnostic:
        return Diagnostic(Where(device="leaf1", pointer=f"/{feature}"), code, "s", "This device has no 8021q.")

    found = limited(ABLE, [told(CANNOT, "tagged_ports"), told(CANNOT, "os"), told(CANNOT, "why"), told("x", "y")])
    assert (found.tagged_ports, found.why) == (False, {"tagged_ports": "This device has no 8021q."})
    assert limited(ABLE, [told("address-claimed-twice", "tagged_ports")]) is ABLE


def test_the_reason_of_the_device_is_told() -> None:
    capabilities = Capabilities("linux", "8.4.4", why={"tagged_ports": "The kernel has no 8021q."})
    (found,) = check_capabilities("leaf1", [TaggedPort("swp5", 7)], capabilities)
    assert found.detail == "On leaf1 (linux 8.4.4) port swp5 is to carry VLAN 7 tagged. The kernel has no 8021q."


def test_each_owner_is_told_once() -> None:
    owners = [OWNER, Ref("vnet", "acme", "db")]
    items = [TaggedPort("swp5", 7), TaggedPort("swp5", 7)]
    found = check_capabilities("leaf1", items, Capabilities("linux"), lambda _: owners)
    assert [d.where.resource for d in found] == ["vnet/acme/db", "vnet/acme/web"]


def test_budget() -> None:
    assert check_budget("leaf1", 1_000, ABLE) == []
    (found,) = check_budget("leaf1", 1_001, ABLE)
    assert found.code == "too-many-vrfs"
    assert "1,001 VRFs; linux 8.4.4 holds 1,000" in found.detail

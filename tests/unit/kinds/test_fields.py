"""Field types: what each takes, in which form it keeps it, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from underlace.kinds import fields


def _take(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (fields.Vni, 1, 1),
        (fields.Vni, 16_777_215, 16_777_215),
        (fields.Asn, 4_294_967_294, 4_294_967_294),
        (fields.FabricAs, 65_534, 65_534),
        (fields.Vlan, 4_094, 4_094),
        (fields.Mtu, 9_166, 9_166),
        (fields.UnderlayMtu, 9_216, 9_216),
        (fields.Prefix, "2001:DB8:0:0::/48", "2001:db8::/48"),
        (fields.Prefix, "10.0.0.1", "10.0.0.1/32"),
        (fields.Address, "2001:DB8::0001", "2001:db8::1"),
        (fields.Ipv4, "10.0.0.1", "10.0.0.1"),
        (fields.InterfaceAddress, "2001:DB8::1/64", "2001:db8::1/64"),
        (fields.Mac, "02:00:5E:00:01:01", "02:00:5e:00:01:01"),
        (fields.TenantReference, "acme/red (old)", "acme/red (old)"),
        (fields.PortReference, "Ethernet1.100@leaf1.dc1", "Ethernet1.100@leaf1.dc1"),
        (fields.InterfaceName, "eth1", "eth1"),
    ],
)
def test_taken(kind: Any, value: Any, kept: Any) -> None:
    assert _take(kind, value) == kept


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (fields.Vni, 0),
        (fields.Vni, 16_777_216),
        (fields.Vni, "7"),
        (fields.Vni, True),
        (fields.Vni, 7.0),
        (fields.Asn, 0),
        (fields.Asn, 23_456),
        (fields.Asn, 65_535),
        (fields.Asn, 4_294_967_295),
        (fields.FabricAs, 4_200_000_000),
        (fields.FabricAs, 64_511),
        (fields.Vlan, 0),
        (fields.Vlan, 4_095),
        (fields.Mtu, 1_279),
        (fields.Mtu, 9_167),
        (fields.UnderlayMtu, 1_329),
        (fields.UnderlayMtu, 9_217),
        (fields.Prefix, "10.0.0.1/24"),
        (fields.Prefix, "10.0.0.0/33"),
        (fields.Prefix, "ten"),
        (fields.Prefix, 10),
        (fields.Address, "10.0.0.1/24"),
        (fields.Address, "0.0.0.0"),
        (fields.Address, "fe80::1"),
        (fields.Address, "::ffff:10.0.0.1"),
        (fields.Address, "255.255.255.255"),
        (fields.Ipv4, "2001:db8::1"),
        (fields.InterfaceAddress, "10.0.0.1"),
        (fields.InterfaceAddress, "224.0.0.1/24"),
        (fields.InterfaceAddress, "127.0.0.1/8"),
        (fields.InterfaceAddress, "fe80::1%eth0/64"),
        (fields.Mac, "01:00:5e:00:00:01"),
        (fields.Mac, "00:00:00:00:00:00"),
        (fields.Mac, "02-00-5e-00-01-01"),
        (fields.Mac, "02:00:5e:00:01:01\n"),
        (fields.TenantReference, "/red"),
        (fields.TenantReference, "acme/"),
        (fields.TenantReference, "red\n"),
        (fields.FabricReference, ""),
        (fields.PortReference, "swp1"),
        (fields.PortReference, "swp1@Leaf1"),
        (fields.PortReference, "swp1@leaf1\n"),
        (fields.PortReference, "swp1/2@leaf1"),
        (fields.PortReference, "a" * 16 + "@leaf1"),
        (fields.PortReference, "swp1@leaf1@leaf2"),
        (fields.InterfaceName, ".."),
        (fields.InterfaceName, "1eth"),
        (fields.InterfaceName, "eth1 up"),
        (fields.Description, "x" * 1_001),
    ],
)
def test_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        _take(kind, value)


def test_refusals_show_foreign_text_on_one_line() -> None:
    with pytest.raises(ValidationError) as caught:
        _take(fields.PortReference, "swp1\nrouter bgp {x}" + "y" * 40)
    message = caught.value.errors()[0]["msg"]
    assert "\n" not in message
    assert "{x}" in message

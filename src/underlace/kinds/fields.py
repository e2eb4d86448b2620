"""Field types that several specs share: range-checked numbers, and addresses as canonical text.

Addresses stay text in a spec: it compares, hashes and sorts fast, and a specification of 40,000 members stays small.
`model.net` gives the objects behind it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from underlace.model.diagnostic import shortened
from underlace.model.ids import is_hostname, is_name
from underlace.model.net import ASN_RANGE, FABRIC_AS_RANGE, MTU_RANGE, VLAN_RANGE, VNI_RANGE, VXLAN_OVERHEAD

_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,14}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_RESERVED_ASN = {23_456: "AS_TRANS (RFC 6793)", 65_535: "reserved (RFC 7300)"}


def _fault(text: str) -> PydanticCustomError:
    # Braces would be taken for a template of pydantic's.
    return PydanticCustomError("underlace", "{text}", {"text": text})


def is_interface(text: str) -> bool:
    """Whether text may name a port: a Linux interface name (at most 15 characters) that starts with a letter."""
    return _INTERFACE.fullmatch(text) is not None


def _prefix(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        pass
    try:
        meant = ip_interface(text).network
    except ValueError:
        raise _fault(f'"{shortened(text)}" is not a prefix such as 10.1.0.0/16 or 2001:db8::/48.') from None
    raise _fault(f"{text} has bits set beyond its prefix length; the prefix is {meant}.")


def _address(text: str) -> str:
    try:
        ip = ip_address(text)
    except ValueError:
        raise _fault(f'"{shortened(text)}" is not an IPv4 or IPv6 address.') from None
    return str(_host(ip))


def _interface_address(text: str) -> str:
    try:
        interface = ip_interface(text)
    except ValueError:
        raise _fault(f'"{shortened(text)}" is not an address with a prefix length such as 10.1.0.1/24.') from None
    if "/" not in text:
        raise _fault(f"{text} lacks its prefix length; write it as {text}/24, with the length of its subnet.")
    _host(interface.ip)
    return str(interface)


def _ipv4(text: str) -> str:
    address = _address(text)
    if ":" in address:
        raise _fault(f"{text} is an IPv6 address; the underlay's VTEP addresses are IPv4.")
    return address


def _host(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address, if a single host may hold it for more than a link."""
    for unfit, word in (
        (ip.is_multicast, "a multicast"),
        (ip.is_loopback, "a loopback (127.0.0.0/8, ::1)"),
        (ip.is_unspecified, "the unspecified"),
        (ip.is_link_local, "a link-local"),
        (isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None, "an IPv4-mapped"),
        (ip == IPv4Address("255.255.255.255"), "the broadcast"),
    ):
        if unfit:
            raise _fault(f"{ip} is {word} address; no host or gateway can use it here.")
    return ip


def _mac(text: str) -> str:
    mac = text.lower()
    if _MAC.fullmatch(mac) is None:
        raise _fault(f'"{shortened(text)}" is not a MAC address such as 02:00:5e:00:01:01.')
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise _fault(f"{mac} is a group or null address; a gateway needs a unicast MAC address.")
    return mac


def _asn(value: int) -> int:
    if value in _RESERVED_ASN:
        raise _fault(f"AS {value} is {_RESERVED_ASN[value]}; no router may use it as its own.")
    return value


def _reference(text: str) -> str:
    owner, slash, name = text.partition("/")
    if not (is_name(owner) and is_name(name) if slash else is_name(text)):
        raise _fault(f'"{shortened(text)}" is not a reference; write NAME, or TENANT/NAME for another tenant\'s.')
    return text


def _fabric_reference(text: str) -> str:
    if not is_name(text):
        raise _fault(f'"{shortened(text)}" cannot be the name of a resource.')
    return text


def is_port(text: str) -> bool:
    """Whether text is written as a port of a device: PORT@DEVICE."""
    port, at, device = text.partition("@")
    return bool(at) and is_interface(port) and is_hostname(device)


def _port(text: str) -> str:
    if not is_port(text):
        raise _fault(f'"{shortened(text)}" is not a port; write PORT@DEVICE, such as swp5@leaf1.')
    return text


def interface_name(text: str) -> str:
    """text, if it may name a port; else a fault for pydantic."""
    if not is_interface(text):
        raise _fault(f'"{shortened(text)}" is not an interface name: a letter, then at most 14 of A-Z a-z 0-9 . _ -')
    return text


Vni = Annotated[int, Field(strict=True, ge=VNI_RANGE[0], le=VNI_RANGE[1])]
"""VXLAN network identifier (RFC 7348)."""

Asn = Annotated[int, Field(strict=True, ge=ASN_RANGE[0], le=ASN_RANGE[1]), AfterValidator(_asn)]
"""BGP autonomous system number, 2 or 4 bytes."""

FabricAs = Annotated[int, Field(strict=True, ge=FABRIC_AS_RANGE[0], le=FABRIC_AS_RANGE[1])]
"""A private AS of 2 bytes (RFC 6996): with 4 bytes a route target has no room for a VNI."""

Vlan = Annotated[int, Field(strict=True, ge=VLAN_RANGE[0], le=VLAN_RANGE[1])]
"""802.1Q VLAN identifier."""

UnderlayMtu = Annotated[int, Field(strict=True, ge=MTU_RANGE[0] + VXLAN_OVERHEAD, le=MTU_RANGE[1])]
"""Bytes of an IP packet on a fabric link, VXLAN header included."""

Mtu = Annotated[int, Field(strict=True, ge=MTU_RANGE[0], le=MTU_RANGE[1] - VXLAN_OVERHEAD)]
"""Bytes of an IP packet on an access port or in a V-Net; IPv6 needs 1,280, VXLAN takes 50 of the underlay's."""

Prefix = Annotated[str, Field(json_schema_extra={"format": "ip-prefix"}), AfterValidator(_prefix)]
"""An IPv4 or IPv6 prefix without host bits."""

Address = Annotated[str, Field(json_schema_extra={"format": "ip"}), AfterValidator(_address)]
"""An IPv4 or IPv6 unicast address."""

Ipv4 = Annotated[str, Field(json_schema_extra={"format": "ipv4"}), AfterValidator(_ipv4)]
"""An IPv4 unicast address."""

InterfaceAddress = Annotated[
    str, Field(json_schema_extra={"format": "ip-interface"}), AfterValidator(_interface_address)
]
"""An address with the prefix length of its subnet."""

Mac = Annotated[str, Field(json_schema_extra={"format": "mac"}), AfterValidator(_mac)]
"""A unicast MAC address."""

TenantReference = Annotated[str, Field(max_length=511), AfterValidator(_reference)]
"""A resource of a tenant: NAME in the own tenant, TENANT/NAME in another."""

FabricReference = Annotated[str, Field(max_length=255), AfterValidator(_fabric_reference)]
"""A resource of the fabric, by its name."""

PortReference = Annotated[str, Field(max_length=80), AfterValidator(_port)]
"""A port of a device: PORT@DEVICE."""

InterfaceName = Annotated[str, AfterValidator(interface_name)]
"""The name of a port on its own device."""

Description = Annotated[str, Field(max_length=1_000)]
"""Free text for people. It is shown, never configured."""

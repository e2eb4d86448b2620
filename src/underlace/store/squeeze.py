"""Bodies of fragments as they are stored: squeezed, because at a million VPCs they would be most of the store.

A body is JSON of a few hundred bytes; by itself it hardly compresses, with a dictionary of what such bodies have in
common it takes a quarter.
"""

from __future__ import annotations

import zlib

MARK = b"1"
"""Begins a squeezed body, and says with which dictionary."""

DICTIONARY = (
    b'{"type":"protection"{"type":"port","name":"swp,"underlay":true,"mtu":9216}{"type":"bgp-neighbor","vrf":"default"'
    b',"fabric":true,"bfd":true}{"type":"bgp-router","vrf":"vpc-,"asn":42000000,"router_id":"10.,"connected":true,'
    b'{"type":"svi","vni":1,"vrf":"vpc-,"gateways":["10.0.0.1/24"],"mac":"02:00:5e:00:01:01"},{"type":"access-port",'
    b'"port":"swp[{"type":"l2vni","vni":1,"vrf":"vpc-1","rd":"10.:1,"import_targets":["65000:1"],"export_targets":'
    b'["65000:1"],"mtu":9000},{"type":"tagged-port","port":"swp1,"vlan":1,"vni":1,"vrf":"vpc-1},{"type":"vrf","name":'
    b'"vpc-1","l3vni":1,"rd":"10.,"import_targets":["65000:1"],"export_targets":["65000:1"]}]'
)
"""Never to be changed: what is stored is read with it. A better one gets a mark of its own."""


def squeezed(body: str) -> bytes:
    """The form to store."""
    packer = zlib.compressobj(level=6, wbits=-15, memLevel=5, zdict=DICTIONARY)
    return MARK + packer.compress(body.encode()) + packer.flush()


def plain(stored: bytes) -> str:
    """What was stored."""
    unpacker = zlib.decompressobj(wbits=-15, zdict=DICTIONARY)
    return unpacker.decompress(stored[len(MARK) :]).decode()

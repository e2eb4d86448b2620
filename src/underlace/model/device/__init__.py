"""Vendor-neutral device objects, and the canonical bytes of a fragment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from underlace.model.device.base import DeviceObject, FieldConflict, Key, merge_objects
from underlace.model.device.bgp import DEFAULT_VRF, Bfd, BgpNeighbor, BgpRouter, EvpnPeer
from underlace.model.device.system import Lag, Port, Protection, System
from underlace.model.device.vpc import AccessPort, L2Vni, Leak, RoutedPort, StaticRoute, Svi, TaggedPort, Vrf

AnyObject = (
    System
    | Protection
    | Port
    | Lag
    | BgpRouter
    | BgpNeighbor
    | EvpnPeer
    | Vrf
    | L2Vni
    | Svi
    | AccessPort
    | TaggedPort
    | RoutedPort
    | StaticRoute
    | Leak
)
"""The closed union of device objects."""

Model = Mapping[Key, DeviceObject]
"""All objects of a device, by key: the union of its fragments."""

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(tuple[AnyObject, ...])


def encode_fragment(objects: Iterable[DeviceObject]) -> bytes:
    """The canonical bytes of a fragment: objects sorted by key, sets sorted, defaults left out."""
    return _encoder.encode(sorted(objects, key=lambda o: o.key))


def decode_fragment(body: bytes) -> tuple[AnyObject, ...]:
    """The objects of a fragment. Raises msgspec.ValidationError for anything else."""
    return _decoder.decode(body)


def hash_fragment(body: bytes) -> str:
    """The name of a fragment: SHA-256 of its canonical bytes, hexadecimal."""
    return hashlib.sha256(body).hexdigest()


__all__ = [
    "DEFAULT_VRF",
    "AccessPort",
    "AnyObject",
    "Bfd",
    "BgpNeighbor",
    "BgpRouter",
    "DeviceObject",
    "EvpnPeer",
    "FieldConflict",
    "Key",
    "L2Vni",
    "Lag",
    "Leak",
    "Model",
    "Port",
    "Protection",
    "RoutedPort",
    "StaticRoute",
    "Svi",
    "System",
    "TaggedPort",
    "Vrf",
    "decode_fragment",
    "encode_fragment",
    "hash_fragment",
    "merge_objects",
]

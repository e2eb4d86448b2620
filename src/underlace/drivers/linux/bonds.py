"""Lags as bonds of the kernel, and back: the pure part. `bonding` has the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from underlace.drivers.linux.bond import LACP, STATIC, Bond, BondMember
from underlace.model.device import DeviceObject, Lag, Port

_MODES = {"lacp": LACP, "static": STATIC}
_WORDS = {mode: word for word, mode in _MODES.items()}


def items(lag: Lag, netns: str) -> Iterator[Bond | BondMember]:
    """Of a lag whose V-Net is in a namespace."""
    mode = _MODES[lag.mode or "lacp"]
    yield Bond(netns, lag.name, mode, lag.minimum_links or 1)
    for member in sorted(lag.members):
        yield BondMember(netns, member, lag.name, mode)


def objects(bond: Bond, members: Iterable[BondMember], mtu: int) -> Iterator[DeviceObject]:
    """What a bond amounts to, its members included: they have its MTU."""
    own = sorted(one.port for one in members if (one.netns, one.bond) == (bond.netns, bond.name))
    yield Lag(bond.name, frozenset(own), _WORDS.get(bond.mode, bond.mode), bond.minimum_links)
    for port in own:
        yield Port(port, underlay=False, enabled=True, mtu=mtu)

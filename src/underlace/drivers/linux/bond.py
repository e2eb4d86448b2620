"""Native items of lags."""

from __future__ import annotations

from underlace.drivers.linux import names
from underlace.drivers.linux.item import Item, netns_key
from underlace.model.change import Key

LACP, STATIC = "802.3ad", "balance-xor"
"""Modes, in the kernel's words."""


class Bond(Item, frozen=True, tag="bond"):
    """A lag, where its V-Net is. mode: in the kernel's words."""

    netns: str
    name: str
    mode: str
    minimum_links: int

    @property
    def key(self) -> Key:
        return ("bond", self.netns, self.name)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset({netns_key(self.netns)})

    @property
    def claims(self) -> frozenset[str]:
        return frozenset({f"port:{self.name}", f"mode:{self.name}:{self.mode}"})


class BondMember(Item, frozen=True, tag="bond-member"):
    """A port of a lag. It joins when it and the lag have their guards.

    mode: the lag's, which the kernel changes of an empty bond only. A member of one mode holds what a bond of another
    one claims: so a change of mode is a circle, and that takes the lag down with all that stands on it.
    """

    netns: str
    port: str
    bond: str
    mode: str
    up: bool = True

    @property
    def key(self) -> Key:
        return ("bond-member", self.netns, self.port)

    @property
    def refs(self) -> frozenset[Key]:
        guards = {("nft", self.netns, "netdev", names.guard(link)) for link in (self.port, self.bond)}
        return frozenset({("bond", self.netns, self.bond), ("placement", self.netns, self.port), *guards})

    @property
    def claims(self) -> frozenset[str]:
        others = (mode for mode in (LACP, STATIC) if mode != self.mode)
        return frozenset({f"link:{self.port}", *(f"mode:{self.bond}:{mode}" for mode in others)})

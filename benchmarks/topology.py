"""One neutral fabric, said in the words of each tool that is compared on it. Imports nothing of Underlace or pyavd.

Every server has two ports, on two neighbouring leaves, without a LAG; every port carries `vlans_per_port` tagged
VLANs. With the default sizes each leaf has 20 server ports and each of the 200 VLANs exactly once, so that "a network
is where its ports are" (Underlace) and "every network is on every leaf" (pyavd's default) mean the same fabric.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Vlan(NamedTuple):
    id: int
    vrf: int
    gateway4: str
    gateway6: str
    prefix4: str
    prefix6: str


class ServerPort(NamedTuple):
    server: str
    nic: str
    leaf: int
    number: int
    """Position on the leaf, from 1, after the uplinks."""
    vlans: tuple[int, ...]


class Topology(NamedTuple):
    """Sizes. Leaves, spines, VRFs and VLANs count from 1."""

    leaves: int = 200
    spines: int = 4
    vrfs: int = 100
    vlans: int = 200
    servers: int = 2_000
    vlans_per_port: int = 10

    @classmethod
    def scaled(cls, leaves: int) -> Topology:
        """The same fabric with fewer leaves: ten servers a leaf, all VRFs and VLANs."""
        return cls(leaves=leaves, servers=10 * leaves)

    def vlan(self, number: int) -> Vlan:
        """The VLAN of a number from 1: a /24 and a /64, spread evenly over the VRFs."""
        low, high = number % 256, number // 256
        return Vlan(
            id=100 + number,
            vrf=(number - 1) % self.vrfs + 1,
            gateway4=f"10.{high}.{low}.1/24",
            gateway6=f"2001:db8:{number:x}::1/64",
            prefix4=f"10.{high}.{low}.0/24",
            prefix6=f"2001:db8:{number:x}::/64",
        )

    def all_vlans(self) -> list[Vlan]:
        return [self.vlan(number) for number in range(1, self.vlans + 1)]

    def ports(self) -> Iterator[ServerPort]:
        """Two ports a server; the VLANs of a leaf's ports go round, so that a leaf has as many as its ports hold."""
        used = [0] * (self.leaves + 1)
        for server in range(self.servers):
            first = server % self.leaves + 1
            for nic, leaf in enumerate((first, first % self.leaves + 1), 1):
                start = used[leaf] * self.vlans_per_port
                vlans = tuple(sorted(101 + (start + i) % self.vlans for i in range(self.vlans_per_port)))
                used[leaf] += 1
                yield ServerPort(f"server{server + 1}", f"eth{nic}", leaf, used[leaf], vlans)

    def describe(self) -> str:
        return (
            f"{self.leaves} leaves, {self.spines} spines, {self.vrfs} VRFs, {self.vlans} VLANs (v4 and v6), "
            f"{self.servers} servers, {2 * self.servers} ports, {self.vlans_per_port} VLANs a port"
        )

"""The fabric of `make bench-scale`: N VPCs with a V-Net each, spread evenly over leaves, as intent of Underlace.

A V-Net has a tagged member on two leaves, so each leaf has 2 N / leaves of them: at 1,000,000 over 2,000 that is
1,000 VRFs a leaf, as many as Linux is trusted with. Tenants have a thousand VPCs each. Leaves are in pods with two
spines, because a switch has at most 1,024 ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from benchmarks.fabric import fabric_document, tenant_document
from underlace.model.document import Document

POD = 500
SPINES = 2
PORTS = 48
VPCS_A_TENANT = 1_000
FIRST_VLAN = 100


class Member(NamedTuple):
    leaf: int
    position: int
    """Of the V-Net on that leaf, from 0."""

    def as_spec(self) -> dict[str, Any]:
        front = PORTS - SPINES
        port = SPINES + 1 + self.position % front
        return {"port": f"swp{port}@leaf{self.leaf + 1}", "vlan": FIRST_VLAN + self.position // front}


class ManyVpcs(NamedTuple):
    """Sizes. VPCs, leaves and tenants count from 0 here, from 1 in names."""

    vpcs: int
    leaves: int

    @property
    def tenants(self) -> int:
        return -(-self.vpcs // VPCS_A_TENANT)

    @property
    def resources(self) -> int:
        """VPCs and V-Nets: what is counted."""
        return 2 * self.vpcs

    def describe(self) -> str:
        return f"{self.vpcs:,} VPCs and as many V-Nets on 2 of {self.leaves:,} leaves each"

    def tenant(self, vpc: int) -> str:
        return f"tenant{vpc // VPCS_A_TENANT + 1}"

    def members(self, vpc: int) -> tuple[Member, Member]:
        """The second leaf wanders: pairs of neighbours alone would be a fabric of islands."""
        lap, leaf = divmod(vpc, self.leaves)
        laps = -(-self.vpcs // self.leaves)
        return Member(leaf, lap), Member((leaf + 1 + lap % (self.leaves - 1)) % self.leaves, laps + lap)

    def fabric(self) -> Iterator[Document]:
        yield fabric_document("site", "dc1", {"fabric_as": 65_000})
        for kind, more in (("allocation", {}), ("subnet", {"purpose": "loopback"})):
            yield tenant_document(kind, "loopbacks", {"prefix": "10.240.0.0/16", **more}, "system")
        for tenant in range(self.tenants):
            yield fabric_document("tenant", f"tenant{tenant + 1}", {})
        for first in range(0, self.leaves, POD):
            yield from self._pod(first, min(first + POD, self.leaves))

    def _pod(self, first: int, end: int) -> Iterator[Document]:
        pod = first // POD + 1
        for s in range(1, SPINES + 1):
            spec = {"site": "dc1", "role": "spine", "ports": POD}
            yield fabric_document("switch", f"spine{pod}-{s}", spec)
        for leaf in range(first, end):
            yield fabric_document("switch", f"leaf{leaf + 1}", {"site": "dc1", "role": "leaf", "ports": PORTS})
            for s in range(1, SPINES + 1):
                ends = {"a": f"swp{s}@leaf{leaf + 1}", "b": f"swp{leaf - first + 1}@spine{pod}-{s}"}
                yield fabric_document("link", f"leaf{leaf + 1}-{s}", {**ends, "underlay": True})

    def tenants_intent(self) -> Iterator[Document]:
        """VPCs and V-Nets, a tenant's after the other's, as an import would bring them."""
        for vpc in range(self.vpcs):
            yield self.vpc(vpc)
            yield self.vnet(vpc)

    def vpc(self, vpc: int) -> Document:
        return tenant_document("vpc", f"vpc{vpc + 1}", {}, self.tenant(vpc))

    def vnet(self, vpc: int) -> Document:
        ports = [member.as_spec() for member in self.members(vpc)]
        return tenant_document("vnet", f"net{vpc + 1}", {"vpc": f"vpc{vpc + 1}", "ports": ports}, self.tenant(vpc))

    def another_vnet(self, vpc: int) -> list[Document]:
        """What an edit needs first (a subnet), then the edit: a V-Net with a gateway in a VPC that is there."""
        tenant, name = self.tenant(vpc), f"vpc{vpc + 1}"
        prefix = {"prefix": "10.99.0.0/24", "vpc": name}
        before = [tenant_document(kind, f"edit{vpc + 1}", prefix, tenant) for kind in ("allocation", "subnet")]
        ports = [{"port": f"swp{PORTS}@leaf{m.leaf + 1}", "vlan": 4_000} for m in self.members(vpc)]
        spec = {"vpc": name, "gateways": ["10.99.0.1/24"], "ports": ports}
        return [*before, tenant_document("vnet", f"edit{vpc + 1}", spec, tenant)]


def batches(documents: Iterator[Document], size: int) -> Iterator[list[Document]]:
    while batch := list(islice(documents, size)):
        yield batch

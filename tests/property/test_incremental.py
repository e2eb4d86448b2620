"""Laws 3 and 7 on the real kinds and the real store: after any sequence of changes what is stored equals a compile
from nothing, and an export with its allocations leads to the same bytes elsewhere."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support.controlled import ADMIN, Rig, doc, rig
from underlace.controller.document import Document, Request
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref
from underlace.model.wire import Outcome

LEAVES = ("leaf1", "leaf2", "leaf3")
SWITCHES = (*LEAVES, "spine1")
TENANTS = ("acme", "bolt")
VPCS = (("acme", "red"), ("bolt", "blue"), ("system", "border"))
ALLOCATIONS = {
    "red": ("10.1.0.0/16", "2001:db8::/32"),
    "blue": ("10.1.0.0/16", "10.2.0.0/16"),
    "border": ("10.3.0.0/16",),
}
PREFIXES = {
    "red": ("10.1.1.0/24", "10.1.2.0/24", "2001:db8:1::/64"),
    "blue": ("10.1.1.0/24", "10.2.1.0/24"),
    "border": ("10.3.1.0/24", "10.3.0.0/20"),
}
"""Red and blue overlap in part: a peering of theirs is sometimes refused."""

names = st.sampled_from(("one", "two", "three"))
leaves = st.sampled_from(LEAVES)
tenants = st.sampled_from(TENANTS)
vpcs = st.sampled_from(VPCS)
ports = st.builds(lambda n, leaf: f"swp{n}@{leaf}", st.integers(3, 6), leaves)
vnis = st.sampled_from((None, 1, 2, 3, 10_000, 10_002))
"""Few, so that one is often requested again while its last owner's devices have not let go of it."""


def _set(**fields: Any) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if v is not None}


sites = st.builds(
    lambda f, p, m: doc("site", "dc1", **_set(fabric_as=f, public_asn=p, anycast_mac=m)),
    st.sampled_from((65_000, 65_001)),
    st.sampled_from((None, 64_500)),
    st.sampled_from((None, "02:00:5e:00:01:02")),
)
profiles = st.builds(
    lambda name, mtu, rate: doc("profile", name, underlay=_set(mtu=mtu), protection=_set(icmp_rate=rate)),
    st.sampled_from(("default", "wide")),
    st.sampled_from((None, 9_100)),
    st.sampled_from((None, 50)),
)
switches = st.builds(
    lambda name, asn, profile, loopback: doc(
        "switch",
        name,
        **_set(
            site="dc1",
            role="spine" if name.startswith("spine") else "leaf",
            ports=8,
            asn=asn,
            profile=profile,
            loopback=loopback,
        ),
    ),
    st.sampled_from(SWITCHES),
    st.sampled_from((None, None, 4_200_000_100, 4_200_000_101)),
    st.sampled_from((None, "wide")),
    st.sampled_from((None, None, "10.255.0.7", "10.255.0.1")),
)
links = st.builds(
    lambda leaf, underlay: doc(
        "link", f"{leaf}-spine1", a=f"swp1@{leaf}", b=f"swp{LEAVES.index(leaf) + 1}@spine1", underlay=underlay
    ),
    leaves,
    st.booleans(),
)
overrides = st.builds(
    lambda port, mtu, tenant, enabled: doc("port", port, **_set(mtu=mtu, tenant=tenant, enabled=enabled)),
    ports,
    st.sampled_from((None, 9_000)),
    st.sampled_from((None, "acme")),
    st.booleans(),
)


def _of(prefixes: dict[str, tuple[str, ...]]) -> st.SearchStrategy[tuple[tuple[str, str], str]]:
    return vpcs.flatmap(lambda v: st.tuples(st.just(v), st.sampled_from(prefixes[v[1]])))


def allocation(vpc: tuple[str, str], prefix: str) -> Document:
    return doc("allocation", f"{vpc[1]}-{prefix}", vpc[0], prefix=prefix, vpc="/".join(vpc))


def subnet(vpc: tuple[str, str], prefix: str) -> Document:
    return doc("subnet", f"{vpc[1]}-{prefix}", vpc[0], prefix=prefix, vpc="/".join(vpc))


allocations = _of(ALLOCATIONS).map(lambda x: allocation(*x))
subnets = _of(PREFIXES).map(lambda x: subnet(*x))
loopbacks = st.builds(
    lambda p: doc("subnet", f"loopbacks-{p}", "system", prefix=p, purpose="loopback"),
    st.sampled_from(("10.255.0.0/28", "10.254.0.0/28")),
)
vpc_documents = st.builds(lambda v, vni: doc("vpc", v[1], v[0], **_set(vni=vni)), vpcs, vnis)


def _gateway(prefix: str) -> str:
    network, _, length = prefix.partition("/")
    return f"{network}1/{length}" if ":" in network else f"{network[:-1]}1/{length}"


members = st.lists(st.tuples(ports, st.sampled_from((None, 10, 20))), max_size=4, unique_by=lambda m: m[0])
vnets = vpcs.flatmap(
    lambda v: st.builds(
        lambda name, members, prefixes, vni: doc(
            "vnet",
            name,
            v[0] if v[0] != "system" else "acme",
            **_set(
                vpc="/".join(v),
                ports=[_set(port=p, vlan=vlan) for p, vlan in members],
                gateways=sorted(map(_gateway, prefixes)),
                vni=vni,
            ),
        ),
        names,
        members,
        st.sets(st.sampled_from(PREFIXES[v[1]]), max_size=2),
        vnis,
    )
)
peerings = st.builds(
    lambda a, b: doc("vpc-peering", f"{a[1]}-{b[1]}", "acme", a={"vpc": "/".join(a)}, b={"vpc": "/".join(b)}),
    vpcs,
    vpcs,
)
sessions = st.builds(
    lambda port, v, bfd: doc(
        "bgp-peer",
        "up",
        "system",
        vpc=f"{v[0]}/{v[1]}",
        port=port,
        local_addresses=["192.0.2.0/31"],
        remote_addresses=["192.0.2.1"],
        remote_asn=64_496,
        bfd=bfd,
    ),
    ports,
    vpcs,
    st.booleans(),
)
documents = st.one_of(
    sites,
    profiles,
    switches,
    links,
    overrides,
    allocations,
    subnets,
    loopbacks,
    vpc_documents,
    vnets,
    vnets,
    vnets,
    vnets,
    vnets,
    peerings,
    sessions,
)

START = (
    doc("site", "dc1"),
    doc("profile", "wide"),
    doc("allocation", "loopbacks", "system", prefix="10.254.0.0/15"),
    doc("subnet", "loopbacks-10.255.0.0/28", "system", prefix="10.255.0.0/28", purpose="loopback"),
    *(doc("tenant", name) for name in TENANTS),
    *(doc("vpc", name, tenant) for tenant, name in VPCS),
    *(allocation(v, p) for v in VPCS for p in ALLOCATIONS[v[1]]),
    *(subnet(v, p) for v in VPCS for p in PREFIXES[v[1]][:2] if p != "10.3.0.0/20"),
    *(
        doc("switch", name, site="dc1", role="spine" if name == "spine1" else "leaf", ports=8)
        for name in ("leaf1", "leaf2", "spine1")
    ),
    doc("link", "leaf1-spine1", a="swp1@leaf1", b="swp1@spine1", underlay=True),
    doc(
        "vnet",
        "one",
        "acme",
        vpc="red",
        ports=[{"port": "swp3@leaf1"}, {"port": "swp3@leaf2"}],
        gateways=["10.1.1.1/24"],
    ),
    doc("vnet", "one", "bolt", vpc="blue", ports=[{"port": "swp4@leaf1"}], gateways=["10.2.1.1/24"], vni=1),
)
OFTEN = frozenset({"vnet", "vpc-peering", "bgp-peer", "link", "port"})
"""What others do not refer to."""

SELDOM = OFTEN | {"switch", "subnet", "vpc", "allocation", "profile"}


class Fabric(RuleBasedStateMachine):
    """Changes of any kind, accepted or refused, while devices follow or fall behind."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="underlace-incremental-"))
        self.rig: Rig = rig(self.directory)

    @initialize()
    def start(self) -> None:
        self.rig.put(*START)
        self.rig.hold_all()

    @rule(put=st.lists(documents, min_size=1, max_size=4), data=st.data())
    def change(self, put: list[Document], data: st.DataObject) -> None:
        unique = {d.ref: d for d in put}
        present = [r for r in self.present(OFTEN) if r not in unique]
        gone = data.draw(st.sets(st.sampled_from(present), max_size=2)) if present else set()
        self.attempt(Request(tuple(unique.values()), tuple(sorted(gone))))

    @rule(put=documents)
    def change_one(self, put: Document) -> None:
        self.attempt(Request((put,)))

    @rule(kinds=st.sampled_from((OFTEN, OFTEN, SELDOM)), data=st.data())
    def delete(self, kinds: frozenset[str], data: st.DataObject) -> None:
        if present := self.present(kinds):
            gone = data.draw(st.sets(st.sampled_from(present), min_size=1, max_size=2))
            self.attempt(Request(delete=tuple(sorted(gone))))

    @rule(data=st.data(), at_once=st.booleans())
    def reuse_a_number(self, data: st.DataObject, at_once: bool) -> None:
        """Delete a V-Net and ask for its VNI again, before or after its devices let go of it."""
        if not (present := self.present(frozenset({"vnet"}))):
            return
        old = data.draw(st.sampled_from(present))
        item = self.rig.controller.get(ADMIN, old)
        spec = {**item.spec, "vni": item.status.allocated["vni"]}
        again = Document(Ref("vnet", old.tenant, f"{old.name}x"[-6:]), spec)
        if at_once:
            self.attempt(Request((again,), (old,)))
        else:
            self.attempt(Request(delete=(old,)))
            self.attempt(Request((again,)))

    @rule(device=st.sampled_from(SWITCHES))
    def follow(self, device: str) -> None:
        if self.rig.fetch(device) is not None or device in self.rig.said:
            self.rig.say(device, Outcome.HELD)

    @rule(device=st.sampled_from(SWITCHES))
    def fall_behind(self, device: str) -> None:
        self.rig.fetch(device)

    @rule(device=st.sampled_from(SWITCHES))
    def forget(self, device: str) -> None:
        if device in {d.name for d in self.rig.controller.devices(ADMIN)}:
            self.rig.controller.forget(ADMIN, device)
            self.rig.said.pop(device, None)

    def attempt(self, request: Request) -> None:
        """A refused change leaves nothing behind; a plan says what apply then does."""
        before = self.rig.hashes()
        try:
            plan = self.rig.controller.plan(ADMIN, request)
        except Refused:
            plan = None
        assert self.rig.hashes() == before
        try:
            done = self.rig.controller.apply(ADMIN, request)
        except Refused:
            assert plan is None
            assert self.rig.hashes() == before
            return
        assert plan is not None
        assert (plan.digest, plan.resources, plan.numbers) == (done.digest, done.resources, done.numbers)
        assert tuple(d.device for d in plan.devices) == done.devices

    def present(self, kinds: frozenset[str]) -> list[Ref]:
        with self.rig.store.read() as c:
            found = [Ref(*row) for row in c.exec_driver_sql("SELECT kind, tenant, name FROM resource")]
        return sorted(r for r in found if r.kind in kinds)

    @invariant()
    def incremental_equals_full(self) -> None:
        self.rig.check_derived()

    def teardown(self) -> None:
        try:
            self.export_leads_to_the_same_bytes()
        finally:
            self.rig.close()
            shutil.rmtree(self.directory)

    def export_leads_to_the_same_bytes(self) -> None:
        # Who waits for a device's word elsewhere does not wait where no device ever was.
        for device in self.rig.controller.devices(ADMIN):
            self.rig.controller.forget(ADMIN, device.name)
        exported = tuple(self.rig.controller.export(ADMIN))
        (self.directory / "other").mkdir()
        other = rig(self.directory / "other")
        try:
            other.controller.apply(ADMIN, Request(exported))
            assert other.hashes() == self.rig.hashes()
            assert tuple(other.controller.export(ADMIN)) == exported
        finally:
            other.close()


TestIncremental = Fabric.TestCase
TestIncremental.settings = settings(max_examples=60, stateful_step_count=20)

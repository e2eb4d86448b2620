"""A Linux device in memory behind a `Door`: kernel, nftables and FRR as far as the driver's items show them.

`FakeLinuxDoor` refuses what the real ones refuse, in their words (recorded, and held to them by
`tests/contract/test_linux_door.py`). Where the real ones would do silent harm instead, such as a namespace that takes
its ports with it, it raises `SilentHarm`, because a plan that leads there is a fault of the engine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from underlace.drivers.linux import frr, names
from underlace.drivers.linux.native import (
    Address,
    Bond,
    BondMember,
    Bridge,
    EvpnVni,
    EvpnVrf,
    FrrLine,
    Item,
    Netns,
    NftTable,
    Pair,
    Placement,
    PortLink,
    Route,
    Tag,
    Vxlan,
    passed,
)
from underlace.drivers.protocol import Failure, Items
from underlace.model.change import Change, Key, Keyed, Verb

NO_NETNS = 'Cannot open network namespace "{}": No such file or directory'
NO_PLACE = 'Error: argument "{}" is wrong: Invalid "netns" value'
EXISTS = "RTNETLINK answers: File exists"
NO_DEVICE = 'Cannot find device "{}"'


class SilentHarm(AssertionError):
    """The real device would have done this, and broken something that the plan meant to keep."""


class Killed(BaseException):
    """The agent's process ends here."""


class Refused(Exception):
    """The device's words."""


class FakeLinuxDoor:
    """ports: physical ports that the device has. kill_at: the operation (from 0) at which the process ends; with
    `half` that operation is left half done, else not begun."""

    def __init__(self, ports: Iterable[str] = (), items: Iterable[Item] = ()) -> None:
        self.items: dict[Key, Item] = {item.key: item for item in items}
        self.ports = dict.fromkeys(ports, names.MAIN)
        self.saved: dict[Key, Keyed] = {}
        self.operations = 0
        self.kill_at: int | None = None
        self.half = False

    def life(self) -> str:
        return "life 1"

    def version(self) -> str:
        return "8.4.4"

    def read(self, scope: Collection[Key] | None = None) -> Items:
        return dict(self.items)

    def save(self, items: Items) -> None:
        self.saved = dict(items)

    def run(self, plan: Sequence[Change[Keyed]]) -> list[Failure]:
        for change in plan:
            item = change.after if change.after is not None else change.before
            assert isinstance(item, Item)
            if self.operations == self.kill_at:
                if self.half:
                    self._half(change, item)
                raise Killed
            self.operations += 1
            try:
                self._carry_out(change.verb, item)
            except Refused as refused:
                return [Failure(change.key, type(item).__name__, str(refused))]
        return []

    def _half(self, change: Change[Keyed], item: Item) -> None:
        """What a process that dies in the middle of a change leaves."""
        if change.verb is Verb.DELETE:
            return
        begun: Item | None = None
        match item:
            case Netns():
                begun = replace(item, settings=(), loopback_up=False) if item.name else None
            case Bridge():
                begun = replace(item, settings=(), up=False)
            case Vxlan() | Pair() | Tag():
                begun = replace(item, ready=False)
            case PortLink():
                begun = replace(item, up=False, settings=())
            case BondMember():
                begun = replace(item, up=False)
            case EvpnVrf():
                begun = replace(item, vni=0, export_targets=frozenset())
            case EvpnVni():
                begun = replace(item, rd=None, import_targets=frozenset())
        if begun is not None:
            self._carry_out(change.verb, begun)

    def _carry_out(self, verb: Verb, item: Item) -> None:
        if verb is Verb.DELETE:
            self._check_removal(item)
            self.items.pop(item.key, None)
            if isinstance(item, Placement) and item.netns != names.MAIN:
                self.ports[item.port] = names.MAIN
            return
        self._check(verb, item)
        self.items[item.key] = item
        if isinstance(item, Placement):
            self.ports[item.port] = item.netns

    # What a thing needs to come into being, or to change.

    def _check(self, verb: Verb, item: Item) -> None:
        match item:
            case Netns():
                if verb is Verb.CREATE and item.key in self.items:
                    raise Refused(f"File exists: '{item.name}'")
            case Bridge():
                self._need_netns(item.netns, NO_PLACE if verb is Verb.CREATE else NO_NETNS)
                self._need_new(verb, item)
            case Vxlan():
                self._check_vxlan(verb, item)
            case Placement():
                self._check_placement(item)
            case Bond():
                self._check_bond(verb, item)
            case BondMember():
                self._check_member(item)
            case Tag():
                self._check_tag(verb, item)
            case PortLink():
                self._check_port(item)
            case Address():
                self._need_netns(item.netns)
                self._need_link(item.netns, item.link)
            case Pair():
                self._check_pair(verb, item)
            case Route():
                self._need_netns(item.netns)
                self._need_pair(item)
            case NftTable():
                self._need_netns(item.netns)
                self._check_guard(item)
            case FrrLine() | EvpnVni() | EvpnVrf():
                self._check_frr(item)

    def _need_netns(self, netns: str, words: str = NO_NETNS) -> None:
        if netns != names.MAIN and ("netns", netns) not in self.items:
            raise Refused(words.format(netns))

    def _need_new(self, verb: Verb, item: Item) -> None:
        if verb is Verb.CREATE and item.key in self.items:
            raise Refused(EXISTS)

    def _need_link(self, netns: str, link: str) -> None:
        known = ("bridge", netns, link) in self.items or self._lives(netns, link)
        if link != names.LOOPBACK and not known:
            raise Refused(NO_DEVICE.format(link))

    def _lives(self, netns: str, link: str) -> bool:
        """Whether a port, a lag, or a VLAN of one, is in a namespace."""
        return self.ports.get(link) == netns or any((made, netns, link) in self.items for made in ("tag", "bond"))

    def _members(self, netns: str, bond: str) -> list[str]:
        return [
            i.port for i in self.items.values() if isinstance(i, BondMember) and (i.netns, i.bond) == (netns, bond)
        ]

    def _need_pair(self, route: Route) -> None:
        ends = (route.netns, route.peer) if route.side == 0 else (route.peer, route.netns)
        if ("pair", str(route.number), *ends) not in self.items:
            raise Refused(NO_DEVICE.format(names.pair(route.number)))

    def _check_vxlan(self, verb: Verb, item: Vxlan) -> None:
        self._need_netns(item.netns)
        bridge = names.bridge(item.vni)
        if ("bridge", item.netns, bridge) not in self.items:
            raise Refused(NO_DEVICE.format(bridge))
        others = (i for i in self.items.values() if isinstance(i, Vxlan) and i.key != item.key)
        if any((i.vni, i.local) == (item.vni, item.local) for i in others):
            raise Refused("Error: A VXLAN device with the specified VNI already exists.")
        bound = self.items.get(frr.vrf_key(item.netns))
        is_l3 = isinstance(bound, EvpnVrf) and bound.vni == item.vni
        if not is_l3 and frr.vni_key(item.vni) not in self.items:
            raise SilentHarm(f"FRR would announce VNI {item.vni} with an RD of its own choice")
        self._need_new(verb, item)

    def _check_placement(self, item: Placement) -> None:
        if self.ports.get(item.port) != names.MAIN:
            raise Refused(NO_DEVICE.format(item.port))
        self._need_netns(item.netns)
        link = self.items.get(("port", names.MAIN, item.port))
        if item.netns != names.MAIN and isinstance(link, PortLink) and link.up:
            raise SilentHarm(f"{item.port} moves while it is in use")

    def _check_bond(self, verb: Verb, item: Bond) -> None:
        self._need_netns(item.netns)
        self._need_new(verb, item)
        before = self.items.get(item.key)
        if isinstance(before, Bond) and before.mode != item.mode and self._members(item.netns, item.name):
            raise Refused("RTNETLINK answers: Directory not empty")

    def _check_member(self, item: BondMember) -> None:
        bond = self.items.get(("bond", item.netns, item.bond))
        if not isinstance(bond, Bond) or self.ports.get(item.port) != item.netns:
            raise Refused(NO_DEVICE.format(item.port))
        if bond.mode != item.mode:
            raise SilentHarm(f"{item.port} joins a bond of another mode")
        if ("port", item.netns, item.port) in self.items:
            raise SilentHarm(f"{item.port} joins {item.bond} while it is in use")
        for link in (item.port, item.bond):
            if ("nft", item.netns, "netdev", names.guard(link)) not in self.items:
                raise SilentHarm(f"{item.port} joins {item.bond}, and {link} has no guard")

    def _check_tag(self, verb: Verb, item: Tag) -> None:
        port, _ = names.untag(item.link)
        if not self._lives(item.trunk, port):
            raise Refused(NO_DEVICE.format(port))
        self._need_netns(item.netns)
        if verb is Verb.CREATE and any(i.link == item.link for i in self.items.values() if isinstance(i, Tag)):
            raise Refused(EXISTS)

    def _check_port(self, item: PortLink) -> None:
        self._need_netns(item.netns)
        if not self._lives(item.netns, item.port):
            raise Refused(NO_DEVICE.format(item.port))
        if item.bridge and ("bridge", item.netns, item.bridge) not in self.items:
            raise Refused(f'Error: argument "{item.bridge}" is wrong: Device does not exist')
        if ("bond-member", item.netns, item.port) in self.items:
            raise SilentHarm(f"{item.port} would leave its lag")
        guarded = ("nft", item.netns, "netdev", names.guard(item.port)) in self.items
        if item.up and item.netns != names.MAIN and not guarded:
            raise SilentHarm(f"{item.port} comes up in {item.netns} without a guard")

    def _check_pair(self, verb: Verb, item: Pair) -> None:
        for end in (item.one, item.other):
            self._need_netns(end)
            if end != names.MAIN and ("nft", end, "inet", names.TABLE) not in self.items:
                raise SilentHarm(f"{item.key} opens {end} without a filter")
        others = (i for i in self.items.values() if isinstance(i, Pair) and i.key != item.key)
        if any(i.number == item.number and {i.one, i.other} & {item.one, item.other} for i in others):
            raise Refused(EXISTS)
        self._need_new(verb, item)

    def _check_guard(self, item: NftTable) -> None:
        if item.family == "netdev":
            port = item.name.removeprefix(names.GUARD_PREFIX)
            if not self._lives(item.netns, port):
                raise SilentHarm(f"the guard of {port} stands where the port is not")
            for vlan, netns in self._passed(item):
                if ("tag", netns, names.tag(port, vlan)) not in self.items:
                    raise SilentHarm(f"VLAN {vlan} of {port} would be taken for the port's own")

    def _passed(self, guard: NftTable) -> list[tuple[int, str]]:
        """VLANs that the guard of a port lets through, and the namespaces of their links."""
        return [passed(element) for name, elements in guard.sets if name == "tags" for element in elements]

    def _check_frr(self, item: FrrLine | EvpnVni | EvpnVrf) -> None:
        if isinstance(item, EvpnVrf):
            if item.asn:
                self._need_line((), f"router bgp {item.asn} vrf {item.vrf}")
            return
        if isinstance(item, EvpnVni):
            self._need_line((), f"router bgp {item.asn}")
            self._need_line((f"router bgp {item.asn}", frr.EVPN), frr.ADVERTISE_ALL)
            return
        opened = frr.router(item.context, item.line)
        if opened is not None:
            self._check_router(opened[0], opened[1])
        elif item.context[:1] and item.context[0].startswith("router bgp "):
            self._need_line((), item.context[0])
            self._check_neighbor(item)

    def _check_router(self, asn: str, vrf: str) -> None:
        for other in self._routers():
            if other[1] == vrf and other[0] != asn:
                raise Refused(f"BGP is already running; AS is {other[0]}")
        if vrf:
            self._need_line((), f"router bgp {asn}")

    def _check_neighbor(self, item: FrrLine) -> None:
        words = item.line.split()
        creates = "remote-as" in words
        if (
            words[0] == "neighbor"
            and not creates
            and (frr.WORD, item.context[0], f"neighbor {words[1]}") not in self.items
        ):
            raise Refused("% Specify remote-as or peer-group commands first")

    def _routers(self) -> list[tuple[str, str]]:
        lines = (i for i in self.items.values() if isinstance(i, FrrLine))
        return [opened for line in lines if (opened := frr.router(line.context, line.line)) is not None]

    def _need_line(self, context: tuple[str, ...], line: str) -> None:
        if frr.key(context, line) not in self.items:
            raise SilentHarm(f"FRR would make {line!r} by itself")

    # What must be gone before a thing goes.

    def _check_removal(self, item: Item) -> None:
        match item:
            case Netns() if item.name != names.MAIN:
                self._refuse_inside(item.name)
            case Bridge():
                members = [
                    i.key
                    for i in self.items.values()
                    if (isinstance(i, Vxlan) and (i.netns, names.bridge(i.vni)) == (item.netns, item.name))
                    or (isinstance(i, PortLink) and (i.netns, i.bridge) == (item.netns, item.name))
                ]
                if members:
                    raise SilentHarm(f"{item.name} goes with members {members}")
            case Placement():
                tags = [i.link for i in self.items.values() if isinstance(i, Tag) and i.trunk == item.netns]
                if ("port", item.netns, item.port) in self.items and item.netns != names.MAIN:
                    raise SilentHarm(f"{item.port} leaves {item.netns} while it is in use")
                if ("bond-member", item.netns, item.port) in self.items:
                    raise SilentHarm(f"{item.port} leaves {item.netns} as a member of a lag")
                if item.port in {names.untag(link)[0] for link in tags}:
                    raise SilentHarm(f"{item.port} leaves its VLANs {tags} behind")
            case Bond():
                if self._members(item.netns, item.name) or ("port", item.netns, item.name) in self.items:
                    raise SilentHarm(f"{item.name} goes while it is in use")
            case Tag():
                port, vlan = names.untag(item.link)
                guard = self.items.get(("nft", item.trunk, "netdev", names.guard(port)))
                if isinstance(guard, NftTable) and (vlan, item.netns) in self._passed(guard):
                    raise SilentHarm(f"VLAN {vlan} of {port} is let through to nowhere")
                if ("port", item.netns, item.link) in self.items:
                    raise SilentHarm(f"{item.link} goes while it is in use")
            case NftTable() if item.family == "netdev":
                port = item.name.removeprefix(names.GUARD_PREFIX)
                if ("bond-member", item.netns, port) in self.items or self._members(item.netns, port):
                    raise SilentHarm(f"{port} is in a lag and loses its guard")
                link = self.items.get(("port", item.netns, port))
                if isinstance(link, PortLink) and link.up and not self._becomes_underlay(link):
                    raise SilentHarm(f"{port} is up and loses its guard")
            case FrrLine():
                self._check_line_removal(item)

    def _becomes_underlay(self, link: PortLink) -> bool:
        return link.netns == names.MAIN

    def _refuse_inside(self, netns: str) -> None:
        inside = [i.key for i in self.items.values() if not isinstance(i, Netns) and netns in _places(i)]
        if inside:
            raise SilentHarm(f"{netns} goes and takes {inside} with it")

    def _check_line_removal(self, item: FrrLine) -> None:
        opened = frr.router(item.context, item.line)
        if opened is None:
            return
        bound = self.items.get(frr.vrf_key(opened[1]))
        if opened[1] and isinstance(bound, EvpnVrf) and bound.vni:
            raise Refused(f"% Please unconfigure l3vni {bound.vni}")
        if not opened[1] and any(vrf for _, vrf in self._routers()):
            raise Refused("% Cannot delete default BGP instance. Dependent VRF instances exist")


def _places(item: Item) -> tuple[str, ...]:
    """Namespaces that an item stands in."""
    match item:
        case Bridge() | Vxlan() | Placement() | PortLink() | Address() | Route() | NftTable():
            return (item.netns,)
        case Tag():
            return (item.netns, item.trunk)
        case Pair():
            return (item.one, item.other)
    return ()

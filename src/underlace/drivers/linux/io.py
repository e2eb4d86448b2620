"""The door to a Linux device: reads actual state, carries out changes. With what it calls, the driver's only I/O.

A door belongs to the thread that uses it: namespaces are entered by that thread, and left again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import cast

from underlace.drivers.linux import bonding, boot, config, duplicates, kernel, limits, names, programs, rules
from underlace.drivers.linux.addresses import Addresses
from underlace.drivers.linux.execute import Executor
from underlace.drivers.linux.generation import generation
from underlace.drivers.linux.namespaces import Namespaces, NoNamespace, of_link, read_settings
from underlace.drivers.linux.native import Address, Item, Netns, Settings, Tag, Vxlan, on_tag
from underlace.drivers.linux.neighbours import Neighbours, decode
from underlace.drivers.linux.next_hops import NextHops
from underlace.drivers.linux.probing import Probing
from underlace.drivers.linux.render import FORWARDING, NETNS_SETTINGS
from underlace.drivers.linux.tags import Tags
from underlace.drivers.protocol import Duplicate, Failure, Items
from underlace.model.change import Change, Key, Keyed
from underlace.model.question import Observed, Value

_PROFILE = "frr defaults datacenter"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_VERSION = re.compile(r"FRRouting (\d+(?:\.\d+)*)")


class LinuxDoor:
    """main_netns: path of the underlay's namespace, None for that of the calling thread. frr_dir: FRR's boot files.

    run_dir: FRR's run directory; namespaces and the memory of loaded rules live below it, as long as the system runs.
    """

    def __init__(
        self,
        main_netns: str | None = None,
        frr_dir: str = "/etc/frr",
        run_dir: str = "/run/frr",
        netns_dir: str = "/run/netns",
    ) -> None:
        self._frr = Path(frr_dir)
        self._namespaces = Namespaces(main_netns, Path(run_dir, "netns"), Path(netns_dir))
        self._memory = rules.Memory(Path(run_dir, "underlace-rules.json"))
        self._tags = Tags(self._namespaces, Path(run_dir, "underlace-programs"))
        self._bonding = bonding.Bonding(self._namespaces)
        self._executor = Executor(self._namespaces, self._memory, self._tags)
        self._addresses = Addresses(self._namespaces)
        self._neighbours = Neighbours(self._namespaces, Path(run_dir))
        self._next_hops = NextHops(self._namespaces)
        self._probing = Probing(self._namespaces, Path(run_dir))
        self._claims: dict[str, list[duplicates.Claim]] = {}

    def life(self) -> str:
        """The system's boot, and the underlay's namespace: in a lab, that is what a reboot makes anew."""
        return f"{_BOOT.read_text().strip()} {self._namespaces.main_inode}"

    def version(self) -> str:
        """FRR's version."""
        match = _VERSION.search(programs.show("show version"))
        if match is None:
            raise programs.Silence("vtysh does not say which version of FRR runs")
        return match[1]

    def read(self, scope: Collection[Key] | None = None) -> Items:
        """Owned state; with a scope, whole namespaces and FRR as a whole where it names anything of them."""
        vrfs = self._namespaces.vrfs()
        wanted = None if scope is None else _places(scope)
        self._memory.renew()
        if wanted is None:
            self._claims.clear()
        found: list[Item] = []
        ends: list[kernel.PairEnd] = []
        routed: list[tuple[str, list[kernel.RouteInfo]]] = []
        seen: dict[str, list[kernel.Link]] = {}
        for netns in (names.MAIN, *vrfs):
            if wanted is None or netns in wanted:
                with suppress(NoNamespace), self._namespaces.inside(netns):
                    seen[netns] = self._read_netns(netns, found, ends, routed)
        self._memory.save()
        tags = list(self._tags.read(seen))
        found = [*_standing(found, tags), *tags]
        if wanted is None or "frr" in {key[0] for key in scope or ()}:
            found += self._read_frr(vrfs)
        if wanted is None:
            with suppress(NoNamespace):
                self._addresses.tell(one for one in found if isinstance(one, Address))
                self._neighbours.tell(vrfs)
        found += _peerings(ends, routed)
        return {item.key: item for item in found}

    def _read_netns(
        self,
        netns: str,
        found: list[Item],
        ends: list[kernel.PairEnd],
        routed: list[tuple[str, list[kernel.RouteInfo]]],
    ) -> list[kernel.Link]:
        """Everything of the namespace that the thread is in, and its links."""
        before = len(found)
        seen = kernel.decode_links(programs.ask("ip", "-json", "-details", "address", "show"))
        settings = read_settings("", NETNS_SETTINGS)
        if netns != names.MAIN or dict(settings)[FORWARDING[0]] == "1":
            found.append(Netns(netns, settings, kernel.loopback_up(seen)))
        found += [*kernel.links(netns, seen, _settings_of), *bonding.read(netns, seen)]
        tables = list(rules.listings(programs.ask("nft", "-s", "list", "ruleset")))
        self._memory.listed(netns, tables, generation())
        found += [self._memory.table(netns, listing) for listing in tables]
        self._claims[netns] = claimed = duplicates.claims(netns, tables, found[before:])
        if claimed:
            claimed += duplicates.told(netns, decode(programs.ask("ip", "-json", "neigh", "show")))
        here = list(kernel.pair_ends(netns, seen))
        if here:
            ends += here
            for family, everywhere in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
                said = programs.ask("ip", "-json", family, "route", "show", "proto", names.ROUTE_PROTOCOL)
                routed.append((netns, kernel.decode_routes(said, everywhere)))
        return seen

    def _read_frr(self, vrfs: Collection[str]) -> Iterator[Item]:
        running = programs.show("show running-config")
        if _PROFILE not in running.splitlines():
            raise programs.Silence("FRR must be started with `-F datacenter`")
        return config.items(running, vrfs)

    def run(self, plan: Sequence[Change[Keyed]]) -> list[Failure]:
        """Carry out a plan; stops at the first refusal."""
        try:
            self._executor.run(cast("Sequence[Change[Item]]", plan))
        except programs.Refusal as refusal:
            return [Failure(refusal.command.key, refusal.command.line, refusal.answer)]
        self._neighbours.restate(sorted({change.after.netns for change in plan if isinstance(change.after, Vxlan)}))
        return []

    def keep(self) -> None:
        """Make room for neighbours, and keep alive what FRR loses between applies."""
        with self._namespaces.inside(names.MAIN):
            limits.make_room()
        self._next_hops.start()

    def probe(self, name: str, arguments: Mapping[str, Value], seconds: float) -> Observed:
        """For any thread. Nothing of it is kept."""
        return self._probing.answer(name, arguments, seconds)

    def duplicates(self) -> list[Duplicate]:
        return duplicates.duplicates(chain.from_iterable(self._claims.values()))

    def lacks(self) -> dict[str, str]:
        """Tagged ports, where neither kernel nor privilege is there for them; lags, where the kernel has no bonds."""
        means = self._tags.means
        found = {"tagged_ports": "" if means.way else means.lacking, "lags": self._bonding.lacking}
        return {feature: f"This device has {lacking}." for feature, lacking in found.items() if lacking}

    def save(self, items: Items) -> None:
        """Write FRR's boot files; the kernel's part comes from the agent's cache after a reboot."""
        ours = (item for item in items.values() if isinstance(item, Item))
        boot.write(self._frr, boot.files(ours, self.version()))


def _standing(found: Sequence[Item], tags: Sequence[Tag]) -> list[Item]:
    """Without what stands on a VLAN's link that is made anew: that goes with it, and comes back behind its guard."""
    broken = {key for tag in tags if not tag.ready for key in on_tag(tag.netns, tag.link)}
    return [item for item in found if item.key not in broken] if broken else list(found)


def _settings_of(link: str, paths: tuple[str, ...]) -> Settings:
    return read_settings(of_link(link), paths)


def _places(scope: Collection[Key]) -> set[str]:
    """The namespaces that keys speak of; a peering stands in two."""
    found: set[str] = set()
    for key in scope:
        if key[0] == "pair":
            found |= set(key[2:4])
        elif key[0] != "frr":
            found.add(key[1])
    return found


def _peerings(ends: Sequence[kernel.PairEnd], routed: Sequence[tuple[str, list[kernel.RouteInfo]]]) -> Iterator[Item]:
    pairs = list(kernel.pairs(ends))
    known: dict[tuple[int, str], tuple[str, int]] = {}
    for pair in pairs:
        known[(pair.number, pair.one)] = (pair.other, 0)
        known[(pair.number, pair.other)] = (pair.one, 1)
    yield from pairs
    for netns, found in routed:
        yield from kernel.routes(netns, found, known)

"""Carrying out a plan: neighbours in the plan that speak to the same program in the same place go in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import groupby, zip_longest
from typing import cast

import msgspec

from underlace.drivers.linux import links, names, programs, rules
from underlace.drivers.linux.commands import sessions
from underlace.drivers.linux.generation import generation
from underlace.drivers.linux.namespaces import (
    Namespaces,
    NoNamespace,
    bring_up,
    of_link,
    present_links,
    write_settings,
)
from underlace.drivers.linux.native import (
    Address,
    Bridge,
    EvpnVni,
    EvpnVrf,
    FrrLine,
    Item,
    Netns,
    NftTable,
    PortLink,
    Tag,
    Vxlan,
)
from underlace.drivers.linux.programs import Command, Refusal
from underlace.drivers.linux.render import FORWARDING
from underlace.drivers.linux.tags import Tags
from underlace.model.change import Change, Key, Verb

Plan = Sequence[Change[Item]]

_ZEBRA_SECONDS = 30.0
"""1,000 namespaces take a server's zebra 13 s to see; a switch has a processor that is several times slower."""
_BINDING_SECONDS = 1.0
_POLL = 0.02
_NO_DEVICE = 'Cannot find device "%s"'


class VniState(msgspec.Struct):
    """An entry of `show evpn vni detail json`."""

    vni: int = 0
    type: str = ""
    state: str = ""


_states = msgspec.json.Decoder(list[VniState])


def subject(change: Change[Item]) -> Item:
    item = change.after if change.after is not None else change.before
    assert item is not None
    return item


def _tool(change: Change[Item]) -> tuple[str, Verb | None]:
    """Changes with equal tools that follow each other go together: of FRR all, and bridges with their ports."""
    item = subject(change)
    if isinstance(item, (FrrLine, EvpnVni, EvpnVrf)):
        return "frr", None
    if isinstance(item, (Bridge, PortLink)) and change.verb is not Verb.DELETE:
        return "link", None
    return str(item.key[0]), change.verb


class Executor:
    """Runs a plan on the device."""

    def __init__(self, namespaces: Namespaces, memory: rules.Memory, tags: Tags) -> None:
        self._namespaces, self._memory, self._tags = namespaces, memory, tags

    def run(self, plan: Plan) -> None:
        """Every change in order. Raises Refusal at the first that the device does not take."""
        for (tool, verb), group in groupby(plan, key=_tool):
            changes = list(group)
            try:
                self._run_group(tool, verb, changes)
            except NoNamespace as error:
                raise Refusal(Command(tool, changes[0].key), str(error)) from error
        self._check_bindings(plan)

    def _run_group(self, tool: str, verb: Verb | None, changes: Plan) -> None:
        if tool == "frr":
            for session in sessions(self._released(changes)):
                programs.vtysh(session)
        elif tool == "nft":
            self._filters(changes)
        elif tool == "netns":
            self._netns(changes, verb)
        elif tool == "tag":
            self._tags.run(cast("Sequence[Change[Tag]]", changes))
        else:
            if tool == "vxlan" and verb is not Verb.DELETE:
                self._await_bridges(changes)
            if tool == "address" and verb is not Verb.DELETE:
                self._await_links(changes)
            self._links(changes)

    def _released(self, changes: Plan) -> Plan:
        """The changes that are left once every L3VNI whose import changes has been let go, and its routes are gone.

        FRR 8.4.4 keeps no router MAC for a route that leaves a VRF and comes back by another import before zebra has
        seen it go: the tables look right, and every packet to that VTEP dies.
        """
        bound = [before for c in changes if (before := _imports_otherwise(c)) is not None]
        if not bound:
            return changes
        lines = [(b.key, line) for b in bound for line in (f"vrf {b.vrf}", f"no vni {b.vni}", "exit-vrf")]
        programs.vtysh([Command(line, key) for key, line in lines])
        for one in bound:
            with self._namespaces.inside(one.vrf):
                _await(_no_learnt_routes, f"FRR to take the routes of {one.vrf} away", _ZEBRA_SECONDS)
        free = {one.key: msgspec.structs.replace(one, vni=0) for one in bound}
        return [c._replace(before=free[c.key]) if c.key in free else c for c in changes]

    def _netns(self, changes: Plan, verb: Verb | None) -> None:
        gone = []
        for change in changes:
            netns = subject(change)
            assert isinstance(netns, Netns)
            if verb is Verb.DELETE:
                gone += self._remove(netns)
                continue
            try:
                if verb is Verb.CREATE and netns.name != names.MAIN:
                    self._namespaces.create(netns.name)
                with self._namespaces.inside(netns.name):
                    write_settings("", netns.settings)
                    bring_up(names.LOOPBACK)
            except OSError as error:
                raise Refusal(Command(f"netns {netns.name}", change.key), str(error)) from error
        self._forget_vrfs(gone)

    def _remove(self, netns: Netns) -> list[str]:
        if netns.name == names.MAIN:
            with self._namespaces.inside(names.MAIN):
                write_settings("", tuple((path, "0") for path in FORWARDING))
            return []
        self._namespaces.delete(netns.name)
        return [netns.name]

    def _forget_vrfs(self, vrfs: Sequence[str]) -> None:
        """Once zebra sees that a namespace is gone, take the VRF out of its configuration."""
        if not vrfs:
            return

        def seen() -> bool:
            rows = (line.split() for line in programs.show("show vrf").splitlines())
            return not {words[1] for words in rows if words[2:3] == ["id"]} & set(vrfs)

        _await(seen, "FRR to see that " + ", ".join(vrfs) + " is gone", _ZEBRA_SECONDS)
        known = set(programs.show("show running-config").splitlines())
        programs.vtysh([Command(f"no vrf {v}", ("netns", v)) for v in vrfs if f"vrf {v}" in known])

    def _filters(self, changes: Plan) -> None:
        for netns, group in groupby(sorted(changes, key=lambda c: c.key), key=lambda c: c.key[1]):
            edits: list[Command] = []
            loaded: list[NftTable] = []
            forgotten: list[Key] = []
            for change in group:
                old, new = change.before, change.after
                assert old is None or isinstance(old, NftTable)
                assert new is None or isinstance(new, NftTable)
                edits += [Command(line, change.key) for line in rules.commands(old, new)]
                if new is None:
                    forgotten.append(change.key)
                elif rules.reloaded(old, new):
                    loaded.append(new)
            if edits:
                with self._namespaces.inside(netns):
                    before = generation()
                    programs.nft(edits)
                    self._memory.changed(netns, loaded, before, generation())
            self._memory.forget(forgotten)

    def _links(self, changes: Plan) -> None:
        """All first stages, then all second ones, and so on; one call a namespace and stage."""
        staged = [
            [(change.key, step) for step in links.work(change, self._namespaces.main_path)] for change in changes
        ]
        for stage in zip_longest(*staged):
            steps = sorted((pair for pair in stage if pair and pair[1].anything), key=lambda pair: pair[1].netns)
            for netns, group in groupby(steps, key=lambda pair: pair[1].netns):
                self._stage(netns, list(group))

    def _stage(self, netns: str, steps: Sequence[tuple[Key, links.Work]]) -> None:
        with self._namespaces.inside(netns):
            for key, step in steps:
                try:
                    write_settings(of_link(step.link), step.settings)
                except OSError as error:
                    raise Refusal(Command(f"sysctl {step.link}", key), str(error)) from error
            programs.ip_batch([Command(line, key) for key, step in steps for line in step.lines])

    def _await_bridges(self, changes: Plan) -> None:
        """zebra must know a bridge before its VXLAN joins, else an L3VNI stays down for ever."""
        wanted: set[tuple[str, str]] = set()
        for change in changes:
            vxlan = subject(change)
            assert isinstance(vxlan, Vxlan)
            bridge = names.bridge(vxlan.vni)
            with self._namespaces.inside(vxlan.netns):
                if bridge not in present_links():
                    raise Refusal(Command(f"link set {vxlan.name} master {bridge}", vxlan.key), _NO_DEVICE % bridge)
            wanted.add((vxlan.netns, bridge))
        _await_seen(wanted)

    def _await_links(self, changes: Plan) -> None:
        """zebra must know a link before its address comes: FRR 8.4 reads the two by different threads, and drops an
        address of a link that it does not know yet, for ever (FRR issue 13288). No route then leads to the subnet but
        those of other leaves."""
        wanted = {(c.after.netns, c.after.link) for c in changes if isinstance(c.after, Address)}
        present: set[tuple[str, str]] = set()
        for netns in {netns for netns, _ in wanted}:
            with self._namespaces.inside(netns):
                present |= {(netns, link) for link in present_links()}
        _await_seen(wanted & present)  # what is not there at all, the address itself is refused for

    def _check_bindings(self, plan: Plan) -> None:
        """Every L3VNI that this plan touched is up; one that zebra missed is shown to it again."""
        tunnels, bound = _touched(plan)
        if not tunnels and not bound:
            return

        def down(states: dict[int, VniState]) -> set[int]:
            l3 = {vni: one.state for vni, one in states.items() if one.type == "L3"}
            return {v for v in bound if v not in l3} | {v for v in tunnels.keys() | bound if l3.get(v, "Up") != "Up"}

        def settled() -> bool:
            states = _evpn_states()
            return tunnels.keys() <= states.keys() and not down(states)

        if _poll(settled, _BINDING_SECONDS) or _poll(lambda: not down(_evpn_states()), _BINDING_SECONDS):
            return
        for vni in down(_evpn_states()):
            vrf = tunnels[vni].netns if vni in tunnels else bound[vni].vrf
            work = links.rejoin(Vxlan(vrf, names.vxlan(vni), vni, "", 0))
            with self._namespaces.inside(vrf):
                programs.ip_batch([Command(line, ("vxlan", vrf, names.vxlan(vni))) for line in work.lines])
        if not _poll(lambda: not down(_evpn_states()), _ZEBRA_SECONDS):
            vni = min(down(_evpn_states()))
            key: Key = bound[vni].key if vni in bound else tunnels[vni].key
            raise Refusal(Command(f"vni {vni}", key), "FRR does not bring the L3VNI up")


def _imports_otherwise(change: Change[Item]) -> EvpnVrf | None:
    """The binding before a change of what a bound VRF imports."""
    before, after = change.before, change.after
    if not isinstance(before, EvpnVrf) or not isinstance(after, EvpnVrf) or not before.vni:
        return None
    same = (before.vni, before.asn, before.import_targets) == (after.vni, after.asn, after.import_targets)
    return None if same else before


def _await_seen(wanted: set[tuple[str, str]]) -> None:
    """Wait until zebra knows these links, given as (namespace, name)."""

    def known() -> bool:
        rows = (row.split() for row in programs.show("show interface vrf all brief").splitlines())
        return wanted <= {(names.MAIN if row[2] == "default" else row[2], row[0]) for row in rows if len(row) > 2}

    if wanted:
        links_ = ", ".join(sorted(link for _, link in wanted))
        _await(known, f"FRR to see the links {links_}", _ZEBRA_SECONDS)


def _evpn_states() -> dict[int, VniState]:
    return {one.vni: one for one in _states.decode(programs.show("show evpn vni detail json").strip() or "[]")}


def _no_learnt_routes() -> bool:
    return not any(programs.ask("ip", family, "route", "show", "proto", "bgp").strip() for family in ("-4", "-6"))


def _touched(plan: Plan) -> tuple[dict[int, Vxlan], dict[int, EvpnVrf]]:
    tunnels, bound = {}, {}
    for change in plan:
        if isinstance(change.after, Vxlan):
            tunnels[change.after.vni] = change.after
        elif isinstance(change.after, EvpnVrf):
            bound[change.after.vni] = change.after
    return tunnels, bound


def _poll(done: Callable[[], bool], seconds: float) -> bool:
    """Whether something came to be. Asking costs a process: on a slow device the questions must not keep the daemon
    from its work that they are about, so between two of them is at least as much time as one takes."""
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if done():
            return True
        now = time.monotonic()
        if now > deadline:
            return False
        time.sleep(max(_POLL, now - asked))


def _await(done: Callable[[], bool], what: str, seconds: float) -> None:
    if not _poll(done, seconds):
        raise programs.Silence(f"waited {seconds:g} s for {what}")

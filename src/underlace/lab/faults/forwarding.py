"""Packets that a device drops by somebody else's doing: a null route, an access list that is not ours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from ipaddress import ip_network
from typing import ClassVar

from underlace.lab import target
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError
from underlace.lab.faults import where
from underlace.lab.faults.announcements import network
from underlace.lab.faults.base import Fault, Kept, Parameter, Plan
from underlace.lab.faults.loss import counted
from underlace.lab.namespace import Namespace
from underlace.model.diagnostic import shortened

_PLACE = Parameter("DEVICE[/VPC]", "a switch, or a VPC on it: leaf2/acme/red")
_TABLE = "table inet {table} {{\n{chains}}}\n"
_CHAIN = "  chain {hook} {{ type filter hook {hook} priority -10; policy accept; {rules} }}\n"


def _on_switch(fabric: Fabric, text: str) -> tuple[Namespace, str]:
    where.device(fabric, text.partition("/")[0])
    return target.place(fabric, text)


class BlackholeRoute(Fault):
    name = "blackhole-route"
    parameters = (_PLACE, Parameter("PREFIX", "what is sent to nowhere"))
    summary = "A switch has a null route by hand, which it does not announce."
    shows = (
        "All sessions are up and routes are right everywhere else; what this switch forwards to the prefix is lost."
    )
    elsewhere = ("NIKA host_static_blackhole", "NetOpsBench blackhole_route", "NetArena wrong_routing_table")

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        text, prefix = words["DEVICE[/VPC]"], network(words["PREFIX"])
        node, vrf = _on_switch(fabric, text)
        kept = {"node": node.name, "vrf": vrf, "prefix": prefix}
        if self.proof(fabric, kept):
            raise LabError(f"{text} has a null route for {prefix} already")
        return Plan(f"{text},{prefix}", kept, (f"the route of {text} to {prefix}",))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        self._route(fabric, kept, "add")

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        if self.proof(fabric, kept):
            self._route(fabric, kept, "del")

    def _route(self, fabric: Fabric, kept: Kept, verb: str) -> None:
        family = "-6" if ":" in kept["prefix"] else "-4"
        # Without a metric of its own: it goes before whatever BGP knows.
        words = ["ip", family, "route", verb, "blackhole", kept["prefix"], "metric", "1"]
        fabric.node(kept["node"]).run(words, kept["vrf"])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        node, inside = fabric.node(kept["node"]), ip_network(kept["prefix"])[0]
        family = "-6" if ":" in kept["prefix"] else "-4"
        held = node.run(["ip", family, "route", "show", "type", "blackhole", "exact", kept["prefix"]], kept["vrf"])
        if not held.strip() or "dev" in node.run(["ip", "route", "get", str(inside)], kept["vrf"], check=False):
            return ""
        return f"{node.name} has a null route for {kept['prefix']}, and no way to {inside}"


class Filter(Fault):
    """An nftables table that is not Underlace's, at hooks that come before its own."""

    table: ClassVar[str]

    @abstractmethod
    def rules(self, kept: Kept) -> Mapping[str, str]:
        """Hook -> rules."""

    def provoke(self, fabric: Fabric, kept: Kept) -> None:
        """Send something that the table drops."""

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        text = words[self.parameters[0].name]
        node, vrf = _on_switch(fabric, text)
        kept = {"node": node.name, "vrf": vrf, "place": text}
        if "PREFIX" in words:
            kept["prefix"] = network(words["PREFIX"])
        where_from = f"{text},{kept['prefix']}" if "prefix" in kept else text
        return Plan(where_from, kept, (f"the access list {self.table} at {text}",))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        chains = "".join(_CHAIN.format(hook=hook, rules=rules) for hook, rules in self.rules(kept).items())
        text = _TABLE.format(table=self.table, chains=chains)
        fabric.node(kept["node"]).run(["nft", "-f", "-"], kept["vrf"], stdin=text)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        words = ["nft", "delete", "table", "inet", self.table]
        fabric.node(kept["node"]).run(words, kept["vrf"], check=False)

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        port = where.Port(fabric.node(kept["node"]), kept["vrf"], "")
        if counted(port, self.table, "inet") is None:
            return ""
        self.provoke(fabric, kept)
        dropped = sum(counted(port, self.table, "inet") or [])
        return f"the access list {self.table} at {kept['place']} has dropped {dropped} packets" if dropped else ""


class ForeignAcl(Filter):
    name = "foreign-acl"
    parameters = (Parameter("DEVICE", "a switch"),)
    table = "foreign_acl"
    summary = "Somebody has put an access list on a switch that drops TCP port 179: BGP."
    shows = "Links and BFD are fine; the sessions of the switch end when their hold timers do, and do not come back."
    elsewhere = ("NIKA bgp_acl_block", "NetOps control-plane isolation")

    def rules(self, kept: Kept) -> Mapping[str, str]:
        return {"input": "tcp dport 179 counter drop; tcp sport 179 counter drop;"}


class IcmpFilter(Filter):
    name = "icmp-filter"
    parameters = (_PLACE,)
    table = "foreign_icmp"
    summary = "Somebody has put an access list on a switch that drops ICMP over IPv4, too-big messages included."
    shows = "Ping and traceroute fail while TCP works, unless a path takes smaller packets than its ends think."
    elsewhere = ("NIKA icmp_acl_block", "NIKA icmp_frag_needed_filter_misconfiguration")

    def rules(self, kept: Kept) -> Mapping[str, str]:
        return dict.fromkeys(("forward", "output", "input"), "ip protocol icmp counter drop;")

    def provoke(self, fabric: Fabric, kept: Kept) -> None:
        ping = ["ping", "-c", "1", "-W", "1", "127.0.0.1"]
        fabric.node(kept["node"]).run(ping, kept["vrf"], check=False)


class BlockedPrefix(Filter):
    name = "blocked-prefix"
    parameters = (_PLACE, Parameter("PREFIX", "what nobody shall reach by way of it"))
    table = "foreign_prefix"
    summary = "Somebody has put an access list on a switch that drops what is sent to a prefix."
    shows = "Sessions and routes are right; what this switch forwards to the prefix is lost, and the list counts it."
    elsewhere = ("NetOpsBench acl_misconfig", "NetArena drop_traffic_to_from_subnet")

    def rules(self, kept: Kept) -> Mapping[str, str]:
        family = "ip6" if ":" in kept["prefix"] else "ip"
        return dict.fromkeys(("forward", "output"), f"{family} daddr {kept['prefix']} counter drop;")

    def provoke(self, fabric: Fabric, kept: Kept) -> None:
        inside = str(ip_network(kept["prefix"])[0])
        fabric.node(kept["node"]).run(["ping", "-c", "1", "-W", "1", inside], kept["vrf"], check=False)


class Misrouted(Fault):
    name = "misrouted-prefix"
    parameters = (
        _PLACE,
        Parameter("PREFIX", "what goes astray"),
        Parameter("ADDRESS", "the next hop that it is sent to"),
    )
    summary = "A switch has a static route by hand with the wrong next hop, which it does not announce."
    shows = "All sessions are up and routes are right everywhere else; what this switch forwards there goes astray."
    elsewhere = ("NetOpsBench static_route_misconfig", "NetArena wrong_routing_table")

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        text, prefix = words["DEVICE[/VPC]"], network(words["PREFIX"])
        node, vrf = _on_switch(fabric, text)
        kept = {"node": node.name, "vrf": vrf, "prefix": prefix, "hop": _device_to(node, vrf, words["ADDRESS"])}
        kept["address"] = words["ADDRESS"]
        return Plan(f"{text},{prefix}", kept, (f"the route of {text} to {prefix}",))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        self._route(fabric, kept, "add")

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        if self._held(fabric, kept):
            self._route(fabric, kept, "del")

    def _route(self, fabric: Fabric, kept: Kept, verb: str) -> None:
        way = ["via", kept["address"], "dev", kept["hop"], "onlink", "metric", "1"]
        fabric.node(kept["node"]).run(["ip", "route", verb, kept["prefix"], *way], kept["vrf"])

    def _held(self, fabric: Fabric, kept: Kept) -> bool:
        family = "-6" if ":" in kept["prefix"] else "-4"
        words = ["ip", family, "route", "show", "exact", kept["prefix"], "metric", "1"]
        return f"via {kept['address']} " in fabric.node(kept["node"]).run(words, kept["vrf"])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        inside = str(ip_network(kept["prefix"])[0])
        way = fabric.node(kept["node"]).run(["ip", "route", "get", inside], kept["vrf"], check=False)
        if not self._held(fabric, kept) or f"via {kept['address']} " not in way:
            return ""
        return f"{kept['node']} sends what is for {inside} to {kept['address']} by {kept['hop']}"


def _device_to(node: Namespace, vrf: str, address: str) -> str:
    """The link by which an address is a neighbour. Raises LabError."""
    words = node.run(["ip", "-oneline", "route", "get", address], vrf, check=False).split()
    if "dev" not in words or "via" in words:
        raise LabError(
            f"{shortened(address)} is no neighbour of {node.name} there", "Name an address on a link of it."
        )
    return words[words.index("dev") + 1]


FAULTS = (BlackholeRoute(), Misrouted(), ForeignAcl(), IcmpFilter(), BlockedPrefix())

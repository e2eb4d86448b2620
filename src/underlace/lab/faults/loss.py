"""Packets that a cable loses or damages, while both ends have carrier.

The kernels that labs run on lack netem, so nftables does it at the port, before all else that enters and after all
else that leaves. The table is none of Underlace's, so no agent touches it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import ClassVar

from underlace.lab.fabric import Fabric
from underlace.lab.faults import where
from underlace.lab.faults.base import Fault, Kept, Parameter, Plan
from underlace.lab.faults.ports import PORT
from underlace.lab.topology import end

_RULES = """table netdev {table} {{
  chain in {{ type filter hook ingress device "{port}" priority -600; policy accept; {rule}; }}
  chain out {{ type filter hook egress device "{port}" priority -600; policy accept; {rule}; }}
}}
"""
_SURE = 20
"""Packets that are expected to meet the fault when it is proved: that none does then is one in a thousand million."""


class Loss(Fault):
    """A rule at a port, both ways. harm: what it does to the packets that it takes."""

    harm: ClassVar[str]
    verb: ClassVar[str]

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        _, far = where.cabled(fabric, words["PORT"])
        percent = where.number(words, "PERCENT", 1, 100) if "PERCENT" in words else 100
        kept = {"port": words["PORT"], "far": str(far), "table": self.table(words["PORT"]), "percent": percent}
        return Plan(words["PORT"], kept, (f"{self.name} at {words['PORT']}",))

    def table(self, text: str) -> str:
        return re.sub(r"[^a-z0-9]", "_", f"fault_{self.name}_{end(text).port}")

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        near = where.port(fabric, kept["port"])
        some = f"numgen random mod 100 < {kept['percent']:g} " if kept["percent"] < 100 else ""
        rules = _RULES.format(table=kept["table"], port=near.name, rule=some + self.harm)
        near.node.run(["nft", "-f", "-"], near.where, stdin=rules)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        near = where.port(fabric, kept["port"])
        near.node.run(["nft", "delete", "table", "netdev", kept["table"]], near.where, check=False)

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        near, far = where.port(fabric, kept["port"]), where.far_port(fabric, end(kept["far"]))
        if not (near.up and far.up):
            return ""
        taken = counted(near, kept["table"])
        if taken is None:
            return ""
        count = str(round(_SURE * 100 / kept["percent"]))
        frames = [sys.executable, "-m", "underlace.lab.faults.inside", "frames"]
        near.node.run([*frames, near.name, far.link()["address"], count], near.where)
        far.node.run([*frames, far.name, near.link()["address"], count], far.where)
        now = counted(near, kept["table"]) or taken
        lost = [after - before for before, after in zip(taken, now, strict=True)]
        if not all(lost):
            return ""
        return f"{kept['port']} has carrier, and {self.verb} {now[0]} packets in and {now[1]} out"


def counted(near: where.Port, table: str, family: str = "netdev") -> list[int] | None:
    """The counters of a table's rules; None when it is not there."""
    said = near.node.run(["nft", "-j", "list", "table", family, table], near.where, check=False)
    if not said.startswith("{"):
        return None
    rules = [item["rule"] for item in json.loads(said)["nftables"] if "rule" in item]
    return [part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part]


class SilentLoss(Loss):
    name = "silent-loss"
    parameters = (PORT,)
    summary = "A cable loses every packet, both ways, and both ends have carrier."
    shows = "Both ports are up; BFD, then BGP, say that nobody is there. No interface counter moves."
    elsewhere = ("NIKA silent_egress_packet_loss",)
    harm, verb = "counter drop", "lost"


class PacketLoss(Loss):
    name = "packet-loss"
    parameters = (PORT, Parameter("PERCENT", "how many of a hundred are lost", "30"))
    summary = "A cable loses some packets, both ways."
    shows = "Sessions stay up or flap; what is sent over this link has to be sent again."
    elsewhere = ("NetOpsBench packet_loss", "NetArena disable_interface (loss)")
    harm, verb = "counter drop", "lost"


class Corruption(Loss):
    name = "corruption"
    parameters = (PORT, Parameter("PERCENT", "how many of a hundred are damaged", "25"))
    summary = "A cable damages some IPv4 packets, both ways, so that their checksums fail."
    shows = "Carrier and BGP over link-local addresses are fine; whoever receives a damaged packet drops it, and its "
    shows += "IP counter InCsumErrors grows."
    elsewhere = ("NIKA link_packet_corruption", "NetOpsBench packet_corruption")
    harm, verb = "meta protocol ip ip checksum set 57005 counter", "damaged"


class SlowLink(Fault):
    name = "slow-link"
    parameters = (PORT, Parameter("KBIT", "a second that pass", "200"))
    summary = "A port sends far less than its speed says."
    shows = "Small packets pass, and sessions are up; whoever sends much is slow, and loses packets at this port."
    elsewhere = ("NIKA link_capacity_bottleneck",)

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        _, far = where.cabled(fabric, words["PORT"])
        kept = {"port": words["PORT"], "far": str(far), "kbit": where.number(words, "KBIT", 32, 10_000)}
        return Plan(words["PORT"], kept, (f"the queue of {words['PORT']}",))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        self._queue(fabric, kept, "add", "tbf", "rate", f"{kept['kbit']:g}kbit", "burst", "9300", "latency", "50ms")

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        self._queue(fabric, kept, "del")

    def _queue(self, fabric: Fabric, kept: Kept, verb: str, *words: str) -> None:
        near = where.port(fabric, kept["port"])
        near.node.run(["tc", "qdisc", verb, "dev", near.name, "root", *words], near.where, check=verb == "add")

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        near, far = where.port(fabric, kept["port"]), where.far_port(fabric, end(kept["far"]))
        frames = [sys.executable, "-m", "underlace.lab.faults.inside", "frames", near.name, far.link()["address"]]
        near.node.run([*frames, "50", "1400"], near.where)
        queues = json.loads(
            near.node.run(["tc", "-json", "-statistics", "qdisc", "show", "dev", near.name], near.where)
        )
        dropped = sum(queue["drops"] for queue in queues if queue["kind"] == "tbf")
        return f"{kept['port']} sends {kept['kbit']:g} kbit/s, and has dropped {dropped} packets" if dropped else ""


FAULTS = (SlowLink(), SilentLoss(), PacketLoss(), Corruption())

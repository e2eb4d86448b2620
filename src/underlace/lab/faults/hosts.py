"""What the owner of a server has got wrong: nothing of it is the fabric's."""

from __future__ import annotations

from collections.abc import Mapping

from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError, near
from underlace.lab.faults.base import Fault, Kept, Parameter, Plan
from underlace.model.diagnostic import shortened

_NOBODY = "192.0.2.254"
"""For documentation: no lab has it."""


class WrongGateway(Fault):
    name = "wrong-gateway"
    parameters = (
        Parameter("HOST", "a host of the lab"),
        Parameter("ADDRESS", "of the gateway that is none", _NOBODY),
    )
    summary = "A server sends what is not for its own subnet to a gateway that does not exist."
    shows = "The server is reached from its own subnet and from nowhere else. The fabric is as it should be."
    elsewhere = ("NIKA host_incorrect_gateway",)

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        host = words["HOST"]
        if host not in fabric.lab.hosts:
            raise LabError(f"{shortened(host)} is no host of this lab", near(host, fabric.lab.hosts))
        routes = fabric.node(host).run(["ip", "route", "show", "default"]).splitlines()
        if not routes:
            raise LabError(f"{host} has no gateway", "Name a host in a V-Net with a gateway.")
        words_of = routes[0].split()
        kept = {
            "host": host,
            "right": words_of,
            "link": words_of[words_of.index("dev") + 1],
            "wrong": words["ADDRESS"],
        }
        return Plan(host, kept, (f"the gateway of {host}",))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        way = ["via", kept["wrong"], "dev", kept["link"], "onlink"]
        fabric.node(kept["host"]).run(["ip", "route", "replace", "default", *way])

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        fabric.node(kept["host"]).run(["ip", "route", "replace", *kept["right"]])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        node = fabric.node(kept["host"])
        route = node.run(["ip", "route", "show", "default"])
        answered = node.run(["ping", "-n", "-c", "1", "-W", "1", kept["wrong"]], check=False)
        if f"via {kept['wrong']} " not in route or "1 received" in answered:
            return ""
        return f"{kept['host']} sends to {kept['wrong']}, and nobody is there"


FAULTS = (WrongGateway(),)

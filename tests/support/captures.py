"""What real devices said to probes: tests/captures/frr-VERSION/, one file a probe and question.

Recorded from a running lab (`--frr` for another release of FRR), for every case of CASES:

    cd tests && ../.venv/bin/python -m support.captures LAB VERSION [PROBE]...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from underlace.drivers.linux.probes import probes
from underlace.drivers.linux.probes.base import SPEEDS, VTY, Said, Step
from underlace.lab.fabric import Fabric, load
from underlace.lab.namespace import CommandFailed

FOLDER = Path(__file__).resolve().parents[1] / "captures"
VERSIONS = ("8.4", "10.3")


class Case(NamedTuple):
    """A question to a device of the quickstart. vpc: the VPC that it is about, by name. folder: where it was recorded
    by hand, because a lab has no such service."""

    probe: str
    device: str = "leaf1"
    arguments: dict[str, Any] = {}
    vpc: str = ""
    name: str = ""
    folder: str = ""

    @property
    def file(self) -> str:
        return f"{self.name or self.probe}.json"


CASES = (
    Case("bgp-summary"),
    Case("bgp-summary", vpc="border", name="bgp-summary-in-a-vpc"),
    Case("bgp-summary", vpc="red", name="bgp-summary-of-none"),
    Case("bgp-neighbor"),
    Case("bgp-neighbor", arguments={"peer": "192.0.2.1"}, vpc="border", name="bgp-neighbor-in-a-vpc"),
    Case("bgp-routes"),
    Case("bgp-routes", arguments={"prefix": "10.255.0.4"}, name="bgp-routes-to-an-address"),
    Case("bgp-routes", arguments={"family": "ipv6"}, vpc="red", name="bgp-routes-in-a-vpc"),
    Case("bgp-routes", arguments={"prefix": "198.51.100.0/24"}, name="bgp-routes-of-none"),
    Case("evpn"),
    Case("evpn", arguments={"type": 5, "rd": "10.255.0.4:3"}, name="evpn-prefixes-of-a-vpc"),
    Case("vnis"),
    Case("routes"),
    Case("routes", arguments={"prefix": "10.255.0.4"}, name="routes-to-an-address"),
    Case("routes", arguments={"family": "ipv6"}, vpc="red", name="routes-in-a-vpc"),
    Case("ports"),
    Case("macs"),
    Case("neighbours", vpc="red"),
    Case("acl-counters", vpc="red"),
    Case("services"),
    Case("lldp", folder="lldpd-1.0"),
)


class Capture(NamedTuple):
    arguments: dict[str, Any]
    said: list[Said]

    def rows(self, probe: str) -> list[dict[str, Any]]:
        return list(probes()[probe].rows(self.arguments, self.said))


def capture(version: str, case: Case) -> Capture:
    found = json.loads((FOLDER / (case.folder or f"frr-{version}") / case.file).read_text())
    said = [Said(Step(tuple(s["words"]), s["netns"]), "\n".join(s["output"]), s["code"]) for s in found["steps"]]
    return Capture(found["arguments"], said)


def record(fabric: Fabric, version: str, case: Case) -> None:
    node = fabric.node(case.device)
    arguments = {**case.arguments, **({"vrf": fabric.vrf(case.vpc)} if case.vpc else {})}
    vrfs = sorted(path.name for path in node.path("/run/netns").iterdir())
    steps = probes()[case.probe].steps(arguments, vrfs)
    told = {"device": case.device, "arguments": arguments, "steps": [_run(node, step) for step in steps]}
    file = FOLDER / f"frr-{version}" / case.file
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _run(node: Any, step: Step) -> dict[str, Any]:
    if step.words[0] == SPEEDS:
        return {"words": [SPEEDS], "netns": step.netns, "code": 0, "output": ['{"swp1": 10000, "swp5": 10000}']}
    words = list(step.words)
    if words[0] == VTY:  # vtysh asks it in the same way
        words = ["vtysh", "-d", words[1], "-c", words[2]]
    try:
        output, code = node.run(words, step.netns), 0
    except CommandFailed as failed:
        if not step.may_fail:
            raise
        output, code = str(failed), 1
    return {"words": list(step.words), "netns": step.netns, "code": code, "output": output.split("\n")}


def cases(probe: str) -> Iterator[Case]:
    return (case for case in CASES if case.probe == probe)


if __name__ == "__main__":
    lab = load(Path(sys.argv[1]))
    for one in CASES:
        if not one.folder and (not sys.argv[3:] or one.probe in sys.argv[3:]):
            record(lab, sys.argv[2], one)

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
from underlace.drivers.linux.probes.base import Said, Step
from underlace.lab.fabric import Fabric, load
from underlace.lab.namespace import CommandFailed

FOLDER = Path(__file__).resolve().parents[1] / "captures"
VERSIONS = ("8.4", "10.3")


class Case(NamedTuple):
    """A question to a device of the quickstart. vpc: the VPC that it is about, by name."""

    probe: str
    device: str = "leaf1"
    arguments: dict[str, Any] = {}
    vpc: str = ""
    name: str = ""

    @property
    def file(self) -> str:
        return f"{self.name or self.probe}.json"


CASES = (
    Case("bgp-summary"),
    Case("bgp-summary", vpc="border", name="bgp-summary-in-a-vpc"),
    Case("bgp-summary", vpc="red", name="bgp-summary-of-none"),
)


class Capture(NamedTuple):
    arguments: dict[str, Any]
    said: list[Said]

    def rows(self, probe: str) -> list[dict[str, Any]]:
        return list(probes()[probe].rows(self.arguments, self.said))


def capture(version: str, case: Case) -> Capture:
    found = json.loads((FOLDER / f"frr-{version}" / case.file).read_text())
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
    try:
        output, code = node.run(list(step.words), step.netns), 0
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
        if not sys.argv[3:] or one.probe in sys.argv[3:]:
            record(lab, sys.argv[2], one)

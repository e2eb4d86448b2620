"""The network outlives the controller, agents and devices that come and go (law 5)."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from support.fabric import (
    CONVERGENCE_SECONDS,
    Monitor,
    Pinger,
    apply,
    converged,
    daemons,
    judged,
    lasts,
    poll,
    settled,
)
from underlace.drivers.linux.rules import listings
from underlace.lab import agents, control, flows, frr
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric
from underlace.lab.state import start_time


def places(fabric: Fabric, device: str) -> list[str]:
    return ["", *sorted(path.name for path in fabric.node(device).path("/run/netns").iterdir())]


@contextmanager
def watched(fabric: Fabric) -> Iterator[dict[str, list[str]]]:
    """What rtnetlink says of links, addresses, routes and of neighbours that last in every namespace of every device
    meanwhile."""
    heard: dict[str, list[str]] = {}
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=fabric.state.directory.parent)))
        spots = [(device, place) for device in fabric.lab.switches for place in places(fabric, device)]
        monitors = {
            f"{device}/{place}": stack.enter_context(Monitor(fabric.node(device), place, logs / f"{device}-{place}"))
            for device, place in spots
        }
        yield heard
        heard |= {where: monitor.heard() for where, monitor in monitors.items()}


def configurations(fabric: Fabric) -> dict[str, str]:
    """FRR's configuration, the firewall without counters, and the neighbours that last, of every device.

    The neighbours beside the monitor: what is deleted has lost its flags when it is told.
    """
    found = {}
    for device in fabric.lab.switches:
        node = fabric.node(device)
        found[f"{device} frr"] = frr.vtysh(node, "show running-config")
        for place in places(fabric, device):
            found[f"{device}/{place} nft"] = firewall(node.run(["nft", "--stateless", "list", "ruleset"], place))
            listed = node.run(["ip", "neigh", "show", "nud", "all"], place) + node.run(
                ["bridge", "fdb", "show"], place
            )
            found[f"{device}/{place} neighbours"] = "\n".join(sorted(filter(lasts, listed.splitlines())))
    return found


def firewall(listing: str) -> str:
    """Tables as they were loaded. What packets have put into sets comes and goes with the packets."""
    tables = [
        (t.family, t.name, t.lines, sorted((n, *sorted(e)) for n, e in t.sets.items())) for t in listings(listing)
    ]
    return "\n".join(map(str, sorted(tables)))


def last_report(fabric: Fabric) -> dict[str, str]:
    return {d["name"]: d["last_report"] or "" for d in fabric.api.get("/v1/devices")["items"]}


def test_a_killed_controller_is_not_noticed_on_the_wire(fabric: Fabric) -> None:
    settled(fabric)
    before, seen = configurations(fabric), last_report(fabric)
    pingers = [
        Pinger(fabric, "r1", "10.9.2.12"),
        Pinger(fabric, "b1", "2001:db8:1:2::13"),
        Pinger(fabric, "d1", "198.51.100.1"),
    ]
    with watched(fabric) as heard:
        control.stop(fabric.state, signal.SIGKILL)
        assert flows.run(flows.checks(matrix(fabric.intent).flows), fabric) == []
        fabric.start_controller()
        poll("every agent to report again", lambda: all(last_report(fabric)[d] > at for d, at in seen.items()), 120)
        settled(fabric)
    assert {p.what: p.lost() for p in pingers} == {p.what: 0 for p in pingers}
    assert len(heard) > len(fabric.lab.switches), "leaves have VRFs"
    assert {where: lines for where, lines in heard.items() if lines} == {}
    assert configurations(fabric) == before
    assert judged(fabric).good


def test_a_device_rebuilt_without_the_controller_comes_back_from_its_cache(fabric: Fabric) -> None:
    settled(fabric)
    control.stop(fabric.state, signal.SIGKILL)
    wanted = matrix(fabric.intent)
    try:
        fabric.rebuild("leaf2")
        left = flows.converge(wanted, fabric, CONVERGENCE_SECONDS)
        assert left == []
        assert flows.run(flows.checks(wanted.flows), fabric) == []
    finally:
        fabric.start_controller()
    settled(fabric, 120)
    assert judged(fabric).good


def test_an_agent_that_was_executed_reports_as_the_forked_ones_do(fabric: Fabric) -> None:
    settled(fabric)
    told = fabric.api.get("/v1/devices/leaf3")
    node = fabric.node("leaf3")
    config = agents.config_path(fabric.state.directory, "leaf3")
    fabric.stop_agents(["leaf3"])
    with open(agents.log_path(fabric.state.directory, "leaf3"), "ab") as log:
        argv = node.command([sys.executable, "-m", "underlace.agent", str(config)])
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=node.environment())
    try:
        poll("the executed agent to report", lambda: last_report(fabric)["leaf3"] > told["last_report"], 90)
        again = fabric.api.get("/v1/devices/leaf3")
        moving = {"last_seen", "last_report"}
        assert {k: v for k, v in again.items() if k not in moving} == {
            k: v for k, v in told.items() if k not in moving
        }
    finally:
        process.terminate()
        process.wait(timeout=20)
        fabric.start_agents(["leaf3"])


def change(number: int) -> list[dict[str, Any]]:
    """A VPC with a routed V-Net on two leaves."""
    tenant, name = "acme", f"killed{number}"
    prefix = f"10.{100 + number}.1"
    return [
        {"kind": "vpc", "tenant": tenant, "name": name, "spec": {}},
        {"kind": "allocation", "tenant": tenant, "name": name, "spec": {"prefix": f"{prefix}.0/24", "vpc": name}},
        {"kind": "subnet", "tenant": tenant, "name": name, "spec": {"prefix": f"{prefix}.0/24", "vpc": name}},
        {
            "kind": "vnet",
            "tenant": tenant,
            "name": name,
            "spec": {
                "vpc": name,
                "gateways": [f"{prefix}.1/24"],
                "ports": [{"port": "swp15@leaf1"}, {"port": "swp15@leaf3"}],
            },
        },
        {"kind": "vpc-peering", "tenant": tenant, "name": name, "spec": {"a": {"vpc": "red"}, "b": {"vpc": name}}},
    ]


def supervised(fabric: Fabric, device: str) -> None:
    """Start an agent and, as its service manager would, start it again while it ends.

    A child that the killed one was just starting holds the lock on its state directory until it has become another
    program; a new agent that finds the lock held ends.
    """

    def stays() -> bool:
        if not fabric.agent(device):
            fabric.start_agents([device])
        return log.read_text().count('"event":"start"') > begun

    log = agents.log_path(fabric.state.directory, device)
    begun = log.read_text().count('"event":"start"')
    poll(f"the agent of {device} to start", stays)


def test_an_agent_killed_during_an_apply_converges(fabric: Fabric) -> None:
    """Moments spread over the whole apply, forwards (create) and backwards (delete).

    Every other pair of kills falls at or soon after the moment when the agent begins to touch the device; the others
    fall anywhere: before, within, after.
    """
    dice = random.Random(5)
    candidate = fabric.state.directory / "devices" / "leaf1" / "agent" / "candidate.json"
    inside = 0
    for number in range(6):
        documents = change(number)
        removal = [{k: d[k] for k in ("kind", "tenant", "name")} for d in reversed(documents)]
        for put, delete in ((documents, []), ([], removal)):
            poll("the apply before to be decided", lambda: not candidate.exists())
            fabric.api.apply(put, delete)
            if number % 2 == 0:
                poll("an apply to begin", candidate.exists, pause=0.005)
            moment = time.monotonic() + dice.random() * (0.15 * number if number % 2 == 0 else 1.5)
            poll("the chosen moment", lambda moment=moment: time.monotonic() >= moment, pause=0.005)  # type: ignore[misc]
            fabric.stop_agents(["leaf1"], signal.SIGKILL)
            inside += candidate.exists()  # it is gone as soon as an apply is confirmed or taken back
            supervised(fabric, "leaf1")
            settled(fabric, 120)
    assert inside >= 2, "the kills without a pause after the beginning must have met an apply"
    converged(fabric)
    assert judged(fabric).good
    assert not [p for p in places(fabric, "leaf1") if p not in places(fabric, "leaf2")], "a VRF was left behind"


def test_a_vpc_that_goes_and_comes_twenty_times_beside_an_agent_that_is_off(fabric: Fabric) -> None:
    """Nobody waits for the devices in between, and leaf3 hears of nothing. In the end all is as it should be, and no
    number was given out that leaf3 still held."""
    documents = change(9)
    vnet = next(d for d in documents if d["kind"] == "vnet")
    removal = [{k: d[k] for k in ("kind", "tenant", "name")} for d in reversed(documents)]

    def numbers() -> set[int]:
        found = fabric.api.resources("vpc") + fabric.api.resources("vnet")
        return {i["status"]["allocated"]["vni"] for i in found if i["name"] == vnet["name"]}

    try:
        apply(fabric, *documents)
        held = numbers()
        assert len(held) == 2
        fabric.stop_agents(["leaf3"], signal.SIGKILL)
        for _ in range(20):
            fabric.api.apply([], removal)
            fabric.api.apply(documents, [])
            assert not numbers() & held
    finally:
        supervised(fabric, "leaf3")
    settled(fabric, 120)
    converged(fabric)
    assert judged(fabric).good
    apply(fabric, delete=tuple(removal))
    assert not [p for p in places(fabric, "leaf1") if p not in places(fabric, "leaf2")], "a VRF was left behind"


def test_a_killed_daemon_is_not_the_end(fabric: Fabric) -> None:
    """bgpd dies: whoever minds the device restarts FRR, the agent puts back what it should hold."""
    node = fabric.node("leaf2")
    frr.stop(node.path(frr.RUN), number=signal.SIGKILL)
    frr.start(node, vrf_namespaces=True)
    assert set(daemons(fabric, "leaf2")) >= set(frr.DEVICE_DAEMONS)
    converged(fabric)
    settled(fabric)
    assert judged(fabric).good


def test_a_vrf_that_comes_and_goes_on_a_leaf_disturbs_no_other(fabric: Fabric) -> None:
    """leaf1 has the VRF of shared for its peering only. FRR's automatic RD for a new L3VNI was another VPC's once."""
    peering = {"kind": "vpc-peering", "tenant": "platform", "name": "red-shared"}
    pairs = [
        ("r1", "10.1.1.12"),
        ("r1", "2001:db8:1:2::13"),
        ("r2", "10.1.1.11"),
        ("b1", "10.1.1.12"),
        ("d2", "203.0.113.11"),
    ]
    pingers = [Pinger(fabric, source, address) for source, address in pairs]
    try:
        for _ in range(3):
            apply(fabric, delete=(peering,))
            apply(fabric, {**peering, "spec": {"a": {"vpc": "acme/red"}, "b": {"vpc": "shared"}}})
            converged(fabric)
    finally:
        fates = {p.what: p.lost() for p in pingers}
    assert fates == dict.fromkeys(fates, 0)
    assert judged(fabric).good


def test_an_agent_s_end_leaves_the_device_alone(fabric: Fabric) -> None:
    settled(fabric)
    before = configurations(fabric)
    pinger = Pinger(fabric, "r1", "10.1.2.13")
    pids = {d: fabric.agent(d) for d in fabric.lab.switches}
    fabric.stop_agents(fabric.lab.switches, signal.SIGKILL)
    assert [d for d, pid in pids.items() if start_time(pid)] == []
    assert configurations(fabric) == before
    fabric.start_agents(fabric.lab.switches)
    settled(fabric)
    assert pinger.lost() == 0
    apply(fabric)

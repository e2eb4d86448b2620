"""What is true right now, asked from outside: `underlace live` on a fabric with FRR and real agents."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.fabric import poll, settled
from underlace.lab import frr
from underlace.lab.fabric import Fabric
from underlace.lab.probe import PORT as ANSWERING
from underlace.queries.registry import QUERIES

ONE_DEVICE, MANY_DEVICES = 1.0, 3.0
"""Seconds that an answer may take."""


def live(fabric: Fabric, query: str, *words: str) -> dict[str, Any]:
    """`underlace live ... -o json`."""
    command = [
        sys.executable,
        "-m",
        "underlace.main",
        "--context",
        str(fabric.state.directory / "controller" / "context.json"),
    ]
    done = subprocess.run([*command, "live", query, *words, "-o", "json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def of(found: dict[str, Any], device: str) -> dict[str, Any]:
    (one,) = [d for d in found["devices"] if d["device"] == device]
    return dict(one)


def rows(fabric: Fabric, query: str, device: str, *words: str) -> list[dict[str, Any]]:
    one = of(live(fabric, query, *words, "--device", device), device)
    assert one["error"] is None, one["error"]
    return list(one["rows"])


def listening(fabric: Fabric, *devices: str) -> None:
    """Wait until the agents are there to be asked."""
    for device in devices or fabric.lab.switches:
        poll(f"{device} to listen", lambda d=device: of(live(fabric, "bgp-summary", "-d", d), d)["device_reachable"])


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Processes that hang."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_sessions_of_the_whole_fabric(fabric: Fabric) -> None:
    listening(fabric)
    found = live(fabric, "bgp-summary")
    assert found["simulated"]
    assert [d["device"] for d in found["devices"]] == sorted(fabric.lab.switches)
    for device in found["devices"]:
        assert device["error"] is None
        assert device["simulated"]
        assert device["device_reachable"]
        assert device["observed_at"].endswith("Z")
        assert {r["state"] for r in device["rows"]} == {"Established"}
        assert device["latency_ms"] < 1000 * MANY_DEVICES
    one = of(live(fabric, "bgp-summary", "-d", "leaf1"), "leaf1")
    assert one["latency_ms"] < 1000 * ONE_DEVICE
    peers = {(r["vrf"], r["peer"], r["afi"]) for r in one["rows"]}
    border = fabric.vrf("border")
    assert {
        ("default", "swp1", "l2vpn"),
        (border, "192.0.2.1", "ipv4"),
        (border, "2001:db8:ffff::1", "ipv6"),
    } <= peers


def test_an_answer_is_of_now(fabric: Fabric) -> None:
    """A session that is shut down is so in the next answer."""
    node = fabric.node("leaf2")

    def states() -> set[str]:
        return {r["state"] for r in rows(fabric, "bgp-summary", "leaf2") if r["peer"] == "swp1"}

    fabric.stop_agents(["spine1"])  # nobody mends it there meanwhile
    try:
        asn = frr.vtysh(fabric.node("spine1"), "show running-config").split("router bgp ")[1].split()[0]
        frr.vtysh(fabric.node("spine1"), "configure terminal", f"router bgp {asn}", "neighbor swp2 shutdown")
        assert poll("the session to end", lambda: "Established" not in states(), 10.0)
        frr.vtysh(fabric.node("spine1"), "configure terminal", f"router bgp {asn}", "no neighbor swp2 shutdown")
        assert poll("the session to be back", lambda: states() == {"Established"}, 30.0)
    finally:
        fabric.start_agents(["spine1"])
    settled(fabric)
    assert node is not None


def test_a_daemon_that_hangs_is_an_answer_in_time(fabric: Fabric) -> None:
    listening(fabric)
    hung = frr.pids(fabric.node("leaf3").path(frr.RUN))["bgpd"]
    with stopped([hung]):
        began = time.monotonic()
        found = live(fabric, "bgp-summary")
        assert time.monotonic() - began < MANY_DEVICES + 2.0  # the command's own start included
    one = of(found, "leaf3")
    assert (one["device_reachable"], one["error"]["code"]) == (True, "live-failed")
    assert "did not answer in time" in one["error"]["detail"]
    assert [d["error"] for d in found["devices"] if d["device"] != "leaf3"] == [None] * (len(found["devices"]) - 1)
    settled(fabric)


def test_an_agent_that_hangs_or_is_gone_is_an_answer_in_time(fabric: Fabric) -> None:
    listening(fabric)
    with stopped([fabric.agent("leaf3")]):
        one = of(live(fabric, "bgp-summary", "-d", "leaf3"), "leaf3")
    assert (one["device_reachable"], one["error"]["code"]) == (False, "live-timeout")
    assert one["latency_ms"] < 1000 * MANY_DEVICES
    fabric.stop_agents(["leaf3"])
    try:
        code = poll("it to be missed", lambda: _code(fabric, "leaf3") == "live-away", 20.0)
        assert code
    finally:
        fabric.start_agents(["leaf3"])
    settled(fabric)
    listening(fabric, "leaf3")


def _code(fabric: Fabric, device: str) -> str:
    return str(of(live(fabric, "bgp-summary", "-d", device), device)["error"]["code"])


def test_questions_and_an_apply_do_not_wait_for_each_other(fabric: Fabric) -> None:
    """A change goes through while a device's BGP is asked without end."""
    listening(fabric)
    document = {"kind": "vpc", "tenant": "acme", "name": "asked", "spec": {}}
    fabric.api.apply((document,), ())
    asked = 0

    def held() -> bool:
        nonlocal asked
        assert of(live(fabric, "bgp-summary", "-d", "leaf1"), "leaf1")["latency_ms"] < 1000 * MANY_DEVICES
        asked += 1
        return {d["state"] for d in fabric.api.get("/v1/devices")["items"]} == {"in-sync"}

    poll("all to hold it", held, 60.0)
    fabric.api.apply((), ({k: document[k] for k in ("kind", "tenant", "name")},))
    settled(fabric)
    assert asked


def test_a_service_that_hangs_or_is_gone_hides_no_other(fabric: Fabric) -> None:
    listening(fabric, "leaf3")
    run = fabric.node("leaf3").path(frr.RUN)

    def states() -> dict[str, str]:
        return {r["service"]: r["state"] for r in rows(fabric, "services", "leaf3")}

    good = {"zebra": "up", "bgpd": "up", "staticd": "up", "bfdd": "up", "agent": "up"}
    assert good.items() <= states().items()
    with stopped([frr.pids(run)["bgpd"]]):
        assert states().items() >= {**good, "bgpd": "hangs"}.items()
    frr.stop(run, ["staticd"])
    try:
        assert states().items() >= {**good, "staticd": "down"}.items()
    finally:
        frr.start(fabric.node("leaf3"), True, ["staticd"])
    settled(fabric)


def test_every_query_is_answered_by_every_device(fabric: Fabric) -> None:
    """A second for one device, three for many: by the controller's clock, the start of the command apart."""
    listening(fabric)
    settled(fabric)
    for query in QUERIES.values():
        if query.active or query.name == "lldp":  # a lab runs no lldpd
            continue
        found = live(fabric, query.name)
        assert [d["error"] for d in found["devices"]] == [None] * len(fabric.lab.switches), query.name
        assert max(d["latency_ms"] for d in found["devices"]) < 1000 * MANY_DEVICES, query.name
        leaf = of(live(fabric, query.name, "-d", "leaf1"), "leaf1")
        assert leaf["latency_ms"] < 1000 * ONE_DEVICE, query.name
        assert leaf["rows"] or query.name == "drift"
        assert leaf["source"]


def test_what_the_device_has_is_what_is_told(fabric: Fabric) -> None:
    vni = fabric.api.get("/v1/resources/vnet/acme/red-web")["status"]["allocated"]["vni"]
    red = fabric.vrf("red")
    assert [r["vrf"] for r in rows(fabric, "vnis", "leaf1", f"vni={vni}")] == [red]
    (access,) = (r for r in rows(fabric, "ports", "leaf1", "port=swp5"))
    assert (access["vrf"], access["oper"]) == (red, "up")
    assert {r["vrf"] for r in rows(fabric, "routes", "leaf1", "vpc=acme/red")} == {red}
    (loopback,) = rows(fabric, "routes", "leaf1", "prefix=10.255.0.4")
    assert len(loopback["next_hops"]) == 2


def test_drift_is_seen_before_it_is_mended(fabric: Fabric) -> None:
    fabric.node("leaf1").run(["ip", "link", "set", "swp1", "mtu", "9000"])
    found = rows(fabric, "drift", "leaf1")
    assert [(r["change"], r["item"].split("/")[-1]) for r in found] == [("changed", "swp1")]
    fabric.node("leaf1").run(["ip", "link", "set", "swp1", "mtu", "9216"])
    assert rows(fabric, "drift", "leaf1") == []


def test_probes_in_the_underlay_and_in_a_vpc(fabric: Fabric) -> None:
    """Answers are seen though the devices' own filters let none in."""
    (there,) = rows(fabric, "ping", "leaf1", "to=10.255.0.4", "count=5")
    assert (there["sent"], there["received"], there["vrf"]) == (5, 5, "default")
    (full,) = rows(fabric, "ping", "leaf1", "to=10.255.0.4", "size=9216")
    assert full["received"] == 3
    way = rows(fabric, "traceroute", "leaf1", "to=10.255.0.4")
    assert [hop["said"] for hop in way] == ["on the way", "reached"]
    assert way[0]["address"] in ("10.255.0.1", "10.255.0.2")
    for address in ("10.1.1.11", "2001:db8:1:1::11"):
        (host,) = rows(fabric, "ping", "leaf1", f"to={address}", "vpc=acme/red")
        assert (host["received"], host["vrf"]) == (3, fabric.vrf("red"))
        (port,) = rows(fabric, "tcp", "leaf1", f"to={address}", f"port={ANSWERING}", "vpc=acme/red")
        assert port["state"] == "open", port
        (port,) = rows(fabric, "tcp", "leaf1", f"to={address}", "port=9", "vpc=acme/red")
        assert port["state"] == "refused", port
        (size,) = rows(fabric, "path-mtu", "leaf1", f"to={address}", "vpc=acme/red")
        assert (size["mtu"], size["exact"]) == (9000, True)


def test_probes_of_what_is_not_there(fabric: Fabric) -> None:
    (none,) = rows(fabric, "ping", "leaf1", "to=10.255.0.77")
    assert (none["received"], none["loss_percent"], none["said"]) == (0, 100, "Network is unreachable")
    (closed,) = rows(fabric, "tcp", "leaf1", "to=10.255.0.4", "port=179")
    assert closed["state"] == "no answer", "a VTEP answers nobody who has no session with it"


def test_a_link_that_is_too_narrow_is_found(fabric: Fabric) -> None:
    """The spine says what is too large; the devices' agents are stopped, or they would mend it."""
    fabric.stop_agents(["spine1", "spine2"])
    try:
        for spine in ("spine1", "spine2"):
            for port in ("swp1", "swp2"):
                fabric.node(spine).run(["ip", "link", "set", port, "mtu", "2000"])
        (found,) = rows(fabric, "path-mtu", "leaf1", "to=10.255.0.4")
        assert (found["mtu"], found["exact"]) == (2000, True)
        assert found["limited_by"] in ("10.255.0.1", "10.255.0.2")
    finally:
        for spine in ("spine1", "spine2"):
            for port in ("swp1", "swp2"):
                fabric.node(spine).run(["ip", "link", "set", port, "mtu", "9216"])
        fabric.start_agents(["spine1", "spine2"])
    settled(fabric)

"""The agent on a device of namespaces: real FRR, kernel and HTTPS; the controller in the management namespace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from support.device_ns import FRR_DAEMONS, DeviceNamespace
from support.https_controller import TOKEN, Authority, HttpsServer
from underlace.agent.clock import SystemClock
from underlace.agent.config import AgentConfig
from underlace.agent.log import Log
from underlace.agent.loop import Agent
from underlace.agent.main import build
from underlace.drivers.linux import programs
from underlace.drivers.linux.device import door, driver
from underlace.model.device import (
    AccessPort,
    Bfd,
    BgpNeighbor,
    BgpRouter,
    DeviceObject,
    L2Vni,
    Port,
    Protection,
    Svi,
    System,
    Vrf,
    encode_fragment,
    hash_fragment,
)
from underlace.model.wire import Manifest, Report, manifest_digest

pytestmark = pytest.mark.contract

LEAF_AS = 4_200_000_001


def leaf(*vpcs: int) -> dict[str, list[DeviceObject]]:
    """Fragments of a leaf with these VPCs, each with one V-Net, a gateway and an access port."""
    system = System("leaf1", loopback="10.0.0.1", mac="02:00:0a:00:00:01", vtep=True, mtu=9216)
    guards = Protection(frozenset({"10.0.0.1", "10.0.0.2"}), frozenset({"10.0.0.0/24"}), icmp_rate=100)
    router = BgpRouter(
        "default",
        asn=LEAF_AS,
        router_id="10.0.0.1",
        networks=frozenset({"10.0.0.1/32"}),
        evpn="vtep",
        maximum_paths=8,
        bfd=Bfd(),
    )
    uplink = BgpNeighbor("default", "swp1", port="swp1", fabric=True, bfd=True)
    scopes: dict[str, list[DeviceObject]] = {
        "base": [system, guards, router],
        "port:swp1": [Port("swp1", underlay=True, mtu=9216), uplink],
        "port:swp2": [Port("swp2")],
        "port:swp3": [Port("swp3")],
    }
    for number in vpcs:
        scopes[f"vrf:vpc-{number}"] = vpc(number)
    return scopes


def vpc(number: int) -> list[DeviceObject]:
    name, l3vni, vni = f"vpc-{number}", 50_000 + number, 10_000 + number
    wide, narrow = frozenset({f"65000:{l3vni}"}), frozenset({f"65000:{vni}"})
    return [
        Vrf(name, l3vni=l3vni, rd=f"10.0.0.1:{number}", import_targets=wide, export_targets=wide),
        BgpRouter(name, asn=LEAF_AS, router_id="10.0.0.1", connected=True, evpn="vtep"),
        L2Vni(vni, name, f"10.0.0.1:{1000 + number}", narrow, narrow, mtu=9000),
        Svi(vni, vrf=name, addresses=frozenset({"10.1.0.1/24"}), mac="02:00:5e:00:01:01"),
        AccessPort(f"swp{number + 1}", vni=vni, vrf=name),
    ]


def new_leaf(boot: Mapping[str, str] | None = None) -> DeviceNamespace:
    """boot: contents of FRR's boot files, which lie on a disk."""
    made = DeviceNamespace("leaf1")
    made.__enter__()
    for port in ("swp1", "swp2", "swp3"):
        made.add_port(port)
    for name, body in (boot or {}).items():
        made.path(f"/etc/frr/{name}").write_text(body)
    made.start_frr(keep=boot is not None)
    return made


class Bench:
    """A controller outside, a device, and an agent in the device's thread."""

    def __init__(self, directory: Path, server: HttpsServer) -> None:
        self.directory, self.server = directory, server
        self.device = new_leaf()
        (directory / "ca.pem").write_text(server.authority.pem)
        (directory / "token").write_text(TOKEN)
        self.config = AgentConfig(
            device="leaf1",
            controllers=(server.url,),
            ca=str(directory / "ca.pem"),
            state_dir=str(directory / "state"),
            token_file=str(directory / "token"),
            management_netns=f"/proc/{os.getpid()}/ns/net",
            read_interval=5.0,
            wait=0.2,
            restart_command=("true",),
        )
        (directory / "state").mkdir()
        self.log = directory / "log"
        self.closing = ExitStack()
        self.clock = SystemClock()
        self.closing.callback(self.clock.close)
        self.revision = 0

    def want(self, scopes: dict[str, list[DeviceObject]], confirm_within: float = 60.0) -> None:
        hashes = {}
        for scope, objects in scopes.items():
            body = encode_fragment(objects)
            hashes[scope] = hash_fragment(body)
            self.server.bodies[hashes[scope]] = body.decode()
        self.revision += 1
        self.server.manifest = Manifest("leaf1", self.revision, manifest_digest(hashes), hashes, confirm_within)

    def start(self) -> Agent:
        """A new agent, started inside the device."""
        stream = self.closing.enter_context(self.log.open("a"))
        inside = self.device.call(door, {})
        agent, controller = build(self.config, driver(), inside, self.clock, Log("leaf1", stream))
        self.closing.callback(controller.forget)
        agent._parts.restart = restart_frr
        self.device.call(agent.start)
        return agent

    @contextmanager
    def process(self) -> Iterator[None]:
        """An agent in a process of its own on the device, killed at the end."""
        path = self.directory / "agent.json"
        path.write_bytes(msgspec.json.encode(self.config))
        spaces = [f"--{kind}=/proc/{self.device.pid}/ns/{file}" for kind, file in (("net", "net"), ("mount", "mnt"))]
        command = ["nsenter", *spaces, "--wd=/", sys.executable, "-m", "underlace.agent", str(path)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def power_cycle(self, boot: dict[str, str]) -> None:
        """All that was in memory is gone; FRR starts from these boot files."""
        self.device.__exit__(None, None, None)
        self.device = new_leaf(boot)

    def held(self, agent: Agent) -> Report:
        """Let the agent work until the device holds what is wanted."""
        for _ in range(5):
            self.device.call(agent.turn)
            last = self.server.reports[-1]
            if last.outcome == "held" and self.server.manifest and last.digest == self.server.manifest.digest:
                return last
        pytest.fail(f"not held: {self.server.reports[-1]}\n{self.log.read_text()[-4000:]}")

    def applies(self) -> int:
        """How many times changes were handed to the device."""
        return self.log.read_text().count('"changes-run"')

    def running(self) -> str:
        return self.device.run("vtysh", "-c", "show running-config") + self.device.run("ip", "-br", "address")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with HttpsServer(tmp_path, Authority()) as server:
        made = Bench(tmp_path, server)
        try:
            yield made
        finally:
            made.closing.close()
            made.device.__exit__(None, None, None)


def restart_frr() -> None:
    """What a service manager does; runs inside the device. A stopped daemon ends on SIGKILL alone."""
    for file in Path("/run/frr").glob("*.pid"):
        pid = int(file.read_text())
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)
        file.unlink(missing_ok=True)
    for daemon in ("zebra", "bgpd", "bfdd"):
        options = ["-s", "90000000", "-n"] if daemon == "zebra" else []
        command = [FRR_DAEMONS / daemon, "-d", "-F", "datacenter", "-f", f"/etc/frr/{daemon}.conf", *options]
        subprocess.run(command, check=True)


def until(what: str, holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.01)


def test_applies_and_a_second_start_changes_nothing(bench: Bench) -> None:
    bench.want(leaf(1))
    report = bench.held(bench.start())
    assert report.os_version.startswith(("8.", "9.", "10."))
    assert report.driver == "linux"
    before, applies = bench.running(), bench.applies()
    again = bench.start()
    bench.held(again)
    bench.device.call(again.holding.inspect)
    assert bench.applies() == applies
    assert bench.running() == before


def test_rebuilt_device_recovers_from_the_cache_with_the_controller_gone(bench: Bench) -> None:
    bench.want(leaf(1, 2))
    bench.held(bench.start())
    bench.server.close()
    before = bench.running()
    bench.device.__exit__(None, None, None)
    bench.device = new_leaf()
    assert "vpc-1" not in bench.running()
    agent = bench.start()
    assert agent.holding.sound
    assert _words(bench.running()) == _words(before)


def _words(text: str) -> list[str]:
    """Configuration without what differs between two lives of a device (interface indexes, link-local addresses)."""
    return [line for line in text.splitlines() if "@" not in line and "fe80" not in line and "UP" not in line]


def test_drift_in_kernel_routing_and_filter_is_mended(bench: Bench) -> None:
    bench.want(leaf(1))
    agent = bench.start()
    bench.held(agent)
    bench.device.run("ip", "link", "delete", "br10001", netns="vpc-1")
    bench.device.run("nft", "flush", "ruleset")
    commands = ("configure terminal", f"router bgp {LEAF_AS}", "no neighbor swp1 bfd")
    bench.device.run("vtysh", *(word for command in commands for word in ("-c", command)))
    bench.device.call(agent.holding.inspect)
    assert agent.holding.sound, bench.log.read_text()[-4000:]
    bench.device.call(agent.turn)
    assert {"base", "vrf:vpc-1"} <= set(bench.server.reports[-1].drift)


def test_killed_during_an_apply_it_converges(bench: Bench) -> None:
    bench.want(leaf())
    bench.held(bench.start())
    candidate = bench.directory / "state" / "candidate.json"
    for pause in (0.0, 0.1, 0.4):
        bench.want(leaf(1, 2) if bench.revision % 2 else leaf(1))
        with bench.process():
            until("an apply to begin", candidate.exists)
            time.sleep(pause)
        bench.held(bench.start())
    assert not candidate.exists()


def test_unconfirmed_change_is_taken_back(bench: Bench) -> None:
    bench.want(leaf(1))
    agent = bench.start()
    bench.held(agent)
    before = bench.running()
    boot = {p.name: p.read_text() for p in bench.device.path("/etc/frr").glob("*.conf")}
    bench.server.confirms = False
    bench.want(leaf(1, 2), confirm_within=0.5)
    bench.device.call(agent.turn)
    assert bench.server.reports[-1].outcome == "reverted"
    assert bench.running() == before
    assert {p.name: p.read_text() for p in bench.device.path("/etc/frr").glob("*.conf")} == boot


def test_wedged_routing_daemon_during_a_revert_is_restarted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hazards 19: vtysh hangs while the agent wants to go back."""
    bench.want(leaf(1))
    agent = bench.start()
    bench.held(agent)
    bench.server.confirms = False
    bench.want(leaf(1, 2), confirm_within=0.5)
    bgpd = int(bench.device.path("/run/frr/bgpd.pid").read_text())
    report = bench.server.answers["report"]

    def wedge(body: bytes, name: str) -> object:
        if b'"applied"' in body:
            os.kill(bgpd, signal.SIGSTOP)
            monkeypatch.setattr(programs, "LIMIT", 6.0)
        return report(body, name)

    bench.server.answers["report"] = wedge
    bench.device.call(agent.turn)
    assert bench.server.reports[-1].outcome == "reverted", bench.log.read_text()[-4000:]
    assert '"restart"' in bench.log.read_text()
    assert not Path(f"/proc/{bgpd}").exists()
    assert "vpc-2" not in bench.running()
    assert "vpc-1" in bench.running()


def test_a_power_cut_before_the_confirmation_boots_the_last_confirmed_state(bench: Bench) -> None:
    """Law 5 and hazards 19: the device applied a change, nobody had confirmed it, and the controller stays away."""
    bench.want(leaf(1))
    bench.held(bench.start())
    before = bench.running()
    bench.server.confirms = False
    bench.want(leaf(1, 2))
    with bench.process():
        until("the change to be applied", lambda: bench.server.reports[-1].outcome == "applied")
        assert "vpc-2" in bench.running()
        boot = {file.name: file.read_text() for file in bench.device.path("/etc/frr").glob("*.conf")}
    assert (bench.directory / "state" / "candidate.json").exists()
    bench.server.close()
    bench.power_cycle(boot)
    booted = bench.device.run("vtysh", "-c", "show running-config")
    assert "vpc-1" in booted, "FRR starts from boot files"
    assert "vpc-2" not in booted, "which hold confirmed state only"
    agent = bench.start()
    assert agent.holding.sound, bench.log.read_text()[-4000:]
    assert _words(bench.running()) == _words(before)


@pytest.mark.parametrize("daemon", ["zebra", "bgpd"])
def test_a_daemon_that_hangs_for_good_is_an_outcome_and_no_state_of_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, daemon: str
) -> None:
    """Nothing restarts it: the device is `failed`, says why, and is put right as soon as the daemon answers."""
    bench.want(leaf(1))
    agent = bench.start()
    bench.held(agent)
    agent._parts.restart = None
    before = bench.running()
    pid = int(bench.device.path(f"/run/frr/{daemon}.pid").read_text())
    report = bench.server.answers["report"]
    monkeypatch.setattr(programs, "LIMIT", 3.0)

    def wedge(body: bytes, name: str) -> object:
        if b'"applied"' in body:
            os.kill(pid, signal.SIGSTOP)
        return report(body, name)

    bench.server.answers["report"] = wedge
    bench.server.confirms = False
    bench.want(leaf(1, 2), confirm_within=0.5)
    try:
        bench.device.call(agent.turn)
        last = bench.server.reports[-1]
        assert last.outcome == "failed", bench.log.read_text()[-4000:]
        assert "device-silent" in {d.code for r in bench.server.reports for d in r.diagnostics}
        assert all(d.remedy for d in last.diagnostics)
    finally:
        os.kill(pid, signal.SIGCONT)
    agent.holding.read_due = 0.0
    bench.device.call(agent.holding.inspect)
    assert agent.holding.sound, bench.log.read_text()[-4000:]
    assert _words(bench.running()) == _words(before)

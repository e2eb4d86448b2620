"""An agent with everything around it in memory or in a temporary directory: device, controller, clock."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from support.fake_linux import FakeLinuxDoor
from support.memory_door import MemoryDoor, MemoryDriver
from underlace.agent.apply import Applier
from underlace.agent.cache import Cache
from underlace.agent.client import Refusal, Unreachable
from underlace.agent.config import AgentConfig
from underlace.agent.ledger import Ledger
from underlace.agent.log import Log
from underlace.agent.loop import Agent
from underlace.agent.parts import Parts
from underlace.drivers.linux import LinuxDriver
from underlace.drivers.protocol import Door, Driver
from underlace.model.device import DeviceObject, Port, Vrf, encode_fragment, hash_fragment
from underlace.model.wire import (
    Credentials,
    DesiredRequest,
    EnrolRequest,
    FragmentRequest,
    Fragments,
    Manifest,
    Receipt,
    RenewRequest,
    Report,
    manifest_digest,
)

DEVICE = "leaf1"

Scopes = Mapping[str, Iterable[DeviceObject]]


def port(name: str, mtu: int = 9000) -> Port:
    return Port(name, mtu=mtu)


def vrf(name: str, vni: int = 100) -> Vrf:
    return Vrf(name, l3vni=vni)


class FakeClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_now = 1_800_000_000.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.wall_now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        self.wall_now += max(0.0, seconds)


class FakeController:
    """Wants `manifest`, holds fragments, and confirms what is reported as applied while `confirms` is true."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.manifest: Manifest | None = None
        self.bodies: dict[str, str] = {}
        self.confirms = True
        self.reachable = True
        self.reports: list[Report] = []
        self.asked: list[DesiredRequest] = []
        self.fetched: list[str] = []
        self.refuses: Refusal | None = None
        self.on_report: Callable[[Report], None] = lambda report: None
        self.on_ask: Callable[[DesiredRequest], None] = lambda request: None
        self.revision = 0

    def want(self, scopes: Scopes, confirm_within: float = 60.0, device: str = DEVICE) -> Manifest:
        """From now on the device should hold these objects."""
        self.revision += 1
        hashes = {}
        for scope, objects in scopes.items():
            body = encode_fragment(objects)
            hashes[scope] = hash_fragment(body)
            self.bodies[hashes[scope]] = body.decode()
        self.manifest = Manifest(device, self.revision, manifest_digest(hashes), hashes, confirm_within)
        return self.manifest

    def desired(self, request: DesiredRequest, limit: float | None = None) -> Manifest | None:
        self._reach()
        self.asked.append(request)
        self.on_ask(request)
        if self.manifest is not None and self.manifest.digest != request.have:
            return self.manifest
        self._clock.pass_by(request.wait)
        return None

    def fragments(self, request: FragmentRequest) -> Fragments:
        self._reach()
        self.fetched.extend(request.hashes)
        if missing := set(request.hashes) - self.bodies.keys():
            raise Refusal(409, f"not desired any more: {sorted(missing)}")
        return Fragments({name: self.bodies[name] for name in request.hashes})

    def report(self, report: Report, limit: float | None = None) -> Receipt:
        self._reach()
        self.reports.append(report)
        self.on_report(report)
        if report.outcome == "applied" and self.confirms:
            return Receipt(confirmed=report.digest)
        return Receipt()

    def enrol(self, request: EnrolRequest) -> Credentials:
        raise AssertionError("not in these tests")

    def renew(self, request: RenewRequest) -> Credentials:
        raise AssertionError("not in these tests")

    def forget(self) -> None:
        pass

    def _reach(self) -> None:
        if self.refuses is not None:
            raise self.refuses
        if not self.reachable:
            self._clock.pass_by(1.0)
            raise Unreachable("controller.example port 8443: connection refused")

    @property
    def outcomes(self) -> list[str]:
        return [str(report.outcome) for report in self.reports]


class Rig:
    """Device, controller and disk stay; `agent` is new after each `boot`.

    `linux`: a device for the Linux driver. Without it, `door` is the device.
    """

    def __init__(self, directory: Path, linux: FakeLinuxDoor | None = None, **settings: object) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.controller = FakeController(self.clock)
        self.door = MemoryDoor()
        self.device: Door = self.door if linux is None else linux
        self.driver: Driver = MemoryDriver() if linux is None else LinuxDriver()
        self.log = io.StringIO()
        self.restarts = 0
        values: dict[str, object] = {"wait": 10.0, **settings}
        self.config = AgentConfig(
            device=DEVICE, controllers=("https://10.0.0.1",), ca="ca.pem", state_dir=str(directory), **values
        )
        self.boot()

    def boot(self) -> Agent:
        """A new agent process on the same disk and device."""
        log = Log(DEVICE, self.log)
        self.parts = Parts(
            config=self.config,
            driver=self.driver,
            applier=Applier(DEVICE, self.device, self.clock, log),
            cache=Cache(self.directory, DEVICE),
            controller=self.controller,
            clock=self.clock,
            ledger=Ledger(DEVICE, self.driver.name, self.config.simulated),
            log=log,
            restart=self._restart if self.config.restart_command else None,
        )
        self.agent = Agent(self.parts)
        return self.agent

    def start(self) -> Rig:
        """Boot and start, for a fresh process."""
        self.boot().start()
        return self

    def turns(self, count: int = 1) -> Rig:
        for _ in range(count):
            self.agent.turn()
        return self

    def settled_on(self, scopes: Scopes) -> Rig:
        """A running agent whose device holds a confirmed state."""
        self.controller.want(scopes)
        self.start().turns()
        assert self.door.state == items(scopes)
        assert self.controller.outcomes[-1] == "held"
        return self

    def codes(self) -> list[str]:
        """Codes of all diagnostics that were reported."""
        return [found.code for report in self.controller.reports for found in report.diagnostics]

    def _restart(self) -> None:
        self.restarts += 1
        self.door.mend()
        self.door.reboot()


def items(scopes: Scopes) -> dict[tuple[str, ...], DeviceObject]:
    return {one.key: one for objects in scopes.values() for one in objects}

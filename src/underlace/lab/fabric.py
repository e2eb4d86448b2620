"""A running lab: what there is in it, and what can be done to it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from underlace.drivers.linux import names
from underlace.kinds.registry import KINDS
from underlace.lab import agents, channel, control, frr, holder, neighbours, wiring
from underlace.lab.fault import LabError, near
from underlace.lab.flows import Underlay
from underlace.lab.intent import Intent, parse
from underlace.lab.namespace import CommandFailed, Namespace
from underlace.lab.place import command
from underlace.lab.state import State, start_time
from underlace.lab.tagged import LeftOut
from underlace.lab.topology import Topology, topology
from underlace.model.diagnostic import shortened

OOB = "oob"
"""The lab's out-of-band switch: one namespace for all of intent's."""

INTENT_FILE = "intent.json"
"""What the lab was built from, kept with it."""

_WAIT_SECONDS = 60.0
_ANSWER_SECONDS = 3.0


def wait_for(what: str, ready: Callable[[], bool], limit: float = _WAIT_SECONDS, pause: float = 0.02) -> None:
    """Poll until something holds. Raises LabError naming what was awaited."""
    until = time.monotonic() + limit
    while not ready():
        if time.monotonic() > until:
            raise LabError(f"waited {limit:g} s for {what}")
        time.sleep(pause)


class Fabric:
    """A running lab, by its state. Implements `flows.Hosts`. intent, lab: what it was built from; left_out: what of
    the intent it was given."""

    def __init__(
        self, state: State, lab: Topology, intent: Intent, played: Any, left_out: LeftOut | None = None
    ) -> None:
        self.state, self.lab, self.intent, self.played = state, lab, intent, played
        self.left_out = left_out or LeftOut()

    # what there is

    def node(self, name: str) -> Namespace:
        """A device, router or host. Raises LabError when there is none."""
        for role in ("device", "host"):
            if (process := self.state.running(role, name)) is not None:
                return Namespace(name, process.pid, role == "device", self.state.identity)
        if name in self.lab.nodes:
            raise LabError(f"{name} does not run any more")
        raise LabError(f"the lab has no node {shortened(name)}", near(name, self.lab.nodes))

    def runs(self, name: str) -> bool:
        """Whether a device, router or host has its namespaces, and whoever answers in them."""
        answering = "responder" if name in self.lab.routers else "host" if name in self.lab.hosts else "device"
        return self.state.running(answering, name) is not None

    def nodes(self, names: Iterable[str]) -> dict[str, Namespace]:
        return {name: self.node(name) for name in names}

    def void(self) -> Namespace:
        """The holder's own namespace, in which links are made and spare cables end."""
        process = self.state.running(holder.ROLE)
        if process is None:
            raise LabError("the lab's holder is gone")
        return Namespace("holder", process.pid, False, self.state.identity)

    @property
    def api(self) -> control.Rest:
        return control.rest(self.state)

    def answering(self) -> None:
        """Raises ControllerGone unless the controller answers, soon: it may be stopped, not only dead."""
        self.api.call("GET", "/readyz", timeout=_ANSWER_SECONDS)

    # what hosts do (flows.Hosts)

    def ask(self, host: str, message: channel.Message, timeout: float = 30.0) -> channel.Message:
        try:
            return channel.request(self.state.directory / "hosts" / f"{host}.sock", message, timeout)
        except OSError as fault:
            raise LabError(f"{host} does not answer: {fault}") from fault

    def probe(self, host: str, probes: Sequence[dict[str, Any]]) -> dict[str, str]:
        return dict(self.ask(host, {"do": "probe", "probes": list(probes)})["results"])

    def echo(self, host: str, targets: Sequence[str], seconds: float) -> list[str]:
        return list(self.ask(host, {"do": "echo", "targets": list(targets), "seconds": seconds})["answered"])

    def forge(self, host: str, packets: Sequence[dict[str, Any]]) -> None:
        self.ask(host, {"do": "forge", "packets": list(packets)})

    def may_forge(self, host: str) -> bool:
        return bool(self.ask(host, {"do": "may-forge"})["may"])

    def intruders(self, host: str) -> list[str]:
        return list(self.ask(host, {"do": "intruders"})["intruders"])

    def underlay(self) -> Underlay:
        """Loopbacks and VNIs, as the devices hold them that run."""
        loopbacks: dict[str, str] = {}
        for name, node in self.nodes(filter(self.runs, self.lab.switches)).items():
            for link in json.loads(node.run(["ip", "-json", "-4", "address", "show", "dev", "lo"])):
                found = [a["local"] for a in link["addr_info"] if a["scope"] == "global"]
                if found:
                    loopbacks[name] = found[0]
        vnis = {}
        for name, address in loopbacks.items():
            with suppress(CommandFailed):  # a device without FRR has flows that are wrong: that is for the matrix
                if known := json.loads(frr.vtysh(self.node(name), "show evpn vni json") or "{}"):
                    vnis[address] = tuple(sorted(int(vni) for vni in known))
        return Underlay(tuple(loopbacks.values()), vnis)

    # what can be done to it

    def start_agents(self, devices: Iterable[str]) -> None:
        holders = {name: self.node(name).pid for name in devices}
        channel.request(self.state.directory / agents.SOCKET, {"do": "start", "devices": holders})

    def stop_agents(self, devices: Iterable[str], number: signal.Signals = signal.SIGTERM) -> None:
        message = {"do": "stop", "devices": list(devices), "signal": int(number)}
        channel.request(self.state.directory / agents.SOCKET, message)

    def agent(self, device: str) -> int:
        """The pid of a device's agent, 0 for none."""
        process = self.state.running(agents.AGENT, device)
        return process.pid if process is not None else 0

    def start_controller(self) -> control.Rest:
        """Start the controller again, at the address where it was."""
        listen = f"{self.api.host}:{self.api.port}"
        control.start(self.state, self.node(OOB), listen)
        return control.ready(self.state)

    def rebuild(self, device: str) -> None:
        """Reboot a device: what is not on its disk is lost, its ports come back unconfigured, FRR and agent start."""
        self.unplug(device)
        self.boot(device)

    def boot(self, device: str) -> None:
        """Start what runs on a device that was unplugged."""
        node = self.node(device)
        node.ip(wiring.management(wiring.mgmt_addresses(self.lab.switches)[device]), "mgmt")
        frr.start(node, vrf_namespaces=True)
        self.start_agents([device])

    def unplug(self, device: str) -> Namespace:
        """Namespaces with a device's ports, down and unconfigured, in the place of the device, where nothing runs."""
        old = self.node(device)
        if self.agent(device):
            self.stop_agents([device], signal.SIGKILL)
        frr.stop(old.path(frr.RUN), number=signal.SIGKILL)
        self.create(devices=[device])
        new = self.node(device)
        _move_ports(old, new)
        os.kill(old.pid, signal.SIGKILL)
        wait_for(f"the old {device} to be gone", lambda: start_time(old.pid) == 0)
        return new

    def create(self, **names: Iterable[str]) -> None:
        message = {kind: list(found) for kind, found in names.items()}
        channel.request(self.state.directory / holder.SOCKET, message)

    def down(self) -> None:
        """End every process of the lab and remove its files."""
        end(self.state)

    def vrf(self, vpc: str) -> str:
        """The VRF of a VPC on devices, by `name` or `tenant/name`. Raises LabError, ControllerError."""
        known = {f"{item['tenant']}/{item['name']}": item["id"] for item in self.api.resources("vpc")}
        found = [full for full in known if vpc in (full, full.partition("/")[2])]
        if not found:
            raise LabError(f"there is no VPC {shortened(vpc)}", near(vpc, known))
        if len(found) > 1:
            raise LabError(f"several tenants have a VPC {vpc}", f"Write {' or '.join(sorted(found))}.")
        return f"vpc-{known[found[0]]}"

    def current_intent(self) -> Intent:
        """What the controller holds now, and what the lab plays."""
        api = self.api
        documents = [
            {name: item[name] for name in ("kind", "tenant", "name", "labels", "spec")}
            for kind in KINDS
            for item in api.resources(kind)
        ]
        return parse(documents, self.intent.directory, self.played)


def _move_ports(old: Namespace, new: Namespace) -> None:
    """Give a device's ports, wherever they are in the old namespaces, to the new ones. The other ends stay."""
    places = ["", *(path.name for path in sorted(old.path("/run/netns").iterdir()))]
    for place in places:
        held = json.loads(old.run(["ip", "-json", "link", "show", "type", "veth"], place))
        ports = [link["ifname"] for link in held if names.PORT_PATTERN.fullmatch(link["ifname"])]
        lines = [f"link set {p} down nomaster" for p in ports] + [f"link set {p} netns {new.net()}" for p in ports]
        old.ip(lines, place)
    old.ip([f"link set {wiring.MGMT_PORT} netns {new.net('mgmt')}"], "mgmt")


def _state(directory: Path) -> State | None:
    try:
        return State.load(directory)
    except ValueError as fault:
        raise LabError(str(fault), f"Name another directory, or look into {directory}.") from fault


def load(directory: Path) -> Fabric:
    """The lab that runs in a directory. Raises LabError when there is none."""
    state = _state(directory)
    if state is None:
        raise LabError(f"there is no lab in {directory}", f"Start one: {command(directory, 'up', 'DIR')}")
    frr.choose(Path(held) if (held := state.facts().get("frr")) else None)
    kept = json.loads((directory / INTENT_FILE).read_text())
    intent = parse(kept["documents"], Path(kept["directory"]), kept["played"])
    return Fabric(state, topology(intent), intent, kept["played"], LeftOut.of(kept.get("left_out", {})))


def end(state: State) -> None:
    """End every process of a lab, give back what it took of the machine, and remove its files."""
    neighbours.give_back(state)
    state.end()


def clear(directory: Path, *, running: bool = False) -> bool:
    """Remove what a lab left in a directory; whether there was one. One that runs is removed only with `running`."""
    state = _state(directory)
    if state is None:
        return False
    if not running and state.running(holder.ROLE) is not None:
        raise LabError(f"a lab runs in {directory} already", f"Bring it down first: {command(directory, 'down')}")
    end(state)
    return True

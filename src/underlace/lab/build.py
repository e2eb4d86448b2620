"""Building a lab, as much as possible at once.

    holder ──► out-of-band namespace ──► controller ──ready──► apply intent ──► enrolment tokens ──┐
       │                                                                                           ├──► agents
       └─────► devices, routers, hosts ──► cables, addresses ──► FRR of devices and routers ───────┘

The two branches run beside each other: the controller's start is most of the time that a small lab needs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from underlace.lab import agents, control, frr, holder, neighbours, router, tagged, wiring
from underlace.lab.fabric import INTENT_FILE, OOB, Fabric, wait_for
from underlace.lab.fault import LabError
from underlace.lab.intent import Intent
from underlace.lab.namespace import MGMT, Namespace
from underlace.lab.process import environment, spawn
from underlace.lab.state import State
from underlace.lab.topology import Nic, Topology, topology, unplayed
from underlace.model.diagnostic import Diagnostic, Refused
from underlace.model.document import located

MAX_VRFS = 1_000
_FRR_WORKERS = 4

Notice = Callable[[str], None]


def _spawn(state: State, module: str, log: str, inside: Sequence[str] = ()) -> None:
    """Start one of the lab's own processes. inside: what makes it root in the lab."""
    argv = [*inside, sys.executable, "-m", module, str(state.directory)]
    pid = spawn(argv, environment(state.identity), state.directory / "logs" / log)
    state.record("started", module, pid)


def _await_socket(state: State, role: str, module: str, name: str) -> None:
    def ready() -> bool:
        if state.running("started", module) is None:
            logs = state.directory / "logs" / f"{role}.log"
            raise LabError(f"the lab's {role} process ended:\n{control.tail(logs)}")
        return (state.directory / name).exists() and state.running(role) is not None

    wait_for(f"the lab's {role} process", ready)


def _play_router(node: Namespace, lab: Topology) -> None:
    """An upstream router: addresses, and FRR with what it announces."""
    nics, sessions, played = lab.routers[node.name], lab.sessions[node.name], lab.played[node.name]
    node.ip(wiring.end_system(nics, played.addresses, routes=True))
    node.path("/etc/frr/bgpd.conf").write_text(router.bgpd(nics, sessions, played))
    node.path("/etc/frr/bfdd.conf").write_text(router.bfdd(lab.bfd))
    frr.start(node, vrf_namespaces=False, daemons=router.DAEMONS)


def _play_host(node: Namespace, nics: Sequence[Nic], left_out: tagged.LeftOut) -> None:
    """A host: links behind tags, addresses, routes."""
    if left_out.why:
        nics = [nic for nic in nics if nic.vlan is None]
    tagged.make(node, nics)
    node.ip(wiring.end_system(nics))


def _build(fabric: Fabric, notice: Notice) -> None:
    """Devices, routers and hosts, cables, addresses, FRR."""
    lab = fabric.lab
    fabric.create(devices=lab.switches, routers=lab.routers, hosts=lab.hosts)
    nodes, oob = fabric.nodes(lab.nodes), fabric.node(OOB)
    void = fabric.void()
    void.ip(wiring.cables(lab, nodes, oob, void))
    oob.ip(wiring.out_of_band(lab))
    notice(f"{len(nodes)} nodes, {len(lab.cables)} cables")
    addresses = wiring.mgmt_addresses(lab.switches)

    def device(name: str) -> None:
        nodes[name].ip(wiring.management(addresses[name]), "mgmt")
        frr.start(nodes[name], vrf_namespaces=True)

    with ThreadPoolExecutor(_FRR_WORKERS) as pool:
        work = [pool.submit(device, name) for name in lab.switches]
        work += [pool.submit(_play_router, nodes[name], lab) for name in lab.routers]
        work += [pool.submit(_play_host, nodes[name], nics, fabric.left_out) for name, nics in lab.hosts.items()]
        for done in work:
            done.result()
    wiring.refuse_physical(nodes.values())
    notice(f"FRR runs on {len(lab.switches)} switches and {len(lab.routers)} routers")


def with_timers(documents: Iterable[Mapping[str, Any]], interval: int) -> list[dict[str, Any]]:
    """The documents, with the lab's BFD timers in every profile that sets none, and in the one that is built in."""
    timers = {"transmit": interval, "receive": interval, "multiplier": 3}
    found = [json.loads(json.dumps(d)) for d in documents]
    profiles = [d for d in found if d["kind"] == "profile"]
    if not any(d["name"] == "default" for d in profiles):
        profiles.append({"kind": "profile", "name": "default", "spec": {}})
        found.insert(0, profiles[-1])
    for document in profiles:
        document.setdefault("spec", {}).setdefault("underlay", {}).setdefault("bfd", timers)
    return found


def _configure(fabric: Fabric, notice: Notice) -> dict[str, str]:
    """Wait for the controller, give it the intent; an enrolment token per device."""
    api = control.ready(fabric.state)
    notice("the controller answers")
    try:
        applied = api.apply(with_timers(fabric.intent.documents, fabric.lab.bfd))
    except control.ControllerError as fault:
        if not fault.diagnostics:
            raise
        raise Refused(located(fault.diagnostics, fabric.intent.written)) from fault
    for warning in located(msgspec.convert(applied["warnings"], list[Diagnostic]), fabric.intent.written):
        notice(str(warning))
    notice(f"intent applied: {len(fabric.intent.documents)} documents")
    return {device: api.enrolment(device) for device in fabric.lab.switches}


def agent_settings(directory: Path, device: str) -> dict[str, Any]:
    """The settings of a device's agent; everything that it keeps is on the device's disk."""
    disk = directory / "devices" / device
    return {
        "device": device,
        "controllers": [control.AGENT_URL],
        "ca": str(disk / "ca.pem"),
        "state_dir": str(disk / "agent"),
        "management_netns": MGMT,
        "token_file": str(disk / "token"),
        "simulated": True,
        "restart_command": [sys.executable, "-m", "underlace.lab.frr"],
    }


def _settle_agents(fabric: Fabric, tokens: Mapping[str, str]) -> None:
    """Write each agent's settings and token to its device's disk, and start it."""
    directory = fabric.state.directory
    for device, token in tokens.items():
        settings = agent_settings(directory, device)
        Path(settings["state_dir"]).mkdir(mode=0o700, exist_ok=True)
        Path(settings["ca"]).write_text(fabric.api.ca)
        secret = Path(settings["token_file"])
        secret.touch(mode=0o600)
        secret.write_text(token)
        agents.config_path(directory, device).write_text(json.dumps(settings, indent=1))
    fabric.start_agents(tokens)


def _told(fabric: Fabric, notice: Notice) -> Fabric:
    """The fabric as this machine can build it, and what it is built from on disk."""
    intent, left_out = fabric.intent, tagged.LeftOut()
    has_tags = tagged.members(intent) or any(nic.vlan for nics in fabric.lab.hosts.values() for nic in nics)
    if has_tags and (why := tagged.lacking(fabric.void())):
        left_out = tagged.LeftOut(tagged.members(intent), why)
        intent = tagged.without(intent)
        notice(f"without tagged members, {len(left_out.members)} of them: {why}")
    kept = {"directory": str(intent.directory.resolve()), "documents": intent.documents, "played": intent.played}
    (fabric.state.directory / INTENT_FILE).write_text(json.dumps({**kept, "left_out": left_out.json()}))
    return Fabric(fabric.state, topology(intent), intent, intent.played, left_out)


def up(
    intent: Intent, directory: Path, notice: Notice = lambda text: None, owner: tuple[int, int] | None = None
) -> Fabric:
    """Build the lab of an intent in an empty directory, and start everything in it. Convergence is not awaited.

    owner: pid and start time of a process that the lab shall not outlive.
    """
    lab = topology(intent)
    if found := unplayed(intent):
        raise Refused(located(found, intent.written))
    holder.raise_descriptors(MAX_VRFS)
    state = State.create(directory, owner=list(owner or ()), frr=frr.chosen())
    for name in ("logs", "devices"):
        (directory / name).mkdir()
    fabric = Fabric(state, lab, intent, intent.played)
    notice(f"BFD timers {lab.bfd} ms x 3 for {len(lab.switches)} switches")
    if said := neighbours.make_room(intent, state):
        notice(said)
    _spawn(state, "underlace.lab.holder", "holder.log")
    _await_socket(state, holder.ROLE, "underlace.lab.holder", holder.SOCKET)
    fabric = _told(fabric, notice)
    fabric.create(oob=[OOB])
    fabric.node(OOB).ip(wiring.controller_side())
    control.start(state, fabric.node(OOB))
    _spawn(state, "underlace.lab.agents", "agents.log", fabric.void().as_root())
    with ThreadPoolExecutor(1) as pool:
        tokens = pool.submit(_configure, fabric, notice)
        try:
            _build(fabric, notice)
        except Exception:
            tokens.result()  # what the controller refuses is why it cannot be built
            raise
        ready = tokens.result()
    _await_socket(state, agents.ROLE, "underlace.lab.agents", agents.SOCKET)
    _settle_agents(fabric, ready)
    notice(f"{len(ready)} agents started")
    return fabric

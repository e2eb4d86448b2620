"""A machine in the place of a lab's switch: its ports are the switch's, its agent comes from the Debian package."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from support.machine import PORT_MTU, ROOT, Machine, image, mac
from underlace import syscall
from underlace.lab import control, wiring
from underlace.lab.fabric import Fabric
from underlace.lab.namespace import Namespace

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x2, 0x1000

MANAGEMENT = "mgmt0"
TOKEN = "/etc/underlace/token"
STATE = "/var/lib/underlace-agent/state"


def package() -> Path:
    """The Debian package of the agent, made anew."""
    subprocess.run([str(ROOT / "tools" / "deb")], check=True, capture_output=True, timeout=300)
    return max((ROOT / "dist").glob("underlace-agent_*.deb"), key=lambda path: path.stat().st_mtime)


def _tap(name: str) -> int:
    """A tap device where this thread is; it lasts as long as whoever has it open."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return tap


def _taps(node: Namespace, where: str, ports: list[str]) -> dict[str, int]:
    """A tap for each port of a namespace, bridged with it: what goes in at one comes out at the other."""

    def make() -> dict[str, int]:
        syscall.enter(node.net(where))
        return {port: _tap(f"t-{port}") for port in ports}

    with ThreadPoolExecutor(1) as thread:  # whose thread stays in the namespace, and ends
        taps = thread.submit(make).result()
    lines = []
    for port in ports:
        bridge, tap = f"b-{port}", f"t-{port}"
        lines += [f"link add {bridge} mtu {PORT_MTU} type bridge mcast_snooping 0", f"link set {tap} mtu {PORT_MTU}"]
        if port == MANAGEMENT:
            lines[-2:] = [f"link add {bridge} type bridge mcast_snooping 0"]
        for link in (port, tap, bridge):
            lines += [f"link set {link} addrgenmode none"]
        lines += [
            f"link set {port} master {bridge} up",
            f"link set {tap} master {bridge} up",
            f"link set {bridge} up",
        ]
    node.ip(lines, where)
    return taps


@contextmanager
def machine_as(fabric: Fabric, device: str, place: Path) -> Iterator[Machine]:
    """A machine that is off, with the cables of a switch of the lab, whose own agent and FRR are gone."""
    node = fabric.unplug(device)
    ports = [f"swp{number}" for number in range(1, fabric.lab.switches[device] + 1)]
    taps = {**_taps(node, "", ports), **_taps(node, "mgmt", [MANAGEMENT])}
    try:
        with Machine(image(), place, taps) as machine:
            yield machine
    finally:
        for tap in taps.values():
            os.close(tap)


def provide(fabric: Fabric, device: str, machine: Machine, deb: Path) -> None:
    """What docs/how-to/first-real-leaf.md has an administrator do, but for the last step."""
    for port in [MANAGEMENT, *(f"swp{number}" for number in range(1, fabric.lab.switches[device] + 1))]:
        named = f"[Match]\nMACAddress={mac(port)}\n\n[Link]\nName={port}\n"
        machine.put(f"/etc/systemd/network/10-{port}.link", named)
    machine.run("udevadm", "trigger", "--action=add", "--subsystem-match=net")
    machine.run("udevadm", "settle", "--timeout=240")
    machine.put("/root/agent.deb", deb.read_bytes())
    machine.run("dpkg", "--install", "/root/agent.deb")
    address = wiring.mgmt_addresses(fabric.lab.switches)[device]
    machine.put("/etc/underlace/management.conf", f"PORT={MANAGEMENT}\nADDRESS={address}/16\n")
    machine.put("/etc/underlace/agent.json", settings(device, machine))
    machine.put("/etc/underlace/ca.pem", fabric.api.ca)
    machine.put(TOKEN, fabric.api.enrolment(device), mode="600")


def settings(device: str, machine: Machine) -> str:
    """The example of the package, with this device's name and its controller; and of a lab."""
    known = json.loads(machine.run("cat", "/usr/share/underlace-agent/agent.json.example"))
    return json.dumps(known | {"device": device, "controllers": [control.AGENT_URL], "simulated": True})

"""Namespaces of a lab: made in a forked child, entered by path. Only the standard library: the holder imports this.

A device has a mount namespace of its own, so that FRR's fixed paths are private to it, and two network namespaces:

    /proc/PID/ns/net                    fabric ports, loopback, FRR's default VRF
    /run/netns/vpc-N                    one per VRF; `zebra -n` takes every name in here as a VRF
    /run/underlace/netns/mgmt           the management port, out of zebra's sight and of every routing table
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from underlace import syscall
from underlace.lab import userns
from underlace.lab.process import environment
from underlace.syscall import CLONE_NEWNET as CLONE_NEWNET
from underlace.syscall import CLONE_NEWNS as CLONE_NEWNS
from underlace.syscall import CLONE_NEWUTS as CLONE_NEWUTS
from underlace.syscall import MS_BIND, MS_PRIVATE, MS_REC, enter, mount
from underlace.syscall import unshare as unshare

setns = enter  # by path

MGMT = "/run/underlace/netns/mgmt"
DISK_PATHS = {"frr": "/etc/frr", "log": "/var/log/frr"}
"""What of a device outlives its namespaces: directory on its disk -> where the device sees it."""


def sysctl(name: str, value: int) -> None:
    """Set a sysctl of the network namespace that this process is in; one that the kernel lacks is not needed."""
    try:
        with open(f"/proc/sys/net/{name}", "w") as file:
            file.write(str(value))
    except FileNotFoundError:
        return


DEVICE_SYSCTLS = {
    "ipv4/ip_forward": 1,
    "ipv6/conf/all/forwarding": 1,
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
}
"""What the boot of a router sets. accept_dad: unnumbered BGP waits 1-2 s for duplicate detection otherwise."""

END_SYSCTLS = {
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv6/conf/default/router_solicitations": 0,
}
"""For a host: its addresses are static and may be used at once."""


def become_device(name: str, disk: Path) -> None:
    """Move this process into fresh namespaces of a device. disk: directory that holds what outlives them."""
    unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS)
    socket.sethostname(name)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("sysfs", "/sys", "sysfs")  # the old one shows the links of whoever mounted it
    mount("tmpfs", "/run", "tmpfs", data="mode=755")
    mount("tmpfs", "/var/tmp", "tmpfs", data="mode=1777")  # FRR writes crash logs below it  # noqa: S108
    frr = pwd.getpwnam("frr")
    for path in ("/run/netns", "/run/frr", "/run/underlace/netns"):
        os.makedirs(path)
    os.chown("/run/frr", frr.pw_uid, frr.pw_gid)
    for kept, target in DISK_PATHS.items():
        (disk / kept).mkdir(parents=True, exist_ok=True)
        mount(str(disk / kept), target, flags=MS_BIND)
        os.chown(target, frr.pw_uid, frr.pw_gid)
    for key, value in DEVICE_SYSCTLS.items():
        sysctl(key, value)


def make_mgmt() -> None:
    """Give the device that this process is in its management namespace.

    A network namespace is made by entering it, so the process leaves the fabric's for a moment and returns.
    """
    fabric = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        with open(MGMT, "x"):
            pass
        mount("/proc/self/ns/net", MGMT, flags=MS_BIND)
        for name, value in END_SYSCTLS.items():
            sysctl(name, value)
        syscall.setns(fabric)
    finally:
        os.close(fabric)


def become_host() -> None:
    """Move this process into a fresh network namespace of a host."""
    unshare(CLONE_NEWNET)
    for name, value in END_SYSCTLS.items():
        sysctl(name, value)


class CommandFailed(Exception):
    """A command inside a namespace ended badly, with what it said."""


class Namespace(NamedTuple):
    """A node's namespaces, by the process that holds them. mounts: it has a mount namespace of its own."""

    name: str
    pid: int
    mounts: bool
    identity: str
    """Of the lab: marks every process started here."""

    def net(self, where: str = "") -> str:
        """Path of a network namespace of this node: the main one, "mgmt", or a VRF's by name."""
        if where == "mgmt":
            return f"/proc/{self.pid}/root{MGMT}"
        return f"/proc/{self.pid}/root/run/netns/{where}" if where else f"/proc/{self.pid}/ns/net"

    def path(self, inside: str) -> Path:
        """A path of this node, as seen from outside."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def as_root(self) -> list[str]:
        """What makes a program root in this node's lab and leaves it where it is otherwise; nothing for root."""
        options = userns.entering(self.pid)
        return ["nsenter", *options, "--"] if options else []

    def command(self, argv: Sequence[str], where: str = "") -> list[str]:
        """The argument list that runs a command inside."""
        enter = ["nsenter", *userns.entering(self.pid), f"--net={self.net(where)}"]
        if self.mounts:
            enter += [f"--mount=/proc/{self.pid}/ns/mnt", f"--uts=/proc/{self.pid}/ns/uts", "--wd=/"]
        return [*enter, "--", *argv]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**environment(self.identity), **(extra or {})}

    def run(
        self, argv: Sequence[str], where: str = "", *, stdin: str = "", check: bool = True, timeout: float = 60.0
    ) -> str:
        """Run a command inside and return what it printed; with `check`, a bad exit is CommandFailed."""
        done = subprocess.run(
            self.command(argv, where),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(),
            check=False,
        )
        if check and done.returncode != 0:
            said = (done.stdout + done.stderr).strip()
            raise CommandFailed(f"{self.name}{f'/{where}' if where else ''}: {' '.join(argv)}: {said}")
        return done.stdout if check else done.stdout + done.stderr

    def ip(self, lines: Sequence[str], where: str = "") -> None:
        """Several `ip` commands in one process."""
        if lines:
            self.run(["ip", "-batch", "-"], where, stdin="\n".join(lines) + "\n")

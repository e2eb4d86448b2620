"""FRR of a node: daemons started and stopped directly, with the boot files of the node's disk if it has any."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

from underlace.lab.fault import LabError
from underlace.lab.namespace import CommandFailed, Namespace
from underlace.lab.process import FRR
from underlace.lab.state import start_time

DAEMONS = "/usr/lib/frr"
CONFIG = "/etc/frr"
LOG = "/var/log/frr"
RUN = "/run/frr"
DEVICE_DAEMONS = ("zebra", "staticd", "bgpd", "bfdd")
"""In the order of start. zebra first: the others register with it."""
MANAGEMENT = "mgmtd"
"""From FRR 10 on it takes the configuration, before all others."""
INTEGRATED = 10
"""The first major release that starts from one file, which `vtysh` loads."""

NETLINK_BUFFER = "90000000"
_END_SECONDS = 10.0
_START_SECONDS = 60.0


def directory() -> Path:
    """Where the daemons are that this lab runs."""
    return Path(os.environ.get(FRR) or DAEMONS)


def choose(programs: Path | None) -> None:
    """Have this process, and all that it starts, use the FRR of a directory; None is the system's."""
    if programs is None:
        os.environ.pop(FRR, None)
    else:
        os.environ[FRR] = str(programs.resolve())


def chosen() -> str:
    """The directory of another FRR than the system's; "" for none. A lab notes it for those that come later."""
    return os.environ.get(FRR, "")


@cache
def major(programs: Path) -> int:
    """The first number of the release of FRR in a directory. Raises LabError."""
    said = subprocess.run([programs / "zebra", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\d+)\.", said)
    if match is None:
        raise LabError(f"{programs}/zebra does not say its version", "Name a directory with FRR's daemons and vtysh.")
    return int(match[1])


def commands(root: Path, vrf_namespaces: bool, daemons: Sequence[str] = DEVICE_DAEMONS) -> Iterator[list[str]]:
    """What starts the daemons, one after the other; each returns when its daemon is ready.

    root: of the node's file system; boot files below it are read. vrf_namespaces: zebra takes every namespace in
    /run/netns as a VRF.
    """
    programs = directory()
    recent = major(programs) >= INTEGRATED
    for daemon in (*((MANAGEMENT,) if recent else ()), *daemons):
        argv = [f"{programs}/{daemon}", "-d", "-F", "datacenter", "--log", f"file:{LOG}/{daemon}.log"]
        own = f"{CONFIG}/{daemon}.conf"
        if not recent or daemon not in (MANAGEMENT, "staticd"):  # these two have no file of their own
            argv += ["-f", own if (root / own.lstrip("/")).exists() else "/dev/null"]
        if daemon == "zebra":
            argv += ["-s", NETLINK_BUFFER, *(["-n"] if vrf_namespaces and not recent else [])]
        if recent and vrf_namespaces:
            argv += ["-w"]
        yield argv
    if (root / CONFIG.lstrip("/") / "frr.conf").exists():
        yield ["vtysh", "-b"]


def start(node: Namespace, vrf_namespaces: bool, daemons: Sequence[str] = DEVICE_DAEMONS) -> None:
    """Start the daemons of a node."""
    shell = node.path(f"{CONFIG}/vtysh.conf")
    if not shell.exists():
        shell.write_text("no service integrated-vtysh-config\n")  # without the file vtysh warns in every answer
    for argv in commands(node.path("/"), vrf_namespaces, daemons):
        _launch(node, argv)


def start_again(node: Namespace, daemon: str) -> None:
    """Start one daemon of a node whose others run; it takes its configuration from the node's disk."""
    for argv in commands(node.path("/"), vrf_namespaces=True, daemons=[daemon]):
        if Path(argv[0]).name in (daemon, "vtysh"):
            _launch(node, argv)


def _launch(node: Namespace, argv: list[str]) -> None:
    """Run what leaves a daemon behind. Its words go into a file: FRR 10 keeps a pipe open for as long as it lives."""
    with TemporaryFile() as said:
        done = subprocess.run(
            node.command(argv),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=node.environment(),
            timeout=_START_SECONDS,
            check=False,
        )
        if done.returncode:
            said.seek(0)
            raise CommandFailed(f"{node.name}: {' '.join(argv)}: {said.read().decode(errors='replace').strip()}")


def pids(run: Path) -> dict[str, int]:
    """Running daemons by the pidfiles of a directory."""
    found = {}
    for path in sorted(run.glob("*.pid")):
        try:
            pid = int(path.read_text())
        except (OSError, ValueError):
            continue
        if start_time(pid):
            found[path.stem] = pid
    return found


def stop(run: Path, daemons: Sequence[str] = (), number: signal.Signals = signal.SIGTERM) -> None:
    """End the daemons of a pidfile directory, all of them by default, and wait until they are gone."""
    ending = {name: pid for name, pid in pids(run).items() if not daemons or name in daemons}
    for pid in ending.values():
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    until = time.monotonic() + _END_SECONDS
    while left := [name for name, pid in ending.items() if start_time(pid)]:
        if time.monotonic() > until:
            raise TimeoutError(f"{', '.join(left)} of FRR does not end")
        time.sleep(0.01)


def vtysh(node: Namespace, *commands: str) -> str:
    """What FRR answers. Raises CommandFailed for a `%` line: vtysh goes on after an error and exits 0."""
    said = node.run(["vtysh", *(word for command in commands for word in ("-c", command))])
    if refused := [line for line in said.splitlines() if line.startswith("%")]:
        raise CommandFailed(f"{node.name}: vtysh {'; '.join(commands)}: {refused[0]}")
    return said


def restart() -> None:
    """Restart FRR of the device that this process is inside of: what its agent runs as a last resort."""
    stop(Path(RUN), number=signal.SIGKILL)
    for argv in commands(Path("/"), vrf_namespaces=True):
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    restart()

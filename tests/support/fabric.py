"""What tests do to a running lab: change its intent, wait, break it, look into its devices."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from underlace.lab import flows, frr, intent
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric
from underlace.lab.namespace import CommandFailed, Namespace
from underlace.lab.state import Process, State, is_running, this_process

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
ARTEFACTS = Path(os.environ.get("UNDERLACE_ARTEFACTS", ROOT / "artefacts"))
CONVERGENCE_SECONDS = 120.0


PLACES = "underlace-lab-"
TEMPORARY = Path(tempfile.gettempdir())
"""Not below pytest's own: the next run has to find what this one left, and its processes have to be ended."""


NEIGHBOUR_TABLES = Path("/proc/sys/net")


def new_place() -> Path:
    """A directory for labs. Its name says whose it is: what a killed run of the tests left is reaped by the next."""
    reap()
    pid, start = this_process()
    return Path(tempfile.mkdtemp(prefix=f"{PLACES}{pid}-{start}-", dir=TEMPORARY))


def reap() -> None:
    """End the labs of test runs that are gone, and remove their directories."""
    for found in TEMPORARY.glob(f"{PLACES}*"):
        owner = re.fullmatch(rf"{PLACES}(\d+)-(\d+)-.*", found.name)
        if (
            owner
            and found.lstat().st_uid == os.geteuid()
            and not is_running(Process("", "", *map(int, owner.groups())))
        ):
            for lab in found.iterdir():
                if (state := State.load(lab)) is not None:
                    state.end()
            shutil.rmtree(found, ignore_errors=True)


def host_side() -> dict[str, str]:
    """What a lab could leave behind in the namespaces of whoever starts it."""
    links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True).stdout)
    return {
        "links": " ".join(sorted(link["ifname"] for link in links)),
        "routes": subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout,
        "named": " ".join(sorted(os.listdir("/run/netns"))) if Path("/run/netns").exists() else "",
        "frr": " ".join(sorted(os.listdir("/run/frr"))) if Path("/run/frr").exists() else "",
        "neighbours": " ".join(
            f.read_text().strip() for f in sorted(NEIGHBOUR_TABLES.glob("ipv?/neigh/default/gc_*"))
        ),
        "mounts": "\n".join(line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
    }


def poll(what: str, ready: Callable[[], Any], limit: float = 60.0, pause: float = 0.05) -> Any:
    """Wait until something is true and return it."""
    until = time.monotonic() + limit
    while True:
        if found := ready():
            return found
        assert time.monotonic() < until, f"waited {limit:g} s for {what}"
        time.sleep(pause)


def settled(fabric: Fabric, limit: float = 60.0) -> None:
    """Wait until every device has confirmed what it should hold."""

    def all_hold() -> bool:
        devices = fabric.api.get("/v1/devices")["items"]
        return {d["name"] for d in devices if d["state"] == "in-sync"} >= set(fabric.lab.switches)

    poll("every device to hold what it should", all_hold, limit)


def apply(fabric: Fabric, *documents: dict[str, Any], delete: tuple[dict[str, Any], ...] = ()) -> None:
    """Change intent and wait until the devices hold it."""
    fabric.api.apply(documents, delete)
    settled(fabric)


def converged(fabric: Fabric) -> None:
    """Wait until all allowed flows of the controller's present intent are answered."""
    left = flows.converge(matrix(fabric.current_intent()), fabric, CONVERGENCE_SECONDS)
    assert not left, f"not answered: {left[:10]}"


def judged(fabric: Fabric) -> flows.Verdict:
    """`lab test`: the whole matrix once."""
    return flows.verdict(matrix(fabric.current_intent()), fabric.underlay(), fabric)


def collect(fabric: Fabric, folder: Path) -> None:
    """Keep what explains a failure: logs, and what each device holds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(fabric.state.directory / "logs", folder / "logs")
    for name in fabric.lab.switches:
        place = folder / name
        shutil.copytree(fabric.state.directory / "devices" / name / "log", place, dirs_exist_ok=True)
        for file, argv in (
            ("running-config", ["vtysh", "-c", "show running-config"]),
            (
                "bgp",
                [
                    "vtysh",
                    "-c",
                    "show bgp vrf all summary",
                    "-c",
                    "show bgp l2vpn evpn",
                    "-c",
                    "show evpn vni detail",
                ],
            ),
            ("nft", ["nft", "list", "ruleset"]),
            ("nft-vrfs", ["ip", "-all", "netns", "exec", "nft", "list", "ruleset"]),
            ("neighbours", ["ip", "-all", "netns", "exec", "ip", "neigh", "show", "nud", "all"]),
            ("links", ["ip", "-all", "netns", "exec", "ip", "-d", "address"]),
            ("routes", ["ip", "-all", "netns", "exec", "ip", "route", "show", "table", "all"]),
        ):
            try:
                (place / file).write_text(fabric.node(name).run(argv, check=False, timeout=20))
            except (OSError, CommandFailed, subprocess.TimeoutExpired, RuntimeError) as fault:
                (place / file).write_text(str(fault))


def intent_with(directory: Path, *extra: dict[str, Any]) -> Path:
    """A directory with the quickstart's intent and more; of two documents with one name the later one counts."""
    directory.mkdir()
    documents: dict[tuple[str, str, str], dict[str, Any]] = {}
    for document in (*intent.read(QUICKSTART).documents, *extra):
        kept = {name: document[name] for name in ("kind", "tenant", "name", "labels", "spec") if name in document}
        documents[kept["kind"], kept.get("tenant", "-"), kept["name"]] = kept
    (directory / "intent.yaml").write_text(yaml.safe_dump_all(documents.values()))
    shutil.copy(QUICKSTART / intent.LAB_FILE, directory)
    return directory


class Pinger:
    """A ping that runs all the time, and what it lost."""

    running: ClassVar[set[Pinger]] = set()

    def __init__(self, fabric: Fabric, source: str, address: str, interval: float = 0.02) -> None:
        node = fabric.node(source)
        self.what = f"{source} to {address}"
        self.enough = time.monotonic() + 50 * interval
        argv = node.command(["ping", "-n", "-i", str(interval), "-W", "1", address])
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=node.environment()
        )
        self.running.add(self)

    def stop(self) -> tuple[int, int]:
        """(sent, received)."""
        self.running.discard(self)
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=20)[0]
        found = re.search(r"(\d+) packets transmitted, (\d+) received", said)
        assert found, f"ping {self.what}: {said[-500:]}"
        return int(found[1]), int(found[2])

    def lost(self) -> int:
        """Packets lost; the last one may still have been under way. Of a few packets it would say nothing."""
        poll(f"ping {self.what} to have sent something", lambda: time.monotonic() > self.enough)
        sent, received = self.stop()
        assert sent > 10, f"ping {self.what} sent only {sent}"
        return max(0, sent - received - 1)


def lasts(neighbour: str) -> bool:
    """Whether a neighbour or a bridge's MAC address, as iproute2 shows it, was put there by FRR or the agent.

    All others are the kernel's own: entries of hosts grow stale and are confirmed anew by themselves all the time.
    """
    return bool({"PERMANENT", "permanent", "extern_learn"}.intersection(neighbour.split()))


def changes(line: str) -> bool:
    """Whether `ip -oneline monitor label` tells of something that was done.

    A bridge tells of its ports by itself, seconds after one of them has come: those lines name no qdisc."""
    return not (line.startswith("[LINK]") and " master br" in line and " qdisc " not in line)


class Monitor:
    """`ip monitor` in one namespace of a node. Marks of our own, before and after, prove that it listens."""

    def __init__(self, node: Namespace, place: str, log: Path) -> None:
        self._node, self._place, self._log = node, place, log
        self._marks: list[str] = []

    def __enter__(self) -> Monitor:
        told = ["label", "link", "address", "route", "rule", "nexthop", "neigh"]
        argv = [
            "stdbuf",
            "-oL",
            "ip",
            "-oneline",
            "-details",
            "monitor",
            *told,
        ]  # without details it keeps aliases back
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._node.command(argv, self._place), stdout=log, stderr=log, env=self._node.environment()
            )
        try:
            self._mark()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)
        self._node.ip(['link set lo alias ""'], self._place)

    def _mark(self) -> None:
        """Give lo an alias, a new one each time, until the monitor has heard of one of them."""
        first = len(self._marks)

        def seen() -> bool:
            self._marks.append(f"mark-{time.monotonic_ns()}")
            self._node.ip([f"link set lo alias {self._marks[-1]}"], self._place)
            said = self._log.read_text()
            return any(mark in said for mark in self._marks[first:])

        poll(f"the monitor of {self._node.name}/{self._place} to hear a mark", seen)

    def heard(self) -> list[str]:
        """Everything but the marks, and of neighbours those that last.

        A mark is one line: whatever else changes on lo carries the last alias as well.
        """
        self._mark()
        left = set(self._marks)
        lines = []
        for line in self._log.read_text().splitlines():
            if found := left.intersection(line.split()):
                left -= found
            elif not line.startswith("[NEIGH]") or lasts(line):
                lines.append(line)
        return lines


def daemons(fabric: Fabric, device: str) -> dict[str, int]:
    return frr.pids(fabric.node(device).path(frr.RUN))

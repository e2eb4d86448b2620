"""What an agent costs: CPU until it has reported, its memory, and its private memory in the lab, where agents are
forked from one parent. Needs root and FRR."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import Figure
from benchmarks.lab import LIMIT, QUICKSTART, await_devices, running
from underlace.lab import agents, intent
from underlace.lab.fabric import Fabric, wait_for

RUNS = 5
DEVICE = "leaf1"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, and of the programs that it ran."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:15])) / TICKS


def own_cpu_seconds(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) / TICKS


def mebibytes(pid: int, file: str, *names: str) -> float:
    """The sum of some lines of /proc/PID/FILE."""
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in names) / 1024


def last_report(fabric: Fabric) -> Any:
    return fabric.api.get(f"/v1/devices/{DEVICE}")["last_report"]


def by_exec(fabric: Fabric) -> tuple[float, float, float]:
    """An agent started as on a device: its CPU until its first report, the same with its programs, its memory."""
    if fabric.agent(DEVICE):
        fabric.stop_agents([DEVICE])
        wait_for("the agent to end", lambda: not fabric.agent(DEVICE))
    before = last_report(fabric)
    config = agents.config_path(fabric.state.directory, DEVICE)
    command = fabric.node(DEVICE).command([sys.executable, "-m", "underlace.agent", str(config)])
    with subprocess.Popen(
        command,
        env=fabric.node(DEVICE).environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for("the agent's first report", lambda: last_report(fabric) != before, LIMIT)
            return (
                own_cpu_seconds(process.pid),
                cpu_seconds(process.pid),
                mebibytes(process.pid, "status", "VmHWM"),
            )
        finally:
            process.terminate()


def figures() -> Iterator[Figure]:
    wanted = intent.read(QUICKSTART)
    with running(wanted) as fabric:
        await_devices(fabric)
        private = [
            mebibytes(fabric.agent(d), "smaps_rollup", "Private_Clean", "Private_Dirty") for d in fabric.lab.switches
        ]
        yield Figure(
            "agent-private-memory-in-lab",
            max(private),
            "MiB",
            15.0,
            note=f"Private memory of the largest of {len(private)} agents that were forked from one parent.",
        )
        started = [by_exec(fabric) for _ in range(RUNS)]
    yield Figure(
        "agent-start-cpu",
        median(own for own, _, _ in started),
        "s",
        0.25,
        note=f"CPU of an agent process from exec to its first report; median of {RUNS}. With the programs it runs on "
        f"the device: {median(every for _, every, _ in started):.2f} s.",
    )
    yield Figure(
        "agent-memory",
        max(memory for _, _, memory in started),
        "MiB",
        40.0,
        note="Peak resident memory of that process.",
    )

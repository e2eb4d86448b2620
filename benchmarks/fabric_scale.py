"""Design §10, rows 1 and 2: the whole fabric compiled, and one V-Net over all leaves, beside pyavd."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.topology import Topology

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PYAVD = ROOT / ".venv-bench" / "bin" / "python"

SAME = ("devices", "vrfs_per_leaf", "vlans_per_leaf", "ports_per_leaf")
"""Counts that must be equal on both sides, or the comparison is of two different fabrics."""


def run(*command: str | Path) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def figures(leaves: int, with_pyavd: bool) -> Iterator[Figure]:
    """Each side runs in a process of its own: CPU time and peak memory are that process's."""
    shape = Topology.scaled(leaves)
    print(shape.describe(), file=sys.stderr)
    ours = run(sys.executable, "-m", "benchmarks.compile", str(leaves))
    print(f"underlace: {json.dumps(ours)}", file=sys.stderr)
    theirs: dict[str, Any] = {}
    if with_pyavd:
        theirs = run(PYAVD, HERE / "avd.py", str(leaves))
        print(f"pyavd:     {json.dumps(theirs)}", file=sys.stderr)
        different = [name for name in SAME if ours[name] != theirs[name]]
        if different:
            raise SystemExit(f"not the same fabric: {different} differ")
    full = leaves == Topology().leaves
    suffix = "" if full else f"-{leaves}-leaves"
    lines = f"{ours['lines']:,} lines of native configuration; pyavd: {theirs.get('lines', 0):,} lines"
    yield Figure(
        f"compile-fabric-cpu{suffix}",
        ours["cpu"],
        "s",
        5.0 if full else None,
        theirs.get("cpu"),
        f"{shape.describe()}: validation, allocation, checks, compile, hashes. pyavd: validation to text. {lines}. "
        f"Both: {ours['vrfs_per_leaf']} VRFs, {ours['vlans_per_leaf']} VLANs, {ours['ports_per_leaf']} trunk ports "
        "a leaf.",
    )
    yield Figure(
        f"compile-fabric-memory{suffix}",
        ours["rss_mib"],
        "MiB",
        150.0 if full else None,
        theirs.get("rss_mib"),
        "Peak resident memory of the process of compile-fabric-cpu, inputs included.",
    )
    yield Figure(
        f"compile-and-render-cpu{suffix}",
        ours["cpu"] + ours["render_cpu"],
        "s",
        None,
        theirs.get("cpu"),
        "compile-fabric-cpu, and every fragment rendered to its device's own words, as pyavd does.",
    )
    edit = run(sys.executable, "-m", "benchmarks.edit", str(leaves))
    print(f"edit:      {json.dumps(edit)}", file=sys.stderr)
    names = ("cpu_median", "plan_cpu_median", "apply_cpu_median", "wall_median")
    cpu, plan, bare, wall = (1_000 * edit[name] for name in names)
    yield Figure(
        f"vnet-over-all-leaves{suffix}",
        cpu,
        "ms",
        50.0 if full else None,
        1_000 * theirs["cpu"] if theirs else None,
        f"CPU time of one V-Net with a port on each of {edit['devices']} leaves, in the filled store: one durable "
        "apply that answers with its plan, the native configuration of the first few devices included; "
        f"median of {edit['runs']}, wall {wall:.0f} ms. pyavd has no incremental build: its anchor is the full one.",
    )
    yield Figure(
        f"vnet-over-all-leaves-apply{suffix}",
        bare,
        "ms",
        note=f"The same without that answer, after a plan, which takes {plan:.0f} ms: the compile and the commit.",
    )
    yield Figure(
        f"vnet-over-all-leaves-all-native{suffix}",
        1_000 * edit["plan_all_native_cpu"],
        "ms",
        note="CPU time of a plan that shows the native configuration of every device.",
    )
    yield Figure(
        f"commit-fabric-cpu{suffix}",
        edit["fill_cpu"],
        "s",
        note="CPU time of one apply of the whole fabric into an empty store, durable, with history and indexes.",
    )

"""Design §10, rows 3, 4 and 11: a controller with very many VPCs: `python -m benchmarks.scale [--vpcs N] ...`.

Fills a store with N VPCs and as many V-Nets, and one with a thousand for comparison, on each database; then measures,
each step in a process of its own, what an edit, a restart, creating and a full compile cost. A million over 2,000
leaves is `--vpcs 1000000`; filling both databases with that takes an hour or more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import text

from benchmarks.figure import Figure, write_page
from benchmarks.many_vpcs import ManyVpcs
from tests.support.postgres import PostgresServer
from underlace.store.engine import engine, is_server

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
FEW = 1_000
"""VPCs of the store that an edit is compared with."""
GIB = 1 << 30
MILLION = 1_000_000
SERVER = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""What docs/how-to/use-postgresql.md has an administrator set for so many."""


class Filled(NamedTuple):
    """A store that was filled, and what that took; bytes: of VPCs and V-Nets alone."""

    place: str
    shape: ManyVpcs
    took: dict[str, Any]
    bytes: int


def step(name: str, place: str, shape: ManyVpcs) -> dict[str, Any]:
    """What a step measured, and its seconds from start to the last answer (`elapsed`)."""
    began = perf_counter()
    sizes = ("--vpcs", str(shape.vpcs), "--leaves", str(shape.leaves))
    command = (sys.executable, "-m", "benchmarks.scale_steps", name, place, *sizes)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        elapsed = perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{name} failed on {place}")
    found: dict[str, Any] = {**json.loads(line), "elapsed": elapsed}
    print(f"{shape.describe()}: {name}: {json.dumps(found)}", file=sys.stderr)
    return found


def fill(place: str, shape: ManyVpcs) -> Filled:
    step("fabric", place, shape)
    before = size_of(place)
    return Filled(place, shape, step("fill", place, shape), size_of(place) - before)


def size_of(place: str) -> int:
    if not is_server(place):
        return sum(file.stat().st_size for file in Path(place).parent.glob(Path(place).name + "*"))
    reader = engine(place, writer=False)
    with reader.connect() as c:
        found = int(c.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    reader.dispose()
    return found


def figures(database: str, many: Filled, few: Filled) -> Iterator[Figure]:
    shape = many.shape
    suffix = f"-{database}" + ("" if shape.vpcs == MILLION else f"-{shape.vpcs}-vpcs")
    yield from _filling(suffix, many)
    yield from _editing(suffix, many, few)
    plan = step("first-plan", many.place, shape)
    note = f"From the start of the process to its first plan, {shape.describe()}; {plan['since_start']:.2f} s CPU."
    yield Figure(f"scale-restart{suffix}", plan["elapsed"], "s", 3.0, None, note)
    yield Figure(f"scale-restart-memory{suffix}", plan["rss_mib"], "MiB", 300.0, None, "Peak of that process.")
    made = step("creates", many.place, shape)
    rate = made["created"] / made["wall"]
    note = f"By 8 threads through the controller, each VPC on disk before its thread's next. {_share(made)}"
    yield Figure(f"scale-creates{suffix}", rate, "VPCs/s", 300.0, None, note, more_is_better=True)
    whole = step("recompute", many.place, shape)
    if whole["differences"]:
        raise SystemExit("what is stored is not what a full compile makes")
    bar = 300.0 * shape.vpcs / MILLION
    yield Figure(
        f"scale-recompute-cpu{suffix}", whole["cpu"], "s", bar, None, "Every fragment compiled from nothing."
    )
    yield Figure(f"scale-recompute-memory{suffix}", whole["rss_mib"], "MiB", 500.0, None, "Peak of that process.")


def _share(found: dict[str, Any]) -> str:
    """How much of the time was this process's work: the rest it waited, for the disk, a server or a core."""
    return f"{100 * found['cpu'] / found['wall']:.0f} % of that time was CPU of the controller."


def _filling(suffix: str, many: Filled) -> Iterator[Figure]:
    took, count = many.took, many.shape.resources
    growth = took["last_batch"] / took["first_batch"]
    note = (
        f"{many.shape.describe()}, in batches of 1,000. {_share(took)} "
        f"A batch of the last tenth took {growth:.2f} times one of the first."
    )
    yield Figure(
        f"scale-import{suffix}", count / took["wall"], "resources/s", 3_000.0, None, note, more_is_better=True
    )
    note = f"CPU of the controller for each of these; 3,000 a second leave 333 µs. Peak {took['rss_mib']:.0f} MiB."
    yield Figure(f"scale-import-cpu{suffix}", took["cpu"] / count * 1e6, "µs", 333.0, None, note)
    note = "A VPC and its V-Net in the store, with history, fragments and indexes; 2 GiB for a million of them."
    yield Figure(f"scale-size{suffix}", many.bytes / many.shape.vpcs, "bytes", 2 * GIB / MILLION, None, note)


def _editing(suffix: str, many: Filled, few: Filled) -> Iterator[Figure]:
    here, there = (1_000 * step("edit", f.place, f.shape)["cpu_median"] for f in (many, few))
    note = (
        f"CPU of the controller for one V-Net with a gateway on 2 leaves, durable, beside {many.shape.describe()}; "
        f"median of 21, in VPCs all over. Anchor: the same at {few.shape.vpcs:,} VPCs; at most 1.5 times that."
    )
    yield Figure(f"scale-edit{suffix}", here, "ms", 25.0, there, note)


@contextmanager
def _places(database: str) -> Iterator[tuple[str, str]]:
    if database == "postgresql":
        server = PostgresServer.start(durable=True, settings=SERVER)
        try:
            yield server.database(), server.database()
        finally:
            server.stop()
    else:
        with tempfile.TemporaryDirectory(prefix="underlace-scale-") as directory:
            yield f"{directory}/many.sqlite", f"{directory}/few.sqlite"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--vpcs", type=int, default=50_000)
    parser.add_argument("--leaves", type=int, default=0, help="as many as 1,000 for each 500,000 VPCs, at least 400")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    asked = parser.parse_args()
    leaves = asked.leaves or max(400, asked.vpcs // 500)
    for database in asked.database or ("sqlite", "postgresql"):
        with _places(database) as (one, other):
            many, few = (fill(place, ManyVpcs(n, leaves)) for place, n in ((one, asked.vpcs), (other, FEW)))
            for figure in figures(database, many, few):
                print(figure.as_json(), flush=True)
                write_page(PAGE, [figure], os.getloadavg()[0])


if __name__ == "__main__":
    main()

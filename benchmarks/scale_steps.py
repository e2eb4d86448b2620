"""What `make bench-scale` measures, each step in a process of its own: `python -m benchmarks.scale_steps STEP ...`.

Steps: fabric, fill, edit, first-plan, creates, recompute. A step prints one JSON object; CPU time and peak memory
are those of its process. A database server's CPU time is not in there: see the wall times.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import structlog

from benchmarks.edit import request
from benchmarks.many_vpcs import ManyVpcs, batches
from underlace.access import CONTROLLER
from underlace.controller.collector import relax
from underlace.controller.controller import Controller
from underlace.controller.document import Request
from underlace.drivers.linux import LinuxDriver
from underlace.model import document as written
from underlace.model.ids import Ref
from underlace.store.engine import Place, is_server
from underlace.store.store import Store

BATCH = 1_000
RUNS = 21
CLIENTS = 8
CREATING_SECONDS = 5.0


def fabric(controller: Controller, shape: ManyVpcs) -> dict[str, Any]:
    """What VPCs stand on, at once."""
    controller.apply(CONTROLLER, request(*shape.fabric()))
    return {}


def fill(controller: Controller, shape: ManyVpcs) -> dict[str, Any]:
    """VPCs and V-Nets in batches; seconds of a batch in the first and in the last tenth."""
    seconds: list[float] = []
    began_cpu = process_time()
    for batch in batches(shape.tenants_intent(), BATCH):
        began = perf_counter()
        controller.apply(CONTROLLER, request(*batch))
        seconds.append(perf_counter() - began)
    tenth = max(1, len(seconds) // 10)
    return {
        "resources": shape.resources,
        "wall": sum(seconds),
        "cpu": process_time() - began_cpu,
        "first_batch": median(seconds[:tenth]),
        "last_batch": median(seconds[-tenth:]),
    }


def edit(controller: Controller, shape: ManyVpcs) -> dict[str, Any]:
    """One V-Net on two leaves, into VPCs all over the fabric. The deleting between is not counted."""
    cpu, wall = [], []
    for run in range(RUNS):
        # Another VPC each time: what a run before has read is in no cache.
        *before, vnet = shape.another_vnet(run * shape.vpcs // RUNS)
        controller.apply(CONTROLLER, request(*before))
        change = request(vnet)
        began_cpu, began = process_time(), perf_counter()
        controller.apply(CONTROLLER, change)
        cpu.append(process_time() - began_cpu)
        wall.append(perf_counter() - began)
        controller.apply(CONTROLLER, Request(delete=tuple(map(_ref, (vnet, *reversed(before))))))
    return {"cpu_median": median(cpu), "wall_median": median(wall), "cpu_worst": max(cpu), "runs": RUNS}


def _ref(d: written.Document) -> Ref:
    return Ref(d.kind, d.tenant, d.name)


def first_plan(controller: Controller, shape: ManyVpcs) -> dict[str, Any]:
    *before, _ = shape.another_vnet(shape.vpcs // 2)
    controller.plan(CONTROLLER, request(*before))
    return {}


def creates(controller: Controller, shape: ManyVpcs) -> dict[str, Any]:
    """Clients that each create VPCs one by one, each answered when it is on disk."""
    made = [0] * CLIENTS
    end = perf_counter() + CREATING_SECONDS

    def client(number: int) -> None:
        while perf_counter() < end:
            vpc = written.Document("vpc", "tenant1", f"client{number}-{made[number]}", {}, {})
            controller.apply(CONTROLLER, request(vpc))
            made[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began, began_cpu = perf_counter(), process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"created": sum(made), "wall": perf_counter() - began, "cpu": process_time() - began_cpu}


def recompute(controller: Controller, _: ManyVpcs) -> dict[str, Any]:
    """Every fragment from nothing, compared with what is stored."""
    began = process_time()
    differences = controller.differences(CONTROLLER)
    return {"cpu": process_time() - began, "differences": len(differences)}


STEPS: dict[str, Callable[[Controller, ManyVpcs], dict[str, Any]]] = {
    "fabric": fabric,
    "fill": fill,
    "edit": edit,
    "first-plan": first_plan,
    "creates": creates,
    "recompute": recompute,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale_steps")
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("place")
    parser.add_argument("--vpcs", type=int, required=True)
    parser.add_argument("--leaves", type=int, required=True)
    asked = parser.parse_args()
    place: Place = asked.place if is_server(asked.place) else Path(asked.place)
    # A line for each of a hundred thousand changes would be a part of what is measured.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    relax()  # as the controller's own process does
    store = Store.open(place)
    controller = Controller(store, {"linux": LinuxDriver()})
    found = STEPS[asked.step](controller, ManyVpcs(asked.vpcs, asked.leaves))
    # Before closing: to close a file is to copy its log into it, which nobody waits for.
    found["since_start"] = process_time()
    found["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found), flush=True)
    controller.close()
    sys.exit(0)


if __name__ == "__main__":
    main()

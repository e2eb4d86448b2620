"""One V-Net over all leaves, in a store that holds the neutral fabric: `python -m benchmarks.edit LEAVES [RUNS]`.

Measured are the use cases themselves. An edit is one apply that answers with all that a plan says (per device what
changes and whom it hurts, the native configuration of the first few) and returns when the revision is on disk. Only
creating is counted, not the deleting between. Measured apart: the two requests of somebody who plans first, the apply
then without that answer; and a plan that shows the native configuration of every device.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from benchmarks.fabric import TENANT, documents, spare_port, tenant_document
from benchmarks.topology import Topology
from underlace.access import CONTROLLER
from underlace.controller.controller import Controller
from underlace.controller.document import Document, Request
from underlace.drivers.linux import LinuxDriver
from underlace.model import document as written
from underlace.model.ids import Ref
from underlace.store.store import Store

VNET = Ref("vnet", TENANT, "everywhere")


def request(*found: written.Document) -> Request:
    return Request(tuple(Document(Ref(d.kind, d.tenant, d.name), d.spec, d.labels) for d in found))


def everywhere(t: Topology) -> Request:
    ports = [{"port": spare_port(t, leaf)} for leaf in range(1, t.leaves + 1)]
    gateways = ["10.99.0.1/24", "2001:db8:99::1/64"]
    return request(tenant_document("vnet", VNET.name, {"vpc": "vpc1", "gateways": gateways, "ports": ports}))


def subnets() -> Request:
    found = []
    for family, prefix in (("v4", "10.99.0.0/24"), ("v6", "2001:db8:99::/64")):
        spec = {"prefix": prefix, "vpc": "vpc1"}
        found += [tenant_document(kind, f"everywhere-{family}", spec) for kind in ("allocation", "subnet")]
    return request(*found)


def measure(t: Topology, runs: int, directory: Path) -> dict[str, object]:
    store = Store.open(directory / "store.sqlite")
    controller = Controller(store, {"linux": LinuxDriver()})
    fill = _cpu(lambda: controller.apply(CONTROLLER, request(*documents(t))))
    controller.apply(CONTROLLER, subnets())
    change = everywhere(t)
    once, wall, planned, bare = [], [], [], []
    for _ in range(runs):
        started = perf_counter()
        once.append(_cpu(lambda: controller.apply(CONTROLLER, replace(change, show=True))))
        wall.append(perf_counter() - started)
        controller.apply(CONTROLLER, Request(delete=(VNET,)))
        planned.append(_cpu(lambda: controller.plan(CONTROLLER, change)))
        bare.append(_cpu(lambda: controller.apply(CONTROLLER, change)))
        controller.apply(CONTROLLER, Request(delete=(VNET,)))
    plan = controller.plan(CONTROLLER, change)
    every = replace(change, native=frozenset(d.device for d in plan.devices))
    everything = _cpu(lambda: controller.plan(CONTROLLER, every))
    store.close()
    return {
        "runs": runs,
        "cpu_median": median(once),
        "wall_median": median(wall),
        "plan_cpu_median": median(planned),
        "apply_cpu_median": median(bare),
        "plan_all_native_cpu": everything,
        "fill_cpu": fill,
        "devices": len(plan.devices),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _cpu(work: Callable[[], object]) -> float:
    """CPU seconds of all threads."""
    begin = process_time()
    work()
    return process_time() - begin


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        runs = int(sys.argv[2]) if len(sys.argv) > 2 else 11
        print(json.dumps(measure(Topology.scaled(int(sys.argv[1])), runs, Path(temporary))))

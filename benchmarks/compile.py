"""Compile the neutral fabric, and say what it took: `python -m benchmarks.compile LEAVES`, a process of its own.

Counted, as on the other side: validation of every document, allocation of numbers, all checks, facts, merge,
canonical bytes and hashes. Not counted: making the documents.
"""

from __future__ import annotations

import json
import resource
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from itertools import accumulate, groupby

from benchmarks.fabric import documents
from benchmarks.laps import Laps
from benchmarks.topology import Topology
from tests.support.view import MemoryView
from underlace.compiler import Fragment, compile_fragments
from underlace.drivers.linux import LinuxDriver
from underlace.kinds.builtin import BUILTIN
from underlace.kinds.parse import parse_all
from underlace.model.fact import FragmentKey
from underlace.model.ids import Ref
from underlace.model.resource import Claim


class IndexedView(MemoryView):
    """Finds overlapping claims as the store's index does, not by looking at each."""

    def _index_claims(self) -> None:
        super()._index_claims()
        self._lows = {space: [low for low, _, _ in held] for space, held in self._claims.items()}
        self._highs = {space: list(accumulate((c[1] for c in held), max)) for space, held in self._claims.items()}

    def _overlapping(self, claim: Claim) -> list[Ref]:
        held, highs = self._claims[claim.space], self._highs[claim.space]
        found = []
        at = bisect_right(self._lows[claim.space], claim.high) - 1
        while at >= 0 and highs[at] >= claim.low:
            if held[at][1] >= claim.low:
                found.append(held[at][2])
            at -= 1
        return found

    def drop_claims(self) -> None:
        """They are checked and compile asks for none; a store has them on disk, not in memory."""
        for index in (self._claims, self._lows, self._highs):
            index.clear()


def build(t: Topology) -> dict[str, object]:
    asked = [*BUILTIN, *documents(t)]
    laps = Laps()
    drafts, faults = parse_all(asked)
    laps.lap("validate")
    del asked
    view = IndexedView(drafts)
    del drafts
    laps.lap("index and allocate")
    faults += view.check()
    laps.lap("check")
    if faults:
        raise SystemExit("\n".join(map(str, faults[:5])))
    view.drop_claims()
    compiled = compile_fragments(view.resources.values(), view)
    laps.lap("compile and hash")
    if compiled.diagnostics:
        raise SystemExit("\n".join(map(str, compiled.diagnostics[:5])))
    cpu, rss = laps.total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    shape = counts(compiled.fragments)
    lines = render(compiled.fragments)
    laps.lap("render")
    return {
        "cpu": cpu,
        "render_cpu": laps.phases["render"],
        "phases": laps.phases,
        "rss_mib": rss,
        "lines": lines,
        **shape,
    }


def counts(fragments: Mapping[FragmentKey, Fragment]) -> dict[str, int]:
    leaf = [item for key, f in fragments.items() if key.device == "leaf1" for item in f.objects]
    tags = Counter(str(item.__struct_config__.tag) for item in leaf)
    return {
        "devices": len({key.device for key in fragments}),
        "fragments": len(fragments),
        "bytes": sum(len(f.body) for f in fragments.values()),
        "vrfs_per_leaf": tags["vrf"],
        "vlans_per_leaf": tags["l2vni"],
        "ports_per_leaf": len({item.key[1] for item in leaf if item.key[0] == "tagged-port"}),
        "objects_per_leaf": tags.total(),
    }


def render(fragments: Mapping[FragmentKey, Fragment]) -> int:
    """Lines of native configuration of all devices, one device at a time."""
    driver = LinuxDriver()
    lines = 0
    for _, keys in groupby(sorted(fragments), key=lambda key: key.device):
        objects = [item for key in keys for item in fragments[key].objects]
        lines += len(driver.text(driver.items(objects)))
    return lines


if __name__ == "__main__":
    print(json.dumps(build(Topology.scaled(int(sys.argv[1])))))

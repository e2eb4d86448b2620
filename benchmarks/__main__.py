"""`make bench`: every figure as a line of JSON on standard output, and all of them in docs/reference/benchmarks.md.

python -m benchmarks [--leaves N] [--no-pyavd] [GROUP ...]      groups: compile, lab, agent; all of them by default
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import agent, convergence, fabric_scale, lab, large_lab, many_vrfs
from benchmarks.figure import Figure, write_page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "benchmarks.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--leaves", type=int, default=200, help="a smaller fabric for the compile group")
    parser.add_argument("--no-pyavd", action="store_true", help="leave the comparison out: it takes minutes")
    parser.add_argument("groups", nargs="*", default=["compile", "lab", "agent"])
    asked = parser.parse_args()
    groups: dict[str, Callable[[], Iterator[Figure]]] = {
        "compile": lambda: fabric_scale.figures(asked.leaves, not asked.no_pyavd),
        "lab": lab.figures,
        "agent": agent.figures,
        "convergence": convergence.figures,
        "large-lab": large_lab.figures,
        "many-vrfs": many_vrfs.figures,
    }
    for group in asked.groups:
        for figure in groups[group]():
            print(figure.as_json(), flush=True)
            write_page(PAGE, [figure], os.getloadavg()[0])


if __name__ == "__main__":
    main()

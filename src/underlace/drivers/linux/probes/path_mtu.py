"""The largest packet that gets through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step
from underlace.drivers.linux.probes.sent import PATH_MTU, place, step, told
from underlace.model.question import Row


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    return [step(PATH_MTU, asked, most=arguments.whole(asked, "most", 1_280, 65_535, 9_216))]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    one = told(said)
    yield {**place(asked), "mtu": one["mtu"], "limited_by": one["source"], "exact": one["sure"]}


PROBE = Probe("path-mtu", _steps, _rows)

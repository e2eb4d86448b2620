"""Counters of packet filters. The elements of sets stay where they are: there may be very many."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from underlace.drivers.linux import names
from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step
from underlace.model.question import Row

_TABLE = re.compile(r"table (\S+) (\S+) \{")
_CHAIN = re.compile(r"\tchain (\S+) \{")
_COUNTER = re.compile(r"^\t\t(.*?)\s*counter packets (\d+) bytes (\d+)\s*(.*)$")


def _steps(asked: Arguments, vrfs: Sequence[str]) -> list[Step]:
    vrf = arguments.vrf(asked)
    places = [vrf] if vrf else [names.MAIN, *vrfs]
    return [Step(("nft", "-t", "list", "ruleset"), netns) for netns in places]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    wanted = arguments.text(asked, "table")
    for one in said:
        table = chain = ""
        for line in one.output.splitlines():
            if (opened := _TABLE.match(line)) is not None:
                table = opened[2]
            elif (inside := _CHAIN.match(line)) is not None:
                chain = inside[1]
            elif (counted := _COUNTER.match(line)) is not None and wanted in ("", table):
                yield {
                    "vrf": one.step.netns or arguments.DEFAULT,
                    "table": table,
                    "chain": chain,
                    "rule": counted[1],
                    "action": counted[4],
                    "packets": int(counted[2]),
                    "bytes": int(counted[3]),
                }


PROBE = Probe("acl-counters", _steps, _rows, together=True)

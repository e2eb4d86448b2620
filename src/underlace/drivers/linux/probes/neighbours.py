"""ARP and ND entries of a device's VRFs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from underlace.drivers.linux import names
from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step, documents, entries, text
from underlace.model.question import Row


def _steps(asked: Arguments, vrfs: Sequence[str]) -> list[Step]:
    vrf = arguments.vrf(asked)
    places = [vrf] if vrf else [names.MAIN, *vrfs]
    return [Step(("ip", "-json", "neigh", "show"), netns) for netns in places]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    wanted = str(arguments.address(asked, "address")) if arguments.text(asked, "address") else ""
    for one in said:
        for entry in (e for listed in documents(one.output) for e in entries(listed)):
            if wanted and str(ip_address(text(entry.get("dst")))) != wanted:
                continue
            states = entry.get("state")
            yield {
                "vrf": one.step.netns or arguments.DEFAULT,
                "address": text(entry.get("dst")),
                "mac": text(entry.get("lladdr")),
                "interface": text(entry.get("dev")),
                "state": ",".join(text(s) for s in states) if isinstance(states, list) else "",
                "learnt": "evpn" if entry.get("protocol") == "zebra" or "extern_learn" in entry else "local",
            }


PROBE = Probe("neighbours", _steps, _rows, together=True)

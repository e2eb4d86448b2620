"""MAC addresses in the bridges of V-Nets. A remote one has two entries: one of the bridge, one of its VXLAN link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from underlace.drivers.linux import names
from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step, documents, entries, number, text
from underlace.model.question import Row

NO_MAC = "00:00:00:00:00:00"


def _steps(asked: Arguments, vrfs: Sequence[str]) -> list[Step]:
    arguments.whole(asked, "vni", 0, 16_777_215)
    vrf = arguments.vrf(asked)
    return [Step(("bridge", "-json", "-s", "fdb", "show"), netns) for netns in ([vrf] if vrf else vrfs)]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    vni, mac = asked.get("vni", 0), arguments.text(asked, "mac").lower()
    for one in said:
        found = [entry for listed in documents(one.output) for entry in entries(listed)]
        for row in _merged(one.step.netns, found):
            if vni in (0, row["vni"]) and mac in ("", row["mac"]):
                yield row


def _merged(netns: str, found: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    vteps: dict[tuple[int, str], str] = {}
    for entry in found:
        link, mac = text(entry.get("ifname")), text(entry.get("mac")).lower()
        vxlan, bridge = names.VXLAN_PATTERN.fullmatch(link), names.BRIDGE_PATTERN.fullmatch(text(entry.get("master")))
        if vxlan and text(entry.get("dst")) and mac != NO_MAC:
            vteps[int(vxlan[1]), mac] = text(entry["dst"])
        if bridge:
            rows[int(bridge[1]), mac] = {
                "vrf": netns,
                "vni": int(bridge[1]),
                "mac": mac,
                "where": "own" if entry.get("state") == "permanent" else "local",
                "port": link,
                "vtep": "",
                "idle_seconds": number(entry.get("used")),
            }
    for key, row in rows.items():
        yield {**row, "where": "remote", "vtep": vteps[key]} if key in vteps else row


PROBE = Probe("macs", _steps, _rows, together=True)

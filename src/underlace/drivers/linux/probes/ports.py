"""Ports of a device, in whatever VRF each is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from underlace.drivers.linux import names
from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import (
    SPEEDS,
    Arguments,
    Odd,
    Probe,
    Said,
    Step,
    documents,
    entries,
    number,
    objects,
    text,
)
from underlace.model.question import Row

_PORT = re.compile("|".join(p.pattern for p in (names.PORT_PATTERN, names.BOND_PATTERN, names.TAG_PATTERN)))


def _steps(asked: Arguments, vrfs: Sequence[str]) -> Iterator[Step]:
    wanted = arguments.text(asked, "port")
    if wanted and not _PORT.fullmatch(wanted):
        raise Odd(f"{wanted[:40]!r} is no port")
    for netns in (names.MAIN, *vrfs):
        yield Step(("ip", "-json", "-s", "-s", "-d", "link", "show"), netns)
        yield Step((SPEEDS,), netns)


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    wanted = arguments.text(asked, "port")
    for links, speeds in zip(said[::2], said[1::2], strict=True):
        known = next(objects(speeds.output), {})
        for one in (link for listed in documents(links.output) for link in entries(listed)):
            name = text(one.get("ifname"))
            if _PORT.fullmatch(name) and wanted in ("", name):
                yield _port(name, links.step.netns, one, number(known.get(name)))


def _port(name: str, netns: str, one: dict[str, Any], speed: int) -> Row:
    told = one.get("flags")
    flags = told if isinstance(told, list) else []
    up = "UP" in flags
    stats = one.get("stats64")
    rx, tx = (stats.get(way, {}) if isinstance(stats, dict) else {} for way in ("rx", "tx"))
    return {
        "port": name,
        "vrf": netns or arguments.DEFAULT,
        "admin": "up" if up else "down",
        "oper": "up" if up and "LOWER_UP" in flags else "down",
        "mtu": number(one.get("mtu")),
        "speed": speed,
        "carrier_changes": number(tx.get("carrier_changes")),
        "rx_bytes": number(rx.get("bytes")),
        "tx_bytes": number(tx.get("bytes")),
        "rx_packets": number(rx.get("packets")),
        "tx_packets": number(tx.get("packets")),
        "rx_errors": number(rx.get("errors")),
        "tx_errors": number(tx.get("errors")),
        "rx_dropped": number(rx.get("dropped")),
        "tx_dropped": number(tx.get("dropped")),
    }


PROBE = Probe("ports", _steps, _rows, together=True)

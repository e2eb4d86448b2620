"""VNIs as zebra has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import (
    Arguments,
    Probe,
    Said,
    Step,
    documents,
    entries,
    inner,
    number,
    text,
    vtysh,
)
from underlace.model.question import Row


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    arguments.whole(asked, "vni", 0, 16_777_215)
    return [vtysh("show evpn vni detail json")]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    wanted = asked.get("vni", 0)
    for answer in documents(said[0].output):
        found = entries(answer) if isinstance(answer, list) else (one for _, one in inner(answer))
        for one in found:
            if "vni" in one and wanted in (0, number(one["vni"])):
                yield _vni(one)


def _vni(one: dict[str, Any]) -> Row:
    listed = one.get("remoteVteps", one.get("numRemoteVteps"))  # 8.4 has the list under the name of its length
    remote = [v if isinstance(v, str) else text(v.get("ip")) for v in listed] if isinstance(listed, list) else []
    return {
        "vni": number(one["vni"]),
        "type": text(one.get("type")),
        "vrf": text(one.get("vrf") or one.get("tenantVrf")),
        "state": text(one.get("state")),
        "vtep": text(one.get("vtepIp") or one.get("localVtepIp")),
        "remote_vteps": remote,
        "macs": number(one.get("numMacs")),
        "neighbours": number(one.get("numArpNd")),
        "router_mac": text(one.get("routerMac")),
        "interface": text(one.get("vxlanInterface") or one.get("vxlanIntf")),
    }


PROBE = Probe("vnis", _steps, _rows)

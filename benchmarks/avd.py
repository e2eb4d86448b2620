"""The neutral fabric through pyavd. Runs in .venv-bench, never beside Underlace: `python avd.py LEAVES`.

Prints one JSON object: CPU seconds by phase, peak memory, and what was built. Inputs are made once and are not
counted, as YAML is not counted on our side; each device gets its own dictionary that shares the fabric-wide parts.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from laps import Laps
from pyavd import get_avd_facts, get_device_config, get_device_structured_config, validate_inputs
from pyavd.api.schemas import AVDDesign
from topology import ServerPort, Topology


def fabric(t: Topology) -> dict[str, Any]:
    """What is the same for every device: nodes, networks, servers. eBGP unnumbered underlay, EVPN, symmetric IRB."""
    uplinks = [f"Ethernet{n}" for n in range(1, t.spines + 1)]
    leaves = [
        {
            "name": f"leaf{n}",
            "id": n,
            "bgp_as": str(4_200_000_100 + n),
            "mgmt_ip": f"192.0.{2 + n // 250}.{n % 250 + 1}/22",
            "uplink_switch_interfaces": [f"Ethernet{n}"] * t.spines,
        }
        for n in range(1, t.leaves + 1)
    ]
    return {
        "fabric_name": "BENCH",
        "underlay_routing_protocol": "ebgp",
        "overlay_routing_protocol": "ebgp",
        "underlay_rfc5549": True,
        "spine": {
            "defaults": {"platform": "vEOS-lab", "bgp_as": "4200000001", "loopback_ipv4_pool": "10.255.255.0/24"},
            "nodes": [{"name": f"spine{n}", "id": n} for n in range(1, t.spines + 1)],
        },
        "l3leaf": {
            "defaults": {
                "platform": "vEOS-lab",
                "loopback_ipv4_pool": "10.254.0.0/16",
                "vtep_loopback_ipv4_pool": "10.253.0.0/16",
                "uplink_interfaces": uplinks,
                "uplink_switches": [f"spine{n}" for n in range(1, t.spines + 1)],
                "virtual_router_mac_address": "02:00:5e:00:01:01",
                "mlag": False,
            },
            "nodes": leaves,
        },
        "tenants": [tenant(t)],
        "servers": servers(t),
    }


def tenant(t: Topology) -> dict[str, Any]:
    """One tenant with all VRFs; each VLAN has a v4 and a v6 anycast gateway."""
    networks: dict[int, list[dict[str, Any]]] = {n: [] for n in range(1, t.vrfs + 1)}
    for vlan in t.all_vlans():
        networks[vlan.vrf].append(
            {
                "id": vlan.id,
                "name": f"net{vlan.id}",
                "enabled": True,
                "ip_address_virtual": vlan.gateway4,
                "ipv6_address_virtuals": [vlan.gateway6],
            }
        )
    vrfs = [{"name": f"VPC{n}", "vrf_id": n, "vrf_vni": 50_000 + n, "svis": svis} for n, svis in networks.items()]
    return {"name": "BENCH", "mac_vrf_vni_base": 10_000, "vrfs": vrfs}


def servers(t: Topology) -> list[dict[str, Any]]:
    """Each port is an adapter of its own: a trunk without a LAG."""
    found: dict[str, list[ServerPort]] = {}
    for port in t.ports():
        found.setdefault(port.server, []).append(port)
    return [
        {
            "name": name,
            "adapters": [
                {
                    "endpoint_ports": [port.nic],
                    "switches": [f"leaf{port.leaf}"],
                    "switch_ports": [f"Ethernet{t.spines + port.number}"],
                    "mode": "trunk",
                    "vlans": ",".join(map(str, port.vlans)),
                }
                for port in ports
            ],
        }
        for name, ports in found.items()
    ]


def valid(name: str, inputs: dict[str, Any]) -> AVDDesign:
    result = validate_inputs(inputs)
    if result.validated_data is None:
        raise SystemExit(f"{name}: {result.validation_result}")
    return AVDDesign._from_dict(result.validated_data)


def build(t: Topology) -> dict[str, object]:
    """Build every device and measure each phase."""
    shared = fabric(t)
    types = {f"leaf{n}": "l3leaf" for n in range(1, t.leaves + 1)}
    types |= {f"spine{n}": "spine" for n in range(1, t.spines + 1)}
    laps = Laps()
    inputs = {name: valid(name, {**shared, "type": kind}) for name, kind in types.items()}
    laps.lap("validate")
    facts = get_avd_facts(inputs)
    laps.lap("facts")
    lines = 0
    leaf: list[str] = []
    for name, design in inputs.items():
        structured = get_device_structured_config(name, design, facts)
        laps.lap("structured")
        text = get_device_config(structured).splitlines()
        laps.lap("render")
        lines += len(text)
        leaf = text if name == "leaf1" else leaf
    return {
        "cpu": laps.total,
        "phases": laps.phases,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "devices": len(inputs),
        "lines": lines,
        "vrfs_per_leaf": sum(line.startswith("vrf instance VPC") for line in leaf),
        "vlans_per_leaf": sum(line.startswith("   vxlan vlan ") for line in leaf),
        "ports_per_leaf": sum(line.startswith("   switchport trunk allowed vlan") for line in leaf),
    }


if __name__ == "__main__":
    print(json.dumps(build(Topology.scaled(int(sys.argv[1])))))

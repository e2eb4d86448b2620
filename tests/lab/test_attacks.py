"""What reviewers once did to the fabric from a tenant's port and from an upstream router."""

from __future__ import annotations

import json
import sys

from support.fabric import Pinger, poll
from underlace.lab.fabric import Fabric
from underlace.model.ids import Ref

SEND = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth1", 0))
own = s.getsockname()[4]
for _ in range(int(sys.argv[1])): s.send(bytes.fromhex(sys.argv[2].replace("OWN", own.hex())))
"""
FRAMES = 5
BROADCAST = "ff" * 6
GATEWAY = "02005e000101"


def arp_claim(address: str) -> str:
    """A gratuitous ARP request: sender and target are the claimed address."""
    ip = bytes(int(part) for part in address.split(".")).hex()
    return f"{BROADCAST}OWN08060001080006040001OWN{ip}000000000000{ip}"


def tagged(destination: str, source: str) -> str:
    """An IPv4 packet behind two priority tags (VLAN 0), to the gateway."""
    body = "4500001400010000401100" + "00"
    to, by = (bytes(int(p) for p in a.split(".")).hex() for a in (destination, source))
    return f"{GATEWAY}OWN81000000810000000800{body}{by}{to}"


def send(fabric: Fabric, host: str, frame: str) -> None:
    fabric.node(host).run([sys.executable, "-c", SEND, str(FRAMES), frame])


def counted(fabric: Fabric, device: str, vrf: str, port: str, word: str) -> int:
    """Packets that the rule of a port's guard with this word has dropped."""
    listed = fabric.node(device).run(["nft", "list", "table", "netdev", f"underlace_{port}"], vrf)
    rule = next(line for line in listed.splitlines() if word in line and "counter" in line)
    words = rule.split()
    return int(words[words.index("packets") + 1])


def test_a_host_cannot_claim_addresses_outside_its_subnets(fabric: Fabric) -> None:
    """One frame would make a host route in the whole VRF: for the internet's addresses, for an ISP's session."""
    border = fabric.vrf("system/border")
    before = counted(fabric, "leaf3", border, "swp9", "arp saddr")
    stolen = ("8.8.8.8", "192.0.2.3", "198.51.100.2")
    for address in stolen:
        send(fabric, "d1", arp_claim(address))
    dropped = len(stolen) * FRAMES
    poll(
        "the claims to be counted", lambda: counted(fabric, "leaf3", border, "swp9", "arp saddr") >= before + dropped
    )
    neighbours = fabric.node("leaf3").run(["ip", "neigh", "show", "nud", "all"], border)
    assert not [address for address in stolen if f"{address} dev br" in neighbours]
    send(fabric, "d1", arp_claim("203.0.113.11"))  # its own
    assert counted(fabric, "leaf3", border, "swp9", "arp saddr") == before + dropped


def test_tags_do_not_hide_a_packet_from_the_guard(fabric: Fabric) -> None:
    border = fabric.vrf("system/border")
    before = counted(fabric, "leaf3", border, "swp9", "8021q")
    send(fabric, "d1", tagged("10.255.0.3", "203.0.113.11"))
    poll("the tags to be counted", lambda: counted(fabric, "leaf3", border, "swp9", "8021q") >= before + FRAMES)


def test_an_upstream_writes_no_route_into_a_vpc(fabric: Fabric) -> None:
    """It sends the route targets of two tenants with its routes: FRR would carry them into type-5."""
    targets = [
        f"65000:{fabric.api.get(f'/v1/resources/vpc/{ref.tenant}/{ref.name}')['status']['allocated']['vni']}"
        for ref in (Ref("vpc", "acme", "red"), Ref("vpc", "bolt", "blue"))
    ]
    isp = fabric.node("isp1")
    configure(
        fabric,
        "route-map RT permit 10",
        f"set extcommunity rt {' '.join(targets)}",
        "exit",
        "router bgp 64496",
        "address-family ipv4 unicast",
        "network 10.77.0.0/16",
        "neighbor 192.0.2.0 route-map RT out",
        "neighbor 192.0.2.0 send-community both",
    )
    try:
        leaf, border = fabric.node("leaf3"), fabric.vrf("system/border")
        poll("the route on leaf3's border", lambda: "10.77.0.0/16" in leaf.run(["ip", "route"], border))
        said = json.loads(leaf.run(["vtysh", "-c", "show bgp l2vpn evpn route type 5 json"]))
        assert "10.77.0.0" in json.dumps(said)
        assert not [t for t in targets for entry in str(said).split("[5]:") if "10.77.0.0" in entry and t in entry]
        for device in ("leaf1", "leaf2", "leaf3"):
            for vpc in ("acme/red", "bolt/blue"):
                assert "10.77.0.0" not in fabric.node(device).run(["ip", "route"], fabric.vrf(vpc)), (device, vpc)
    finally:
        configure(
            fabric,
            "router bgp 64496",
            "address-family ipv4 unicast",
            "no network 10.77.0.0/16",
            "no neighbor 192.0.2.0 route-map RT out",
            "exit",
            "exit",
            "no route-map RT",
        )
        assert isp.run(["vtysh", "-c", "show running-config"]).count("10.77") == 0


def test_an_upstream_cannot_take_anothers_link(fabric: Fabric) -> None:
    """isp1 announces the address of isp2: as a host route it would beat the link on every other leaf."""
    configure(
        fabric, "router bgp 64496", "address-family ipv4 unicast", "network 192.0.2.3/32", "network 10.78.0.0/16"
    )
    try:
        leaf, border = fabric.node("leaf1"), fabric.vrf("system/border")
        poll("a route that may pass", lambda: "10.78.0.0/16" in leaf.run(["ip", "route"], border))
        assert "192.0.2.3" not in leaf.run(["ip", "route"], border)
    finally:
        off = ("no network 192.0.2.3/32", "no network 10.78.0.0/16")
        configure(fabric, "router bgp 64496", "address-family ipv4 unicast", *off)


KNOCK = """
import socket, sys
source, target, port = sys.argv[1:4]
s = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET)
s.settimeout(1)
try:
    s.bind(socket.getaddrinfo(source or None, 0, s.family, flags=socket.AI_PASSIVE)[0][4])
    s.connect(socket.getaddrinfo(target, int(port), s.family)[0][4])
    print("open")
except TimeoutError:
    print("silence")
except OSError as error:
    print(error.strerror)
"""


def knock(fabric: Fabric, node: str, target: str, source: str = "", port: int = 179) -> str:
    """What a TCP connection attempt meets: "open", "silence", or the words of an error."""
    return fabric.node(node).run([sys.executable, "-c", KNOCK, source, target, str(port)]).strip()


def test_bgp_answers_its_neighbours_only(fabric: Fabric) -> None:
    """Hosts at gateways and at the link of a session; its neighbour at any other address than the session's."""
    border = fabric.vrf("system/border")
    session = ["vtysh", "-c", f"show bgp vrf {border} neighbors 192.0.2.1 json"]
    for target in ("10.1.1.1", "2001:db8:1:1::1", "fe80::1%eth1"):
        assert knock(fabric, "r1", target) == "silence", target
    for target in ("203.0.113.1", "2001:db8:d::1", "192.0.2.0", "2001:db8:ffff::"):
        assert knock(fabric, "d2", target) == "silence", target
    for target, source in (("203.0.113.1", "192.0.2.1"), ("2001:db8:d::1", "2001:db8:ffff::1")):
        assert knock(fabric, "isp1", target, source) == "silence", target
    assert knock(fabric, "isp1", "192.0.2.0", "192.0.2.1") != "silence"  # its own session's address is open to it
    state = json.loads(fabric.node("leaf1").run(session))["192.0.2.1"]["bgpState"]
    assert state == "Established"


def configure(fabric: Fabric, *lines: str) -> None:
    argv = ["vtysh", "-c", "configure terminal"]
    for line in lines:
        argv += ["-c", line]
    fabric.node("isp1").run(argv)


def test_an_address_that_two_hosts_claim_is_reported(fabric: Fabric) -> None:
    """d1 is behind leaf3; d2, behind leaf1, says that it has d1's address. Nobody else notices."""
    border = fabric.vrf("system/border")
    vnet = fabric.api.get("/v1/resources/vnet/system/dmz")["status"]["allocated"]["vni"]
    macs = [
        json.loads(fabric.node(h).run(["ip", "-json", "link", "show", "eth1"]))[0]["address"] for h in ("d1", "d2")
    ]
    bystander = Pinger(fabric, "isp1", "203.0.113.12")
    send(fabric, "d1", arp_claim("203.0.113.11"))
    send(fabric, "d2", arp_claim("203.0.113.11"))
    fabric.stop_agents(["leaf1"])  # it looks when it starts, else on its timer
    fabric.start_agents(["leaf1"])
    (warning,) = poll("the status to say so", lambda: fabric.api.get("/v1/status")["warnings"])
    assert (warning["where"]["device"], warning["severity"]) == ("leaf1", "warning")
    assert (
        f"VNI {vnet} of VRF {border}: 203.0.113.11 is claimed by {' and '.join(sorted(macs))}." in warning["detail"]
    )
    told = {d["code"] for d in fabric.api.get("/v1/devices/leaf1")["diagnostics"]}
    assert told - {"device-cannot"} == {"address-claimed-twice"}, "what this machine's kernel lacks is told as well"
    assert bystander.lost() == 0
    assert fabric.api.get("/v1/devices/leaf1")["state"] == "in-sync"


def test_two_hosts_of_one_leaf_claim_an_address(fabric: Fabric) -> None:
    """The other one is behind the same port here, as a machine behind a hypervisor would be."""
    vnet = fabric.api.get("/v1/resources/vnet/acme/red-db")["status"]["allocated"]["vni"]
    send(fabric, "r3", arp_claim("10.1.2.13"))
    send(fabric, "r3", arp_claim("10.1.2.13").replace("OWN", "060000000077"))
    fabric.stop_agents(["leaf3"])
    fabric.start_agents(["leaf3"])

    def said() -> list[str]:
        found = [w["detail"] for w in fabric.api.get("/v1/status")["warnings"] if w["where"]["device"] == "leaf3"]
        return [detail for detail in found if f"VNI {vnet} " in detail]

    (detail,) = poll("the status to say so", said)
    assert "10.1.2.13 is claimed by 06:00:00:00:00:77 and " in detail

"""Forged VXLAN and echo requests, as a hostile host sends them: law 11 says that they reach nobody. Stdlib only.

The inner frame is a broadcast to the responders' port, so that every host of the V-Net would notice it.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Sequence

from underlace.lab.probe import PORT

MARK = b"forged "
VXLAN_PORT = 4_789
_BROADCAST_MAC = b"\xff" * 6
_OWN_MAC = bytes.fromhex("0666aabbccdd")
_ECHO_REQUEST, _ECHO_REPLY = 8, 0


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def ipv4(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet with its header checksum."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), os.getpid() & 0xFFFF, 0, 64, protocol, 0) + addresses
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + payload


def udp(source: int, target: int, payload: bytes) -> bytes:
    """A UDP datagram without a checksum."""
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def vxlan(vni: int, text: bytes) -> bytes:
    """A VXLAN payload: a broadcast frame to all responders of a V-Net."""
    packet = ipv4("0.0.0.0", "255.255.255.255", 17, udp(PORT, PORT, MARK + text))  # noqa: S104  a source like DHCP's
    return struct.pack("!II", 0x0800_0000, vni << 8) + _BROADCAST_MAC + _OWN_MAC + b"\x08\x00" + packet


def allowed() -> bool:
    """Whether this process may open the raw sockets that forging needs."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()
    except PermissionError:
        return False
    return True


def forge(vtep: str, vni: int, text: str, source: str = "") -> None:
    """Send one forged packet, from the own address or as somebody else. Raises OSError when it cannot even leave."""
    payload = vxlan(vni, text.encode())
    if source:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(ipv4(source, vtep, 17, udp(49_152, VXLAN_PORT, payload)), (vtep, 0))
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            datagram.sendto(payload, (vtep, VXLAN_PORT))


def echoed(targets: Sequence[str], seconds: float) -> list[str]:
    """Which IPv4 addresses answer an ICMP echo request."""
    found: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        for number, target in enumerate(targets):
            body = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, os.getpid() & 0xFFFF, number)
            body = body[:2] + struct.pack("!H", _sum(body)) + body[4:]
            try:
                raw.sendto(body, (target, 0))
            except OSError:
                continue  # no route: nobody answers
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and len(found) < len(targets):
            if not select.select([raw], [], [], left)[0]:
                break
            packet, peer = raw.recvfrom(2_048)
            if packet[(packet[0] & 15) * 4] == _ECHO_REPLY and peer[0] in targets:
                found.add(peer[0])
    return sorted(found)

"""Packets of probes and what comes back for them, as bytes. Pure.

Echo requests and TCP SYNs; what answers is an echo reply, an ICMP error that quotes the request, or a TCP segment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

ICMP, TCP, ICMP6 = 1, 6, 58
PROTOCOL = {4: ICMP, 6: ICMP6}
REQUEST = {4: 8, 6: 128}
REPLY = {4: 0, 6: 129}
UNREACHABLE = {4: 3, 6: 1}
EXCEEDED = {4: 11, 6: 3}
TOO_BIG6, NEEDS_FRAGMENTS = 2, 4

HEADERS = {4: 28, 6: 48}
"""Bytes of IP and ICMP before the data of an echo."""

SYN, RST, ACK = 0x02, 0x04, 0x10

Address = IPv4Address | IPv6Address


class Ours(NamedTuple):
    """What our packets are known by: echoes by an identity, a SYN by its ports, ours first, and its number."""

    source: Address
    target: Address
    identity: int = -1
    ports: tuple[int, int] = (0, 0)
    number: int = 0


class Heard(NamedTuple):
    """An answer to one of our packets. number: of the echo, or the port. mtu: of the link that was too narrow."""

    kind: str
    source: str
    number: int
    mtu: int = 0


def checksum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def echo(version: int, identity: int, number: int, size: int) -> bytes:
    """An echo request in a packet of `size` bytes, IP header included. The kernel sums up those of IPv6."""
    data = bytes(max(0, size - HEADERS[version]))
    bare = struct.pack("!BBHHH", REQUEST[version], 0, 0, identity, number) + data
    if version == 6:
        return bare
    return bare[:2] + struct.pack("!H", checksum(bare)) + bare[4:]


def segment(source: Address, target: Address, ports: tuple[int, int], number: int, flags: int) -> bytes:
    """A TCP segment without data."""
    bare = struct.pack("!HHIIBBHHH", *ports, number, 0, 5 << 4, flags, 8_192, 0, 0)
    rest = (
        struct.pack("!BBH", 0, TCP, len(bare)) if source.version == 4 else struct.pack("!IHBB", len(bare), 0, 0, TCP)
    )
    total = checksum(source.packed + target.packed + rest + bare)
    return bare[:16] + struct.pack("!H", total) + bare[18:]


def heard(packet: bytes, ours: Ours) -> Heard | None:
    """What a received IP packet says about ours. Replies come from the target, errors from anybody on the way."""
    try:
        inner, protocol, source, to = _opened(packet)
        if to != ours.source.packed:
            return None
        if protocol == TCP:
            return _segment(inner, ours) if source == ours.target.packed else None
        if protocol == PROTOCOL[ours.source.version]:
            return _icmp(inner, source, ours)
    except (struct.error, IndexError, KeyError, ValueError):
        pass  # cut short, or nothing of ours
    return None


def _opened(packet: bytes) -> tuple[bytes, int, bytes, bytes]:
    """What is inside, its protocol, and from where to where."""
    if packet[0] >> 4 == 4:
        return packet[(packet[0] & 15) * 4 :], packet[9], packet[12:16], packet[16:20]
    return packet[40:], packet[6], packet[8:24], packet[24:40]


def _segment(inner: bytes, ours: Ours) -> Heard | None:
    from_port, to_port, _, ack = struct.unpack("!HHII", inner[:12])
    flags = inner[13]
    if (to_port, from_port) != ours.ports or ack != (ours.number + 1) & 0xFFFF_FFFF:
        return None
    kind = "refused" if flags & RST else "open" if flags & SYN else ""
    return Heard(kind, _text(ours.target.packed), from_port) if kind else None


def _icmp(inner: bytes, source: bytes, ours: Ours) -> Heard | None:
    version = ours.source.version
    kind, code, _, upper, lower = struct.unpack("!BBHHH", inner[:8])
    if kind == REPLY[version]:
        mine = upper == ours.identity and source == ours.target.packed
        return Heard("reply", _text(source), lower) if mine else None
    number = _quoted(inner[8:], ours)
    if number is None:
        return None
    if (version == 6 and kind == TOO_BIG6) or (version == 4 and kind == UNREACHABLE[4] and code == NEEDS_FRAGMENTS):
        return Heard("too-big", _text(source), number, mtu=lower if version == 4 else (upper << 16) | lower)
    if kind == EXCEEDED[version]:
        return Heard("exceeded", _text(source), number)
    return Heard("unreachable", _text(source), number) if kind == UNREACHABLE[version] else None


def _quoted(packet: bytes, ours: Ours) -> int | None:
    """The number of our packet that an ICMP error quotes."""
    inner, protocol, source, to = _opened(packet)
    if (source, to) != (ours.source.packed, ours.target.packed):
        return None
    ports = struct.unpack("!HH", inner[:4])
    if protocol == TCP:
        return ours.ports[1] if ports == ours.ports else None
    identity, number = struct.unpack("!HH", inner[4:8])
    return int(number) if identity == ours.identity else None


def _text(packed: bytes) -> str:
    return str(ip_address(packed))


def between(low: int, high: int, count: int) -> Iterator[int]:
    """Sizes strictly between two, evenly, at most so many."""
    gap = high - low - 1
    yield from sorted({low + 1 + gap * n // min(count, gap) for n in range(min(count, gap))})

"""Sends the packets of probes and waits for what comes back, in the namespace that the thread is in.

What comes back is read before the device's own filter: that lets no answers in, for nothing on a device asks others
(law 11), and a probe must not change it.
"""

from __future__ import annotations

import ctypes
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any

from underlace.drivers.linux import packets
from underlace.drivers.linux.packets import Address, Heard, Ours

_ATTACH_FILTER = 26
_OUTGOING = 4
_PROBE = 3
"""IP_PMTUDISC_PROBE: never fragment, and do not believe what was learnt about the path."""
_MTU_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
_HOPS = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_NEXT = {4: 9, 6: 6}
"""Where an IP header says what is inside."""

ROUND = 0.4
"""Seconds that a round of sizes waits for answers."""

SIZES_AT_ONCE = 12

HERE = "the device itself"

Answers = dict[int, tuple[Heard, float]]


class Line:
    """A raw socket to send to one address, and ears on every link of the namespace."""

    def __init__(self, target: Address, protocol: int, stack: ExitStack) -> None:
        self._target, version = target, target.version
        self._family = socket.AF_INET if version == 4 else socket.AF_INET6
        self._version, self._protocol = version, protocol
        self._out = stack.enter_context(socket.socket(self._family, socket.SOCK_RAW, protocol))
        self._out.setsockopt(*_MTU_DISCOVER[version], _PROBE)
        kind = socket.htons(_ETHERTYPE[version])
        self._ears = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, kind))
        self._listen_to({protocol, packets.PROTOCOL[version]})

    def source(self) -> Address:
        """The address that packets to the target come from, from now on. Raises OSError without a way there."""
        with socket.socket(self._family, socket.SOCK_DGRAM) as asked:
            asked.connect((str(self._target), 9))
            own = asked.getsockname()
        self._out.bind(own)
        return ip_address(own[0])

    def send(self, packet: bytes, hops: int = 64) -> str:
        """Nothing, or why it could not be sent."""
        try:
            self._out.setsockopt(*_HOPS[self._version], hops)
            self._out.sendto(packet, (str(self._target), 0))
        except OSError as refused:
            return os.strerror(refused.errno) if refused.errno else str(refused)
        return ""

    def hear(self, until: float, take: Callable[[bytes, float], bool]) -> None:
        """Give what arrives to `take` until it has enough, or it is time."""
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._ears], [], [], left)[0]:
                return
            packet, origin = self._ears.recvfrom(2_048)
            if origin[2] != _OUTGOING and take(packet, time.monotonic()):
                return

    def _listen_to(self, protocols: Iterable[int]) -> None:
        """A filter in the kernel, of classic BPF: whatever else a device forwards does not come up here."""
        wanted = sorted(set(protocols))
        code = [struct.pack("HBBI", 0x30, 0, 0, _NEXT[self._version])]
        code += [struct.pack("HBBI", 0x15, len(wanted) - n, 0, value) for n, value in enumerate(wanted)]
        code += [struct.pack("HBBI", 0x06, 0, 0, 0), struct.pack("HBBI", 0x06, 0, 0, 0xFFFF)]
        buffer = ctypes.create_string_buffer(b"".join(code))
        program = struct.pack("HL", len(code), ctypes.addressof(buffer))
        self._ears.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def echoes(target: Address, sends: Sequence[tuple[int, int]], interval: float, until: float) -> list[dict[str, Any]]:
    """Echo requests of (size, hops); for each what came of it: kind, source, milliseconds, mtu."""
    identity = random.randrange(1, 0xFFFF)
    answers: Answers = {}
    began: dict[int, float] = {}
    refused: dict[int, str] = {}

    def take(packet: bytes, at: float) -> bool:
        found = packets.heard(packet, ours)
        if found is not None and found.number in began:
            answers.setdefault(found.number, (found, at))
        return len(answers) + len(refused) == len(sends)

    with ExitStack() as stack:
        line = Line(target, packets.PROTOCOL[target.version], stack)
        try:
            ours = Ours(line.source(), target, identity)
        except OSError as none:
            return [{"kind": "refused", "why": none.strerror or str(none)} for _ in sends]
        for number, (size, hops) in enumerate(sends):
            began[number] = time.monotonic()
            if why := line.send(packets.echo(target.version, identity, number, size), hops):
                refused[number] = why
            if interval and number + 1 < len(sends):
                line.hear(min(until, began[number] + interval), lambda packet, at: take(packet, at) and False)
        if len(answers) + len(refused) < len(sends):
            line.hear(until, take)
    return [_told(number, answers, began, refused) for number in range(len(sends))]


def _told(number: int, answers: Answers, began: dict[int, float], refused: dict[int, str]) -> dict[str, Any]:
    if number not in answers:
        return {"kind": "refused" if number in refused else "", "why": refused.get(number, "")}
    heard, at = answers[number]
    return {"kind": heard.kind, "source": heard.source, "ms": (at - began[number]) * 1000, "mtu": heard.mtu}


def path_mtu(target: Address, most: int, until: float) -> dict[str, Any]:
    """The largest packet that is answered, and who said that larger ones are too large."""
    least = 576 if target.version == 4 else 1_280
    low, high, said = 0, most + 1, ""
    tries = [least, *packets.between(least, most, SIZES_AT_ONCE - 2), most]
    while tries and time.monotonic() < until:
        told = echoes(target, [(size, 64) for size in tries], 0.0, min(until, time.monotonic() + ROUND))
        for size, one in zip(tries, told, strict=True):
            if one["kind"] == "reply":
                low = max(low, size)
            elif one["kind"] in ("too-big", "refused"):
                said = said or str(one.get("source", HERE))
        high = min([high, *(s for s, one in zip(tries, told, strict=True) if s > low and one["kind"] != "reply")])
        if not low:
            break
        tries = list(packets.between(low, high, SIZES_AT_ONCE))
    return {"mtu": low, "source": said, "sure": not tries or low == most}


def connect(target: Address, port: int, until: float) -> dict[str, Any]:
    """Whether a TCP port is open: a SYN, and a RST after the answer. Once more after a second without one."""
    own, number = random.randrange(32_768, 61_000), random.getrandbits(32)
    found: list[tuple[Heard, float]] = []

    def take(packet: bytes, at: float) -> bool:
        heard = packets.heard(packet, Ours(source, target, ports=(own, port), number=number))
        if heard is not None:
            found.append((heard, at))
        return bool(found)

    with ExitStack() as stack:
        line = Line(target, packets.TCP, stack)
        source = line.source()
        while not found and (began := time.monotonic()) < until:
            if why := line.send(packets.segment(source, target, (own, port), number, packets.SYN)):
                return {"kind": "refused-here", "why": why}
            line.hear(min(until, began + 1.0), take)
        if found and found[0][0].kind == "open":
            line.send(packets.segment(source, target, (own, port), (number + 1) & 0xFFFF_FFFF, packets.RST))
    if not found:
        return {"kind": "", "why": ""}
    heard, at = found[0]
    return {"kind": heard.kind, "source": heard.source, "ms": (at - began) * 1000}

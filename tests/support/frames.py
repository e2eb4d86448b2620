"""Ethernet frames with any tags, sent and seen at one end of a link. Runs where the calling thread is."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence

BROADCAST = b"\xff" * 6
OWN = bytes.fromhex("0666aabbcc")
_SOL_PACKET, _AUXDATA, _FORCED_BUFFER = 263, 8, 33
_STATUS_VLAN, _STATUS_PROTOCOL = 0x10, 0x40
_EVERYTHING = 3
_AUX = struct.Struct("=IIIHHHH")

Tags = Sequence[tuple[int, int]]
"""(protocol, VLAN) from the outside in."""


def q(*vlans: int) -> Tags:
    return [(0x8100, vlan) for vlan in vlans]


def frame(text: bytes, tags: Tags = (), source: int = 1, kind: int = 0x88B5, to: bytes = BROADCAST) -> bytes:
    """A frame of the protocol for experiments, unless another one is asked for. source: the last byte of its MAC."""
    inner = b"".join(struct.pack("!HH", protocol, vlan) for protocol, vlan in tags)
    return to + OWN + bytes([source]) + inner + struct.pack("!H", kind) + text.ljust(46, b"\0")


class End:
    """One end of a link."""

    def __init__(self, link: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        self._socket.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _FORCED_BUFFER, 16 << 20)
        self._socket.bind((link, 0))

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.send(data)

    def receive(self, seconds: float) -> tuple[list[int], bytes] | None:
        """VLANs from the outside in, and the text, of the next frame of ours that came; None when none does."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and select.select([self._socket], [], [], left)[0]:
            data, ancillary, _, address = self._socket.recvmsg(1 << 16, 256)
            if address[2] == socket.PACKET_OUTGOING or data[6:11] != OWN:
                continue
            vlans, rest = [], data[12:]
            for level, kind, aux in ancillary:
                status, *_, tci, _ = _AUX.unpack(aux[: _AUX.size])
                if (level, kind) == (_SOL_PACKET, _AUXDATA) and status & _STATUS_VLAN:
                    vlans.append(tci & 0xFFF)
            while rest[:2] in (b"\x81\x00", b"\x88\xa8"):
                vlans.append(int.from_bytes(rest[2:4], "big") & 0xFFF)
                rest = rest[4:]
            return vlans, rest[2:].rstrip(b"\0")
        return None

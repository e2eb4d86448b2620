"""What no program of a small device tells of its links: their speeds, asked of the kernel (SIOCETHTOOL)."""

from __future__ import annotations

import array
import fcntl
import json
import socket
import struct

_SIOCETHTOOL = 0x8946
_GET_SETTINGS = 0x00000001
_SETTINGS = struct.Struct("=3I H 6B 2I H 2B 3I")
"""struct ethtool_cmd."""
_LOW, _HIGH = 3, 12
_UNKNOWN = 0xFFFF_FFFF


def speeds() -> tuple[str, str, int]:
    """Speeds in Mbit/s of the links of the namespace that the thread is in; a link that has none is left out."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            if (speed := _speed(asked, name)) > 0:
                found[name] = speed
    return json.dumps(found), "", 0


def _speed(asked: socket.socket, name: str) -> int:
    settings = array.array("B", _SETTINGS.pack(_GET_SETTINGS, *([0] * 17)))
    request = struct.pack("16sP", name.encode(), settings.buffer_info()[0])
    try:
        fcntl.ioctl(asked.fileno(), _SIOCETHTOOL, request.ljust(40, b"\0"))
    except OSError:
        return 0
    told = _SETTINGS.unpack(settings.tobytes())
    speed: int = told[_LOW] | told[_HIGH] << 16
    return 0 if speed in (_UNKNOWN, 0xFFFF) else speed

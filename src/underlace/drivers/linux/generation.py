"""How often the rules of the namespace that the thread is in have been changed: the kernel counts transactions.

What was listed at a generation is what the transactions up to it have left, and nobody else's work.
"""

from __future__ import annotations

import os
import socket
import struct

_NETFILTER = 12
_GET, _NEW = 10 << 8 | 16, 10 << 8 | 15
"""NFT_MSG_GETGEN and NFT_MSG_NEWGEN of the nftables subsystem."""
_HEADERS, _NUMBER = struct.Struct("=IHHIIBBH"), struct.Struct("!I")
_REQUEST = _HEADERS.pack(_HEADERS.size, _GET, 1, 0, 0, 0, 0, 0)
_AT = _HEADERS.size + 4
"""Of the number: the first attribute of the answer."""


def generation() -> int:
    """The number of the last transaction. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as kernel:
        kernel.send(_REQUEST)
        answer = kernel.recv(1 << 12)
    if _HEADERS.unpack_from(answer)[1] != _NEW:
        error = -struct.unpack_from("=i", answer, 16)[0]
        raise OSError(error, f"nftables: {os.strerror(error)}")
    number: int = _NUMBER.unpack_from(answer, _AT)[0]
    return number

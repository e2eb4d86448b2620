"""What runs inside a namespace of a lab while a fault is put in or shown. Standard library only.

python -m underlace.lab.faults.inside frames LINK MAC COUNT [BYTES]    sends IPv4 packets that nobody wants
python -m underlace.lab.faults.inside flap LINK SECONDS                takes a link down and up for ever
python -m underlace.lab.faults.inside connect ADDRESS PORT SECONDS     prints "connected", or why not
"""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import time

from underlace.lab.forgery import ipv4

_EXPERIMENT = 253
"""IP protocol number of RFC 3692: no program takes it."""

_FROM, _TO = "192.0.2.251", "192.0.2.252"
"""For documentation: no device has a route back."""


def frames(link: str, mac: str, count: int, size: int = 100) -> None:
    """Send sound packets of a size (at the IP layer) out by a link, to whoever is at its other end."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((link, 0))
        source = raw.getsockname()[4]
        packet = ipv4(_FROM, _TO, _EXPERIMENT, bytes(size - 20))
        for _ in range(count):
            try:
                raw.send(bytes.fromhex(mac.replace(":", "")) + source + b"\x08\x00" + packet)
            except OSError as dropped:
                if dropped.errno != errno.ENOBUFS:  # which the kernel says when the link has not taken it
                    raise


def flap(link: str, seconds: float) -> None:
    """Take a link down and up until this process is killed."""
    while True:
        for state in ("down", "up"):
            subprocess.run(["ip", "link", "set", link, state], check=True)
            time.sleep(seconds)


def connect(address: str, port: int, seconds: float) -> str:
    """How a TCP connection is answered."""
    try:
        socket.create_connection((address, port), seconds).close()
    except OSError as fault:
        return "timed out" if isinstance(fault, TimeoutError) else str(fault.strerror)
    return "connected"


def main(words: list[str]) -> None:
    match words:
        case ["frames", link, mac, count, *size]:
            frames(link, mac, int(count), *map(int, size))
        case ["flap", link, seconds]:
            flap(link, float(seconds))
        case ["connect", address, port, seconds]:
            sys.stdout.write(f"{connect(address, int(port), float(seconds))}\n")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

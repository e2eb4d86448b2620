"""A port scan from where this process is. Standard library only: it runs as a program inside a namespace of a lab.

    python scan.py < {"targets": ["10.0.0.1", "fe80::1%eth1"], "ports": [22], "seconds": 2.0}

Everything at once, one socket each. Its answer is what was answered: {"tcp 10.0.0.1 22": "open", ...}. A refusal is
an answer, too: somebody said no. That a router knows no way is none. An open UDP port that says nothing cannot be
told from a closed guard: a guard that is open shows at the ports behind it that refuse.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

ECHO = {socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0), socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129)}


def place(target: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Family and socket address of a target."""
    kind = socket.SOCK_DGRAM
    family, *_, address = socket.getaddrinfo(target, port, type=kind, flags=socket.AI_NUMERICHOST)[0]
    return socket.AddressFamily(family), address


def attempts(targets: list[str], ports: list[int]) -> Iterator[tuple[str, socket.socket]]:
    """A socket for each target, port and protocol, its question already sent."""
    for target in targets:
        for port in ports:
            family, address = place(target, port)
            for word, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)):
                sock = socket.socket(family, kind)
                sock.setblocking(False)
                try:
                    code = sock.connect_ex(address)
                    if word == "udp":
                        sock.send(b"\r\n\r\n")
                except OSError as fault:
                    code = fault.errno or 0
                if code in (0, errno.EINPROGRESS):
                    yield f"{word} {target} {port}", sock
                else:
                    sock.close()


def told(name: str, sock: socket.socket) -> str:
    """What came back on a socket that is ready; "" when it was only a router that knows no way."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code == errno.ECONNREFUSED:
        return "refused"
    if code == 0 and name.startswith("tcp"):
        return "open"
    if code == 0:
        return "answered"
    return "reset" if code == errno.ECONNRESET else ""


def scan(targets: list[str], ports: list[int], seconds: float) -> dict[str, str]:
    poll, waiting, found = select.poll(), {}, {}
    until = time.monotonic() + seconds
    for name, sock in attempts(targets, ports):
        waiting[sock.fileno()] = name, sock
        poll.register(sock, select.POLLOUT if name.startswith("tcp") else select.POLLIN)
    while waiting and (left := until - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(int(left * 1_000)):
            poll.unregister(descriptor)
            name, sock = waiting.pop(descriptor)
            if what := told(name, sock):
                found[name] = what
            sock.close()
    for _, sock in waiting.values():
        sock.close()
    return found


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def echoes(targets: list[str], seconds: float) -> dict[str, str]:
    """Which targets answer an echo request."""
    raws = {family: socket.socket(family, socket.SOCK_RAW, ECHO[family][0]) for family in ECHO}
    names: dict[bytes, str] = {}
    for number, target in enumerate(targets):
        family, address = place(target, 0)
        mark = struct.pack("!HH", os.getpid() & 0xFFFF, number)
        head = bytes([ECHO[family][1], 0])
        sent = head + struct.pack("!H", checksum(head + b"\0\0" + mark)) + mark
        names[mark] = target
        try:
            raws[family].sendto(sent, address)
        except OSError:
            continue  # no way there
    found = {}
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for raw in select.select(list(raws.values()), [], [], left)[0]:
            data = raw.recv(2_048)
            body = data[(data[0] & 15) * 4 :] if raw.family == socket.AF_INET else data
            if body[0] == ECHO[raw.family][2] and body[4:8] in names:
                found[f"echo {names[body[4:8]]}"] = "answered"
    return found


def main(read: Callable[[], str] = sys.stdin.read) -> None:
    asked = json.loads(read())
    found = scan(asked["targets"], asked["ports"], asked["seconds"])
    print(json.dumps(found | echoes(asked["targets"], asked["seconds"])))


if __name__ == "__main__":
    main()

"""A batch of probes from where this process is: all at once, one socket each. Standard library only.

A probe is a dictionary: id, protocol ("tcp", "udp", "size"), address, and optionally port, source, size, tries,
timeout. Its result is who answered: the name that the responder gives, "" for nobody, or "!" and a reason when
something answered that is not a responder.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Sequence
from typing import Any

PORT = 7000
"""Where every responder of a lab answers, TCP and UDP."""

NOBODY = ""
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _IPV6_DONTFRAG = 10, 23, 62
_PMTUDISC_PROBE = 3
"""Set DF, and take no notice of a smaller path MTU learnt before."""

HEADERS = {socket.AF_INET: 28, socket.AF_INET6: 48}
"""Bytes of IP and UDP headers."""

Probe = dict[str, Any]


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def dont_fragment(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)


class Attempt:
    """One probe under way: an open socket, what it waits for, and until when."""

    def __init__(self, probe: Probe, now: float) -> None:
        self.probe, self.result = probe, NOBODY
        self.address = str(probe["address"])
        self.protocol = str(probe.get("protocol", "tcp"))
        self.stream = self.protocol == "tcp"
        self.until = now + float(probe.get("timeout", 1.0))
        self.tries = int(probe.get("tries", 1))
        self.pause = float(probe.get("timeout", 1.0)) / self.tries
        self.sent = 0
        self.socket = socket.socket(family(self.address), socket.SOCK_STREAM if self.stream else socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    def payload(self) -> bytes:
        size = int(self.probe.get("size", 0))
        text = f"{self.probe['id']} ".encode()
        return text.ljust(size - HEADERS[self.socket.family], b".") if self.protocol == "size" else text

    def start(self) -> bool:
        """Begin; False when it is over already."""
        try:
            if self.protocol == "size":
                dont_fragment(self.socket)
            if source := self.probe.get("source"):
                self.socket.bind((str(source), 0))
            code = self.socket.connect_ex((self.address, int(self.probe.get("port", PORT))))
        except OSError as error:
            return self.failed(error.errno or 0)
        if code not in (0, errno.EINPROGRESS):
            return self.failed(code)
        return self.stream or self.send()

    def send(self) -> bool:
        self.sent += 1
        try:
            self.socket.send(self.payload())
        except OSError as error:
            return self.failed(error.errno or 0)
        return True

    def failed(self, code: int) -> bool:
        """What an error means: the network saying "no way" is nobody; a refusal is somebody. Always False."""
        if code == errno.ECONNREFUSED:
            self.result = "!refused"
        elif code in (errno.ECONNRESET, errno.EPIPE):
            self.result = "!reset"
        elif code == errno.EMSGSIZE:
            self.result = "!too big"
        return False

    def ready(self) -> bool:
        """Something came; True while it must go on."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError as error:
            if not self.stream and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH) and self.sent < self.tries:
                return True
            return self.failed(error.errno or 0)
        if self.protocol == "size" and len(data) != len(self.payload()):
            self.result = f"!{len(data)} bytes"
        else:
            self.result = data.split(b" ", 1)[0].decode(errors="replace") or "!silence"
        return False

    def due(self, now: float) -> bool:
        """Time passes; True while it must go on."""
        if now >= self.until:
            return False
        late = self.until - self.pause * (self.tries - self.sent)
        return self.send() if not self.stream and self.sent < self.tries and now >= late else True


def run(probes: Sequence[Probe]) -> dict[str, str]:
    """Who answered each probe, by its id."""
    now = time.monotonic()
    poll = select.poll()
    waiting: dict[int, Attempt] = {}
    results: dict[str, str] = {}

    def over(attempt: Attempt) -> None:
        results[str(attempt.probe["id"])] = attempt.result
        waiting.pop(attempt.socket.fileno(), None)
        attempt.socket.close()

    for probe in probes:
        attempt = Attempt(probe, now)
        if attempt.start():
            waiting[attempt.socket.fileno()] = attempt
            poll.register(attempt.socket, select.POLLIN)
        else:
            over(attempt)
    while waiting:
        for descriptor, _ in poll.poll(20):
            attempt = waiting[descriptor]
            if not attempt.ready():
                poll.unregister(descriptor)
                over(attempt)
        now = time.monotonic()
        for attempt in [a for a in waiting.values() if not a.due(now)]:
            poll.unregister(attempt.socket)
            over(attempt)
    return results

"""Listening sockets, bound before anything is served; one may live in another network namespace.

A socket keeps the namespace that it was made in. So a thread enters the agents' namespace, binds there and ends; the
controller itself stays where it is, and nothing is routed between the two.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from underlace import syscall
from underlace.model.diagnostic import Diagnostic, Refused, Where

_BACKLOG = 2_048


def split_address(text: str) -> tuple[str, int]:
    """("127.0.0.1", 8443) of "127.0.0.1:8443"; an IPv6 address stands in brackets. Refused for anything else."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
        number = int(port)
        if not 0 <= number <= 65_535:
            raise ValueError
    except ValueError:
        raise Refused([_not_an_address(text)]) from None
    return host, number


def listen(address: str, netns: Path | None = None) -> socket.socket:
    """A bound and listening socket; port 0 picks one. Refused, saying why, when the address cannot be had."""
    host, port = split_address(address)
    try:
        return _bind(host, port) if netns is None else _bind_inside(netns, host, port)
    except OSError as fault:
        raise Refused([_not_bound(address, netns, fault)]) from None


def reachable(bound: socket.socket) -> str:
    """ADDRESS:PORT under which this machine reaches a bound socket: a wildcard is reached by loopback."""
    host, port = bound.getsockname()[:2]
    if ip_address(host).is_unspecified:
        return f"[::1]:{port}" if ":" in host else f"127.0.0.1:{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def names(bound: Iterable[socket.socket]) -> set[str]:
    """What the server certificate must speak for: the bound addresses, and this machine by its own name."""
    addresses = {str(b.getsockname()[0]) for b in bound}
    return {a for a in addresses if not ip_address(a).is_unspecified} | {
        "localhost",
        "127.0.0.1",
        "::1",
        socket.gethostname().lower(),
    }


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if isinstance(ip_address(host), IPv6Address) else socket.AF_INET
    # The protocol is named: asyncio turns Nagle's algorithm off only where it is, else each answer takes 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_inside(netns: Path, host: str, port: int) -> socket.socket:
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def enter_and_bind() -> None:
        try:
            syscall.enter(netns)
            made.append(_bind(host, port))
        except OSError as fault:
            failed.append(fault)

    # The thread ends inside the namespace: it must never go back to a pool, where other work would run in there.
    thread = threading.Thread(target=enter_and_bind, name="bind-in-netns")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def _not_an_address(text: str) -> Diagnostic:
    return Diagnostic(
        Where(),
        "listen-invalid",
        "This is not an address to listen on",
        f"{text!r} is not ADDRESS:PORT with an IP address.",
        "Write for example 127.0.0.1:8443 or [::1]:8443",
    )


def _not_bound(address: str, netns: Path | None, fault: OSError) -> Diagnostic:
    inside = f" in network namespace {netns}" if netns else ""
    return Diagnostic(
        Where(),
        "listen-failed",
        "The controller cannot listen on an address",
        f"{address}{inside}: {fault.strerror or fault}.",
        "Choose another address: underlace up --listen ADDRESS:PORT",
    )

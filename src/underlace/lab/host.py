"""A host of a lab: its namespace's process. It answers with its name, and sends probes when asked. Stdlib only.

TCP and UDP on one port, IPv4 and IPv6: the answer begins with the host's name, so that a caller knows *who* answered
where addresses overlap. A UDP answer is as long as its question and may not be fragmented: full-size packets are
proved both ways.
"""

from __future__ import annotations

import os
import select
import socket

from underlace.lab import channel, forgery, probe

_IP_PKTINFO = 8
_TELL_TARGET = {
    socket.AF_INET: (socket.IPPROTO_IP, _IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
"""Socket options that tell with each datagram which address it came to."""


def _listeners() -> tuple[list[socket.socket], list[socket.socket]]:
    streams, datagrams = [], []
    for family, every in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104  in the host's namespace
        stream = socket.socket(family, socket.SOCK_STREAM)
        datagram = socket.socket(family, socket.SOCK_DGRAM)
        for sock in (stream, datagram):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.dont_fragment(datagram)
        datagram.setsockopt(*_TELL_TARGET[family], 1)
        stream.bind((every, probe.PORT))
        stream.listen(128)
        datagram.bind((every, probe.PORT))
        streams.append(stream)
        datagrams.append(datagram)
    return streams, datagrams


def _greet(stream: socket.socket, name: str) -> None:
    try:
        connection, peer = stream.accept()
        with connection:
            connection.setblocking(False)
            connection.send(f"{name} {peer[0]}".encode())
    except OSError:
        return


def _echo(datagram: socket.socket, name: str, intruders: list[str]) -> None:
    """Answer from the address that was asked: a host may have several."""
    try:
        data, ancillary, _, peer = datagram.recvmsg(1 << 16, socket.CMSG_SPACE(64))
        if data.startswith(forgery.MARK):
            intruders.append(data.removeprefix(forgery.MARK).decode(errors="replace"))
            return
        answer = f"{name} {peer[0]} ".encode().ljust(len(data), b".")[: max(len(data), 64)]
        datagram.sendmsg([answer], [_asked(item) for item in ancillary], 0, peer)
    except OSError:
        return


def _asked(item: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """What makes the kernel send from the address that a datagram came to, by any interface."""
    level, kind, data = item
    if level == socket.IPPROTO_IPV6:
        return level, kind, data[:16] + bytes(4)
    return level, kind, bytes(4) + data[8:12] + bytes(4)  # index 0, ipi_spec_dst = ipi_addr


def _do(asked: channel.Message, intruders: list[str]) -> channel.Message:
    """One request: probes, forged packets or echo requests to send, whether it may send them, or who got through."""
    match asked["do"]:
        case "probe":
            return {"results": probe.run(asked["probes"])}
        case "forge":
            return {"sent": [_forge(**packet) for packet in asked["packets"]]}
        case "echo":
            return {"answered": forgery.echoed(asked["targets"], asked["seconds"])}
        case "may-forge":
            return {"may": forgery.allowed()}
        case "intruders":
            return {"intruders": intruders}
        case other:
            raise ValueError(f"a host cannot {other}")


def _forge(vtep: str, vni: int, text: str, source: str = "") -> bool:
    try:
        forgery.forge(vtep, vni, text, source)
    except OSError:
        return False  # it did not even leave the host
    return True


def _attend(control: socket.socket, intruders: list[str]) -> None:
    """Answer one request in a forked child, so that answering others goes on meanwhile."""
    connection, _ = control.accept()
    with connection:
        if os.fork() != 0:
            return
        try:
            channel.respond(connection, lambda message: _do(message, intruders))
        finally:
            os._exit(0)


def serve(name: str, control: socket.socket) -> None:
    """Answer for ever."""
    intruders: list[str] = []
    streams, datagrams = _listeners()
    poll = select.poll()
    by_descriptor = {s.fileno(): s for s in (*streams, *datagrams, control)}
    for sock in by_descriptor.values():
        poll.register(sock, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            sock = by_descriptor[descriptor]
            if sock is control:
                _attend(control, intruders)
            elif sock in streams:
                _greet(sock, name)
            else:
                _echo(sock, name, intruders)

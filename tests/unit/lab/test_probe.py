"""Probes and the responder that they meet, over this machine's loopback in one process each."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from underlace.lab import channel, forgery, host, probe


@contextmanager
def answering(kind: socket.SocketKind, reply: bytes | None, filled: bool = True) -> Iterator[int]:
    """A port of 127.0.0.1 that gives one reply to each caller, filled up to the question; None answers nothing."""
    server = socket.socket(socket.AF_INET, kind)
    server.bind(("127.0.0.1", 0))
    stopping = threading.Event()
    server.settimeout(0.02)

    def serve() -> None:
        while not stopping.is_set():
            try:
                if kind == socket.SOCK_STREAM:
                    connection, _ = server.accept()
                    with connection:
                        if reply is not None:
                            connection.sendall(reply)
                else:
                    data, peer = server.recvfrom(65_535)
                    if reply is not None:
                        server.sendto(reply.ljust(len(data), b".") if filled else reply, peer)
            except TimeoutError:
                continue

    if kind == socket.SOCK_STREAM:
        server.listen()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        stopping.set()
        thread.join()
        server.close()


def ask(protocol: str, port: int, **more: object) -> str:
    probes = [{"id": "x", "protocol": protocol, "address": "127.0.0.1", "port": port, "timeout": 1.0, **more}]
    return probe.run(probes)["x"]


def test_a_tcp_probe_learns_who_answers() -> None:
    with answering(socket.SOCK_STREAM, b"r1 10.0.0.1") as port:
        assert ask("tcp", port) == "r1"


def test_a_udp_probe_learns_who_answers() -> None:
    with answering(socket.SOCK_DGRAM, b"r1 10.0.0.1 ") as port:
        assert ask("udp", port) == "r1"


def test_a_refusal_is_an_answer() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert ask("tcp", port) == "!refused"
    assert ask("udp", port) == "!refused"


def test_silence_is_nobody() -> None:
    with answering(socket.SOCK_DGRAM, None) as port:
        assert ask("udp", port, timeout=0.1) == probe.NOBODY


def test_no_route_is_nobody() -> None:
    assert probe.run([{"id": "x", "address": "240.0.0.1", "timeout": 0.2}]) == {"x": probe.NOBODY}


def test_a_full_size_answer_must_have_full_size() -> None:
    with answering(socket.SOCK_DGRAM, b"r1 ") as port:
        assert ask("size", port, size=1_500) == "r1"
    with answering(socket.SOCK_DGRAM, b"r1 ", filled=False) as port:
        assert ask("size", port, size=1_500) == "!3 bytes"


def test_a_packet_beyond_the_interface_is_too_big() -> None:
    with answering(socket.SOCK_DGRAM, b"r1 ") as port:
        assert ask("size", port, size=65_537 + 28) == "!too big"


def test_a_lost_datagram_is_sent_again() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.settimeout(2)
        assert ask("udp", deaf.getsockname()[1], timeout=0.3, tries=3) == probe.NOBODY
        received = [deaf.recv(100) for _ in range(3)]
    assert received == [b"x ", b"x ", b"x "]


@pytest.fixture
def responder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host's process on this machine's loopback, with a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(probe, "PORT", free.getsockname()[1])
    monkeypatch.setattr(forgery, "PORT", probe.PORT)
    control = channel.listen(tmp_path / "host.sock")
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            host.serve("h1", control)
        finally:
            os._exit(1)
    yield tmp_path / "host.sock"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    control.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_host_answers_with_its_name(responder: Path, address: str) -> None:
    probes = [
        {"id": p, "protocol": p, "address": address, "port": probe.PORT, "size": 9_000, "timeout": 2.0}
        for p in ("tcp", "udp", "size")
    ]
    answer = channel.request(responder, {"do": "probe", "probes": probes})
    assert answer["results"] == {"tcp": "h1", "udp": "h1", "size": "h1"}


def test_a_host_notices_an_intruder(responder: Path) -> None:
    assert channel.request(responder, {"do": "intruders"})["intruders"] == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(forgery.MARK + b"evil", ("127.0.0.1", probe.PORT))
        # The probe comes after the datagram in the same queue: once it is answered, the datagram was seen.
        asked = [{"id": "u", "protocol": "udp", "address": "127.0.0.1", "port": probe.PORT, "timeout": 2.0}]
        assert channel.request(responder, {"do": "probe", "probes": asked})["results"] == {"u": "h1"}
    assert channel.request(responder, {"do": "intruders"})["intruders"] == ["evil"]


def test_a_host_says_what_it_cannot_do(responder: Path) -> None:
    with pytest.raises(channel.ChannelError, match="cannot dance"):
        channel.request(responder, {"do": "dance"})


def test_forged_vxlan_carries_the_vni_where_rfc_7348_has_it() -> None:
    body = forgery.vxlan(10_203, b"x")
    assert body[0] == 0x08
    assert int.from_bytes(body[4:7], "big") == 10_203
    assert body[8:14] == b"\xff" * 6


def test_an_ip_header_sums_to_zero() -> None:
    packet = forgery.ipv4("10.0.0.1", "10.0.0.2", 17, b"abcd")
    assert forgery._sum(packet[:20]) == 0

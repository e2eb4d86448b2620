"""Packets of probes as bytes, and what is read from those that come back."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from underlace.drivers.linux import packets
from underlace.drivers.linux.packets import Heard, Ours

A4, B4, A6, B6 = map(ip_address, ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"))
C4, C6 = map(ip_address, ("192.0.2.3", "2001:db8::3"))
OURS, PORT = 0x1234, 40_000


def ip(source: object, target: object, protocol: int, inner: bytes) -> bytes:
    """An IP packet; checksums of headers are not looked at."""
    src, dst = ip_address(str(source)), ip_address(str(target))
    if src.version == 4:
        return (
            struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 0, 0, 64, protocol, 0)
            + src.packed
            + dst.packed
            + inner
        )
    return struct.pack("!IHBB", 6 << 28, len(inner), protocol, 64) + src.packed + dst.packed + inner


def icmp(kind: int, code: int, upper: int, lower: int, data: bytes = b"") -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, upper, lower) + data


def heard(packet: bytes) -> Heard | None:
    source, target = (A4, B4) if packet[:1] < b"\x60" else (A6, B6)
    return packets.heard(packet, Ours(source, target, OURS, (PORT, 80), 5))


@pytest.mark.parametrize(("version", "size"), [(4, 84), (4, 1_500), (6, 1_280), (4, 0)])
def test_an_echo_has_the_size_that_was_asked_for(version: int, size: int) -> None:
    made = packets.echo(version, OURS, 7, size)
    assert len(made) == max(8, size - packets.HEADERS[version] + 8)
    assert struct.unpack("!HH", made[4:8]) == (OURS, 7)
    assert version == 6 or packets.checksum(made) == 0


@pytest.mark.parametrize(("source", "target"), [(A4, B4), (A6, B6)])
def test_a_segment_sums_up(source: packets.Address, target: packets.Address) -> None:
    made = packets.segment(source, target, (PORT, 80), 5, packets.SYN)
    rest = struct.pack("!BBH", 0, 6, 20) if source.version == 4 else struct.pack("!II", 20, 6)
    assert packets.checksum(source.packed + target.packed + rest + made) == 0
    assert struct.unpack("!HHI", made[:8]) == (PORT, 80, 5)
    assert made[13] == packets.SYN


def test_replies() -> None:
    assert heard(ip(B4, A4, 1, icmp(0, 0, OURS, 7))) == Heard("reply", "192.0.2.2", 7)
    assert heard(ip(B6, A6, 58, icmp(129, 0, OURS, 7))) == Heard("reply", "2001:db8::2", 7)
    assert heard(ip(B4, A4, 1, icmp(0, 0, OURS + 1, 7))) is None
    assert heard(ip(B4, A4, 1, icmp(8, 0, OURS, 7))) is None, "a request of somebody else"


@pytest.mark.parametrize(
    ("version", "kind", "code", "upper", "lower", "wanted", "mtu"),
    [
        (4, 11, 0, 0, 0, "exceeded", 0),
        (4, 3, 1, 0, 0, "unreachable", 0),
        (4, 3, 4, 0, 1_400, "too-big", 1_400),
        (6, 3, 0, 0, 0, "exceeded", 0),
        (6, 1, 3, 0, 0, "unreachable", 0),
        (6, 2, 0, 0, 1_400, "too-big", 1_400),
        (6, 2, 0, 1, 0, "too-big", 65_536),
    ],
)
def test_errors_that_quote_an_echo(
    version: int, kind: int, code: int, upper: int, lower: int, wanted: str, mtu: int
) -> None:
    a, b, protocol = (A4, B4, 1) if version == 4 else (A6, B6, 58)
    quoted = ip(a, b, protocol, packets.echo(version, OURS, 9, 84))[:60]
    others = ip(a, b, protocol, packets.echo(version, OURS + 1, 9, 84))
    found = heard(ip(b, a, protocol, icmp(kind, code, upper, lower, quoted)))
    assert found == Heard(wanted, str(b), 9, mtu)
    assert heard(ip(b, a, protocol, icmp(kind, code, upper, lower, others))) is None


@pytest.mark.parametrize(("version", "a", "b", "other"), [(4, A4, B4, C4), (6, A6, B6, C6)])
def test_what_is_said_to_or_by_others_is_none_of_ours(
    version: int, a: packets.Address, b: packets.Address, other: packets.Address
) -> None:
    """A device forwards the answers of others, with numbers that may be ours by chance."""
    protocol, reply = packets.PROTOCOL[version], icmp(packets.REPLY[version], 0, OURS, 7)
    assert heard(ip(b, a, protocol, reply))
    assert heard(ip(other, a, protocol, reply)) is None
    assert heard(ip(b, other, protocol, reply)) is None

    def error(quoted_from: object, quoted_to: object, to: object = a) -> bytes:
        quoted = ip(quoted_from, quoted_to, protocol, packets.echo(version, OURS, 9, 84))
        return ip(other, to, protocol, icmp(packets.EXCEEDED[version], 0, 0, 0, quoted))

    assert heard(error(a, b)) == Heard("exceeded", str(other), 9), "anybody on the way may say so"
    assert heard(error(a, other)) is None
    assert heard(error(other, b)) is None
    assert heard(error(a, b, to=other)) is None


def answer(
    flags: int, to: int = PORT, by: object = B4, at: object = A4, port: int = 80, acknowledged: int = 6
) -> bytes:
    return ip(by, at, 6, struct.pack("!HHIIBBHHH", port, to, 1, acknowledged, 0x50, flags, 0, 0, 0))


def test_segments() -> None:
    assert heard(answer(packets.SYN | packets.ACK)) == Heard("open", "192.0.2.2", 80)
    assert heard(answer(packets.RST | packets.ACK)) == Heard("refused", "192.0.2.2", 80)
    assert heard(answer(packets.ACK)) is None
    assert heard(answer(packets.SYN | packets.ACK, to=PORT + 1)) is None
    for others in ({"by": C4}, {"at": C4}, {"port": 81}, {"acknowledged": 7}):
        assert heard(answer(packets.RST | packets.ACK, **others)) is None, others  # type: ignore[arg-type]
    quoted = ip(A4, B4, 6, packets.segment(A4, B4, (PORT, 80), 5, packets.SYN))[:28]
    assert heard(ip(B4, A4, 1, icmp(3, 13, 0, 0, quoted))) == Heard("unreachable", "192.0.2.2", 80)


def test_whatever_else_arrives_is_none_of_ours() -> None:
    whole = ip(B4, A4, 1, icmp(3, 4, 0, 1_400, ip(A4, B4, 1, packets.echo(4, OURS, 9, 84))[:28]))
    for end in range(len(whole)):
        heard(whole[:end])  # cut anywhere, it is read or passed over
    for odd in (b"", b"\0" * 60, b"\xff" * 60, b"\x4f" + b"\xff" * 59, ip(B6, A6, 44, b"\0" * 40)):
        assert heard(odd) is None


def test_sizes_between_two() -> None:
    assert list(packets.between(10, 14, 12)) == [11, 12, 13]
    assert list(packets.between(10, 11, 12)) == []
    some = list(packets.between(1_280, 9_216, 10))
    assert len(some) == 10
    assert 1_280 < some[0] < some[-1] < 9_216

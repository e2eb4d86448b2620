"""Whose fault it is when a program refuses a line; reading `ip`'s JSON."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from underlace.drivers.linux import kernel, programs
from underlace.drivers.linux.native import Address, Bridge, Pair, Placement, PortLink, Route, Vxlan
from underlace.drivers.linux.programs import Answer, Command, Refusal

COMMANDS = [Command(f"line {n}", ("thing", str(n))) for n in range(4)]

Answers = Callable[[Answer], None]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What the next program says."""

    def say(answer: Answer) -> None:
        monkeypatch.setattr(programs, "run", lambda arguments, stdin="": answer)

    return say


def refusal(work: Callable[[], None]) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        work()
    return caught.value.command.key[1], caught.value.answer


def test_ip_names_the_line(answers: Answers) -> None:
    answers(Answer(1, "", "RTNETLINK answers: File exists\nCommand failed -:3\n"))
    assert refusal(lambda: programs.ip_batch(COMMANDS)) == ("2", "RTNETLINK answers: File exists")


def test_ip_that_names_only_a_word(answers: Answers) -> None:
    answers(Answer(1, "", 'Error: argument "3" is wrong: Device does not exist\n'))
    assert refusal(lambda: programs.ip_batch(COMMANDS))[0] == "3"


def test_a_long_batch_is_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second part is refused: its line is found, and no third part is tried."""
    monkeypatch.setattr(programs, "BATCH", 2)
    said: list[str] = []

    def run(arguments: list[str], stdin: str) -> Answer:
        said.append(stdin)
        return Answer(len(said) - 1, "", "RTNETLINK answers: File exists\nCommand failed -:1\n")

    monkeypatch.setattr(programs, "run", run)
    assert refusal(lambda: programs.ip_batch([*COMMANDS, COMMANDS[0]]))[0] == "2"
    assert said == ["line 0\nline 1\n", "line 2\nline 3\n"]


def test_nft_counts_lines(answers: Answers) -> None:
    several = [Command("table {\n}\n", ("thing", "long")), Command("add element", ("thing", "short"))]
    answers(Answer(1, "", "/dev/stdin:4:39-46: Error: Could not process rule: No such file or directory\n"))
    assert refusal(lambda: programs.nft(several))[0] == "short"


def test_vtysh_stops_at_the_refused_line(answers: Answers) -> None:
    said = "leaf1# configure terminal\nleaf1(config)# line 0\nleaf1(config-router-af)# line 1\n% Malformed\n"
    answers(Answer(13, said, ""))
    assert refusal(lambda: programs.vtysh(COMMANDS)) == ("1", "% Malformed")


def test_vtysh_that_refuses_without_a_sign(answers: Answers) -> None:
    answers(Answer(1, "leaf1# configure terminal\nleaf1(config)# line 0\nBGP is already running; AS is 1\n", ""))
    assert refusal(lambda: programs.vtysh(COMMANDS)) == ("0", "BGP is already running; AS is 1")


def test_vtysh_without_daemons(answers: Answers) -> None:
    answers(Answer(1, "", "Exiting: failed to connect to any daemons.\n"))
    assert "failed to connect" in refusal(lambda: programs.vtysh(COMMANDS))[1]


def test_a_program_that_hangs_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LIMIT", 0.01)
    with pytest.raises(OSError, match="did not end"):
        programs.run(["sleep", "5"])


def settings(link: str, paths: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((path, "0") for path in paths)


LINKS = """[
 {"ifname":"lo","flags":["LOOPBACK","UP"],"mtu":65536,
  "addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"},
               {"family":"inet","local":"10.255.0.1","prefixlen":32,"scope":"global"}]},
 {"ifname":"br10101","flags":["UP"],"mtu":9000,"address":"02:00:5e:00:01:01","linkinfo":{"info_kind":"bridge"},
  "addr_info":[{"local":"fe80::1","prefixlen":64,"scope":"link"},{"local":"10.1.1.1","prefixlen":24,"scope":"global"}]},
 {"ifname":"vni10101","flags":["UP"],"mtu":9000,"master":"br10101","link_netnsid":0,
  "linkinfo":{"info_kind":"vxlan","info_data":{"id":10101,"local":"10.255.0.1","port":4789,"learning":false},
              "info_slave_kind":"bridge","info_slave_data":{"learning":false,"neigh_suppress":true}},"addr_info":[]},
 {"ifname":"swp2","flags":["UP"],"mtu":1500,"master":"br10101","linkinfo":{"info_kind":"veth"},
  "addr_info":[{"local":"fe80::5","prefixlen":64,"scope":"link"}]},
 {"ifname":"docker0","flags":["UP"],"mtu":1500,"linkinfo":{"info_kind":"bridge"},
  "addr_info":[{"local":"172.17.0.1","prefixlen":16,"scope":"global"}]}
]"""


def test_links_of_a_vrf() -> None:
    found = list(kernel.links("vpc-1", kernel.decode_links(LINKS), settings))
    held = settings("", kernel.BRIDGE_SETTINGS)
    assert found == [
        Address("vpc-1", "lo", "10.255.0.1/32"),
        Bridge("vpc-1", "br10101", "02:00:5e:00:01:01", 9000, held),
        Address("vpc-1", "br10101", "fe80::1/64"),
        Address("vpc-1", "br10101", "10.1.1.1/24"),
        Vxlan("vpc-1", "vni10101", 10101, "10.255.0.1", 9000),
        Placement("vpc-1", "swp2"),
        PortLink("vpc-1", "swp2", True, 1500, "br10101", settings("", kernel.PORT_SETTINGS)),
    ]


def test_a_port_of_the_underlay_is_ours_by_its_mark() -> None:
    def ports(text: str) -> list[str]:
        items = kernel.links("", kernel.decode_links(text), settings)
        return [item.port for item in items if isinstance(item, Placement)]

    assert ports(LINKS) == []
    assert ports(LINKS.replace('"ifname":"swp2"', '"ifname":"swp2","ifalias":"underlace"')) == ["swp2"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"master":"br10101","link_netnsid"', '"master":"br7","link_netnsid"'),
        ('"neigh_suppress":true', '"neigh_suppress":false'),
        ('"info_slave_data":{"learning":false', '"info_slave_data":{"learning":true'),
        ('"link_netnsid":0,', ""),
        ('"port":4789', '"port":8472'),
    ],
)
def test_a_tunnel_that_is_not_as_it_should_shows(old: str, new: str) -> None:
    assert old in LINKS
    found = list(kernel.links("vpc-1", kernel.decode_links(LINKS.replace(old, new)), settings))
    assert Vxlan("vpc-1", "vni10101", 10101, "10.255.0.1", 9000) not in found
    assert [item for item in found if isinstance(item, Vxlan)]


def end(netns: str, side: int | None, ready: bool = True) -> kernel.PairEnd:
    return kernel.PairEnd(7, netns, side, 9166, ready)


def test_pairs_from_their_ends() -> None:
    assert list(kernel.pairs([end("vpc-1", 1), end("vpc-2", 0)])) == [Pair(7, "vpc-2", "vpc-1", 9166)]
    assert list(kernel.pairs([end("vpc-1", None, False), end("vpc-2", 0)])) == [
        Pair(7, "vpc-2", "vpc-1", 9166, False)
    ]
    assert list(kernel.pairs([end("vpc-1", 0)])) == [Pair(7, "vpc-1", "?", 9166, False)]


def test_routes_of_a_peering() -> None:
    said = """[{"dst":"default","via":{"family":"inet6","host":"fe80::1:7:1"},"dev":"pr7"},
               {"dst":"10.9.0.1","via":{"family":"inet6","host":"fe80::1:7:1"},"dev":"pr7"},
               {"dst":"10.8.0.0/16","gateway":"10.0.0.1","dev":"eth0"}]"""
    found = kernel.routes("vpc-1", kernel.decode_routes(said, "0.0.0.0/0"), {(7, "vpc-1"): ("vpc-2", 0)})
    assert list(found) == [
        Route("vpc-1", "0.0.0.0/0", "vpc-2", 7, 0, "fe80::1:7:1"),
        Route("vpc-1", "10.9.0.1/32", "vpc-2", 7, 0, "fe80::1:7:1"),
    ]

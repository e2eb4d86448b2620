"""What an upstream router is told to run."""

from __future__ import annotations

from pathlib import Path

from underlace.lab import intent, router
from underlace.lab.build import with_timers
from underlace.lab.topology import topology

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"


def test_an_upstream_router_mirrors_the_bgp_peer() -> None:
    lab = topology(intent.read(QUICKSTART))
    text = router.bgpd(lab.routers["isp1"], lab.sessions["isp1"], lab.played["isp1"])
    assert text.startswith("router bgp 64496\n bgp router-id 192.0.2.1\n")
    assert " neighbor 192.0.2.0 remote-as 64500\n" in text
    assert " neighbor 2001:db8:ffff:: bfd profile lab\n" in text
    ipv4, ipv6 = text.split(" address-family ")[1:]
    assert "  network 0.0.0.0/0\n  network 198.51.100.1/32\n  neighbor 192.0.2.0 activate\n" in ipv4
    assert "2001" not in ipv4
    assert "  network ::/0\n" in ipv6


def test_a_router_without_sessions_runs_no_bgp() -> None:
    lab = topology(intent.read(QUICKSTART))
    assert router.bgpd(lab.routers["isp1"], (), lab.played["isp1"]) == ""


def test_the_lab_s_bfd_timers_go_into_the_built_in_profile() -> None:
    (added,) = with_timers([], 300)
    assert added["kind"] == "profile"
    assert added["name"] == "default"
    assert added["spec"]["underlay"]["bfd"] == {"transmit": 300, "receive": 300, "multiplier": 3}


def test_timers_that_intent_sets_are_kept() -> None:
    mine = {"kind": "profile", "name": "default", "spec": {"underlay": {"bfd": {"transmit": 50}, "mtu": 9_100}}}
    bare = {"kind": "profile", "name": "slow", "spec": {}}
    kept, filled = with_timers([mine, bare], 300)
    assert kept == mine
    assert filled["spec"]["underlay"]["bfd"]["transmit"] == 300
    assert bare["spec"] == {}, "the caller's documents are not changed"

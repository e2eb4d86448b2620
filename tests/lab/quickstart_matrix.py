"""Who answers whom in examples/quickstart, written by hand: a second opinion beside `lab/expect.py` and the wire.

red     r1, r2 (web), r3 (db)       the same addresses as blue: only the name in the answer tells them apart
blue    b1, b2 (web), b3 (db)       b2 and b3 also share a segment without a gateway
shared  s1, s2                      peered with red, and with nobody else
border  d1, d2 (dmz)                public; the upstream routers isp1 and isp2
"""

ADDRESSES = {
    "r1": ("10.1.1.11", "2001:db8:1:1::11"),
    "r2": ("10.1.1.12", "2001:db8:1:1::12"),
    "r3": ("10.1.2.13", "2001:db8:1:2::13"),
    "b1": ("10.1.1.11", "2001:db8:1:1::11"),
    "b2": ("10.1.1.12", "2001:db8:1:1::12"),
    "b3": ("10.1.2.13", "2001:db8:1:2::13"),
    "s1": ("10.9.1.11", "2001:db8:9:1::11"),
    "s2": ("10.9.2.12", "2001:db8:9:2::12"),
    "d1": ("203.0.113.11", "2001:db8:d::11"),
    "d2": ("203.0.113.12", "2001:db8:d::12"),
    "isp1": ("198.51.100.1", "2001:db8:beef::1"),
    "isp2": ("198.51.100.2", "2001:db8:beef::2"),
}

HEARTBEAT = {"b2": "192.168.77.2", "b3": "192.168.77.3"}

REACHES = {
    "r1": "r2 r3 s1 s2",
    "r2": "r1 r3 s1 s2",
    "r3": "r1 r2 s1 s2",
    "b1": "b2 b3",
    "b2": "b1 b3",
    "b3": "b1 b2",
    "s1": "s2 r1 r2 r3",
    "s2": "s1 r1 r2 r3",
    "d1": "d2 isp1 isp2",
    "d2": "d1 isp1 isp2",
    "isp1": "d1 d2",
    "isp2": "d1 d2",
}


def matrix() -> dict[tuple[str, str], str]:
    """(from, to address) -> who answers, "" for nobody; no entry for an own address."""
    every = {a for addresses in ADDRESSES.values() for a in addresses} | set(HEARTBEAT.values())
    found = {}
    for source, own in ADDRESSES.items():
        for address in every - set(own) - {HEARTBEAT.get(source, "")}:
            found[source, address] = ""
        for name in REACHES[source].split():
            for address in ADDRESSES[name]:
                found[source, address] = name
    found["b2", HEARTBEAT["b3"]] = "b3"
    found["b3", HEARTBEAT["b2"]] = "b2"
    return found

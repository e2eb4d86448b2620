"""What a device can do, as a value: the compiler gets it and names no OS."""

from __future__ import annotations

import msgspec


class Capabilities(msgspec.Struct, frozen=True, omit_defaults=True):
    """Features and budgets of a device OS at a version. `why` explains a missing feature in a plan's refusal."""

    os: str
    version: str = ""
    max_vrfs: int = 1_000
    max_underlay_mtu: int = 9_216
    tagged_ports: bool = False
    lags: bool = False
    closed_underlay: bool = True
    vrf_maximum_paths: int = 1
    why: dict[str, str] = {}

"""What FRR on Linux can do, by version of FRR."""

from __future__ import annotations

import re

from underlace.model.capability import Capabilities

OLDEST = "8.4"


def capabilities(version: str = "") -> Capabilities:
    """version: of FRR, as the device says it."""
    number = re.match(r"\d{1,4}(?=\.|$)", version or OLDEST)
    major = int(number[0]) if number else 8  # nothing is expected of a release that cannot be told
    return Capabilities(
        os="linux",
        version=version or OLDEST,
        max_vrfs=1_000,
        max_underlay_mtu=9_216,
        tagged_ports=True,
        lags=True,
        closed_underlay=True,
        vrf_maximum_paths=16 if major >= 10 else 1,
        why={
            "vrf_maximum_paths": "FRR below 10 loses the router MAC of the next hop that remains (FRR issue 14108)",
            "max_vrfs": "each VRF is a network namespace, and FRR sees them more slowly the more there are",
        },
    )

"""What hosts do to each other and what the device cannot do, as warnings that stand in the report while it is so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from underlace.agent.apply import DeviceFault
from underlace.agent.ledger import FINDINGS_MAX
from underlace.agent.parts import Parts
from underlace.drivers.protocol import Duplicate
from underlace.model.diagnostic import Diagnostic, Severity, Where

SHOWN = 10
"""Addresses of a V-Net, and MAC addresses of an address, that are named one by one: hosts can make up any number."""


def watch(parts: Parts) -> None:
    """Have the next report say which addresses several hosts claim and what the device lacks, and the log when that
    begins."""
    found = sorted(parts.applier.duplicates())
    lasting = [_finding(parts, list(of_one)) for _, of_one in groupby(found, lambda one: (one.vrf, one.vni))]
    for one in parts.ledger.lasting("neighbourhood", [*_lacking(parts), *lasting][:FINDINGS_MAX]):
        parts.log.finding(one)


def _lacking(parts: Parts) -> list[Diagnostic]:
    try:
        lacks = parts.applier.lacks()
    except DeviceFault:
        return []  # it could not be tried: nobody knows, and an apply that needs it will tell
    device = parts.config.device
    return [
        Diagnostic(
            Where(device=device, pointer=f"/{feature}"),
            "device-cannot",
            "A device cannot do all that its operating system can.",
            why,
            "Nothing, as long as no intent needs it: plans refuse what does. Else give the device what it lacks.",
            Severity.WARNING,
        )
        for feature, why in sorted(lacks.items())
    ]


def _finding(parts: Parts, of_one: Sequence[Duplicate]) -> Diagnostic:
    vrf, vni = of_one[0].vrf, of_one[0].vni
    more = f" And {len(of_one) - SHOWN} more addresses." if len(of_one) > SHOWN else ""
    return parts.finding(
        "address-claimed-twice",
        "Several hosts of a V-Net claim one address.",
        f"On {parts.config.device}, in VNI {vni} of VRF {vrf}: {'; '.join(map(_words, of_one[:SHOWN]))}.{more}",
        "Find the hosts by their MAC addresses and give one of them another address. An address that has moved to "
        "another host (a new network card, a virtual address that failed over) is named for some minutes.",
        Severity.WARNING,
    )


def _words(one: Duplicate) -> str:
    macs = " and ".join(one.macs[:SHOWN])
    more = f" and {len(one.macs) - SHOWN} more" if len(one.macs) > SHOWN else ""
    return f"{one.address} is claimed by {macs}{more}"

"""What a change says of documents with faults of form, which therefore cannot be part of the candidate.

The others are examined without them, so that all faults are told at once. References to them lead somewhere, and what
may seem wrong only because they are missing, or because the store still holds what they replace, is not told: it
would send people to the wrong line. A finding too few is told the next time; the change is refused in any case.
"""

from __future__ import annotations

from collections.abc import Iterable

from underlace.controller.run import Run
from underlace.model.diagnostic import Diagnostic

_MISSING = {
    "allocation": ("subnet-outside-allocation",),
    "subnet": (
        "announces-no-subnet",
        "gateway-outside-subnet",
        "gateway-prefix-length",
        "loopback-outside-subnet",
        "no-loopback-subnet",
        "peering-prefix-outside",
        "subnet-not-at-site",
    ),
}
"""By kind: codes of findings about others that are there because a resource of the kind is not."""

_OUTDATED = {
    "profile": ("link-mtu-too-small", "mtu-too-large"),
    "site": ("anycast-mac-differs", "asn-is-public", "fabric-as-differs", "not-external"),
    "subnet": ("overlaps-underlay", "peering-overlap"),
    "switch": ("mtu-too-large", "no-such-port", "not-a-leaf"),
    "vnet": ("mtu-too-large",),
}
"""By kind: codes of findings about others that are there because a resource of the kind is as it was."""


def reliable(run: Run, found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings of the kinds' rules that hold whatever the unread documents say."""
    if not run.unread:
        return list(found)
    codes = {code for ref in run.unread for code in _MISSING.get(ref.kind, ())}
    codes |= {c for ref in run.unread if run.view.get(ref) is not None for c in _OUTDATED.get(ref.kind, ())}
    fields = _fields(run)
    return [d for d in found if d.code not in codes and (d.where.resource, d.where.pointer) not in fields]


def _fields(run: Run) -> set[tuple[str, str]]:
    """(resource, pointer) of the fields that name something unread."""
    return {
        (str(r.ref), reference.pointer)
        for r in run.live.values()
        for reference in run.refs(r)
        if reference.target in run.unread
    }

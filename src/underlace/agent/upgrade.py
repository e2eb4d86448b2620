"""An agent that renders the confirmed state otherwise than the one before it: law 10.

    start ──► rendered as it was? ── yes, or the device was rebooted ──► hold it; what differs is put back
                    │ no
                    ▼
              leave the device as it is, hold *that*, and say so in every report
                    │
                    ▼ the next manifest, or SIGHUP
              apply it, on trial like any other; a revert goes back to what was found

What a reboot has cleared needs no protection, so an upgrade that waits ends with it.
"""

from __future__ import annotations

import hashlib

import msgspec

from underlace.agent.apply import DeviceFault
from underlace.agent.cache import Rendered
from underlace.agent.desired import Desired
from underlace.agent.parts import Parts
from underlace.diff.change import changes
from underlace.drivers.protocol import Items
from underlace.model.diagnostic import Severity

SHOWN = 5
"""Items that are named one by one."""

_ABOUT = "upgrade"
_encoder = msgspec.json.Encoder(order="deterministic")


def digest(items: Items) -> str:
    """A name for native items, equal on every machine."""
    return hashlib.sha256(_encoder.encode([(key, items[key]) for key in sorted(items)])).hexdigest()


class Upgrade:
    """pending: what the device held when this agent found it, while an upgrade waits; else None."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.pending: Items | None = None

    def look(self, good: Desired, found: Items) -> None:
        """After a start: whether the confirmed state is rendered otherwise now. found: all that the device holds."""
        parts = self._parts
        kept = parts.cache.rendered()
        parts.tell_cache()
        if kept is None or kept.digest == digest(good.items):
            return
        differ = changes(found, good.items)
        if not differ or kept.life != self._life():
            return
        self.pending = dict(found)
        names = ", ".join("/".join(change.key) for change in differ[:SHOWN])
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        finding = parts.finding(
            "upgrade-pending",
            "This release of the agent configures the device otherwise; the device was left as it is.",
            f"{parts.config.device} differs from how revision {good.manifest.revision} is configured now: "
            f"{names}{more}.",
            "The next change of this device brings it, on trial. To bring it at once, on the device: "
            "systemctl reload underlace-agent.",
            Severity.WARNING,
        )
        for one in parts.ledger.lasting(_ABOUT, [finding]):
            parts.log.finding(one)

    def mark(self, desired: Desired) -> None:
        """The device holds the confirmed state, or one about to be, as this agent renders it. Raises OSError."""
        now = Rendered(digest(desired.items), self._life())
        if now != self._parts.cache.rendered():
            self._parts.cache.mark_rendered(now)

    def done(self) -> None:
        """Nothing waits any more."""
        self.pending = None
        self._parts.ledger.lasting(_ABOUT, ())

    def _life(self) -> str:
        try:
            return self._parts.applier.life()
        except DeviceFault:
            return ""  # no life: what is noted now protects nothing, as without a note

"""What the controller has yet to hear: the state of the device, and everything found since the last report."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from underlace import __version__
from underlace.model.diagnostic import Diagnostic
from underlace.model.wire import Manifest, Outcome, Report

FINDINGS_MAX = 100
"""Diagnostics kept for one report; a device without its controller may find things for weeks. The latest stay."""


class Ledger:
    """Collects until `delivered`. `due` says that there is something to tell. What goes on is in every report until
    it ends: the controller keeps the last report and nothing else."""

    def __init__(self, device: str, driver: str, simulated: bool) -> None:
        self._device, self._driver, self._simulated = device, driver, simulated
        self._outcome: Outcome | None = None
        self._manifest: Manifest | None = None
        self._drift: set[str] = set()
        self._found: dict[Diagnostic, None] = {}
        self._lasting: dict[str, tuple[Diagnostic, ...]] = {}
        self.os_version = ""
        self.rejected = ""
        self.due = False

    @property
    def outcome(self) -> Outcome | None:
        return self._outcome

    def state(self, outcome: Outcome, manifest: Manifest | None) -> None:
        """What the device holds now: `manifest`, or for None nothing that has a name."""
        self._outcome, self._manifest = outcome, manifest
        self.due = True

    def add(self, found: Iterable[Diagnostic]) -> None:
        for one in found:
            self._found.pop(one, None)  # said again: it counts as the latest
            self._found[one] = None
            self.due = self.due or self._outcome is not None
        while len(self._found) > FINDINGS_MAX:
            del self._found[next(iter(self._found))]

    def lasting(self, about: str, found: Iterable[Diagnostic]) -> list[Diagnostic]:
        """All that goes on at the moment about something. What of it is new."""
        before, now = self._lasting.get(about, ()), tuple(found)
        self._lasting[about] = now
        self.due = self.due or (now != before and self._outcome is not None)
        return [one for one in now if one not in before]

    def drifted(self, scopes: Iterable[str]) -> None:
        self._drift.update(scopes)
        self.due = self.due or bool(self._drift)

    def again(self) -> None:
        """Say the state once more: the controller may have missed it."""
        self.due = self._outcome is not None

    def report(self) -> Report:
        """All of it. There must be a state."""
        assert self._outcome is not None
        manifest = self._manifest
        return Report(
            device=self._device,
            outcome=self._outcome,
            revision=manifest.revision if manifest else 0,
            digest=manifest.digest if manifest else "",
            scopes=dict(manifest.scopes) if manifest else {},
            agent_version=__version__,
            driver=self._driver,
            os_version=self.os_version,
            rejected=self.rejected,
            drift=tuple(sorted(self._drift)),
            diagnostics=(*chain.from_iterable(self._lasting.values()), *self._found),
            simulated=self._simulated,
        )

    def delivered(self) -> None:
        """The last report has arrived."""
        self._drift.clear()
        self._found.clear()
        self.due = False

"""What the agent's steps share: settings, disk, device, controller and time. Tests exchange any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from underlace.agent.apply import Applier
from underlace.agent.cache import Cache
from underlace.agent.client import Controller
from underlace.agent.clock import Clock
from underlace.agent.config import AgentConfig
from underlace.agent.ledger import Ledger
from underlace.agent.log import Log
from underlace.drivers.protocol import Driver
from underlace.model.diagnostic import Diagnostic, Severity, Where


@dataclass(slots=True)
class Parts:
    """restart: restarts the routing service, or None. stopping: the agent was asked to end."""

    config: AgentConfig
    driver: Driver
    applier: Applier
    cache: Cache
    controller: Controller
    clock: Clock
    ledger: Ledger
    log: Log
    restart: Callable[[], None] | None = None
    stopping: bool = field(default=False)

    def tell(self, *found: Diagnostic) -> None:
        """Log findings, and have the next report name them."""
        for one in found:
            self.log.finding(one)
        self.ledger.add(found)

    def tell_cache(self) -> None:
        """The findings of the cache."""
        self.tell(*self.cache.found)
        self.cache.found.clear()

    def finding(
        self, code: str, summary: str, detail: str, remedy: str, severity: Severity = Severity.ERROR
    ) -> Diagnostic:
        return Diagnostic(Where(device=self.config.device), code, summary, detail, remedy, severity)

    def disk_fault(self, what: str, error: OSError) -> Diagnostic:
        return self.finding(
            "agent-disk-failed",
            "The agent cannot write to its state directory.",
            f"{self.config.device} cannot {what} in {self.config.state_dir}: {error}",
            "Free space on the device's disk, or mend it; the agent tries again by itself.",
        )

"""Injecting a fault, undoing it, and saying what is broken now."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from underlace.lab.fabric import Fabric, wait_for
from underlace.lab.fault import LabError, near
from underlace.lab.faults import pace
from underlace.lab.faults.base import Agent, Fault, Plan, agent_of
from underlace.lab.faults.ledger import Active, Ledger, locked
from underlace.lab.faults.registry import FAULTS
from underlace.lab.namespace import CommandFailed
from underlace.lab.place import command
from underlace.model.diagnostic import shortened

_MEND_SLACK = 30.0
"""Seconds that an agent may take beyond its interval until a fault is mended."""


class Row(NamedTuple):
    """An active fault as it is now. proof: "" when nothing shows it any more."""

    fault: Active
    proof: str

    def json(self) -> dict[str, Any]:
        state = "in effect" if self.proof else "not in effect"
        one = self.fault
        return {
            "id": one.id,
            "fault": one.name,
            "target": one.target,
            "state": state,
            "proof": self.proof,
            "held": list(one.held),
            "seconds": round(time.time() - one.at, 1),
        }


def chosen(name: str) -> Fault:
    """The fault of a name. Raises LabError."""
    if name not in FAULTS:
        raise LabError(f"there is no fault {shortened(name)}", near(name, FAULTS))
    return FAULTS[name]


def bound(fault: Fault, words: Sequence[str]) -> dict[str, str]:
    """The words by the names of the fault's parameters. Raises LabError when there are too few or too many."""
    wanted = fault.parameters
    if len(words) > len(wanted) or any(p.default is None for p in wanted[len(words) :]):
        said = "; ".join(f"{p.name}: {p.help}" for p in wanted) or "It takes no words."
        raise LabError(f"the fault is put in as: {fault.usage}", said)
    given = dict(zip((p.name for p in wanted), words, strict=False))
    return {p.name: given.get(p.name, p.default or "") for p in wanted}


def inject(fabric: Fabric, name: str, words: Sequence[str], hold: bool = True) -> Active:
    """Put a fault into a lab and wait until it shows. hold: keep agents from mending it. Raises LabError."""
    fault = chosen(name)
    with locked(fabric.state.directory) as ledger:
        given = bound(fault, words)
        _refuse_again(fabric, ledger, name, tuple(given.values()))
        plan = fault.plan(fabric, given)
        active = Active(
            f"{name}:{plan.target}" if plan.target else name,
            name,
            plan.target,
            tuple(given.values()),
            plan.kept,
            plan.claims,
            plan.devices,
            plan.devices if hold and fault.agent in (Agent.MENDS, Agent.DISTURBS) else (),
            time.time(),
        )
        _refuse(fabric, ledger, active)
        ledger.put(active)
        try:
            _pace(fabric, ledger)
            fault.inject(fabric, plan.kept)
            active = active._replace(proof=_shown(fabric, fault, plan))
        except BaseException:
            with suppress(LabError, CommandFailed, OSError, TimeoutError):
                fault.undo(fabric, plan.kept)
            ledger.drop(active)
            _pace(fabric, ledger)
            raise
        ledger.put(active)
    return active


def _shown(fabric: Fabric, fault: Fault, plan: Plan) -> str:
    said: list[str] = []

    def shows() -> bool:
        said.append(fault.proof(fabric, plan.kept))
        return bool(said[-1])

    wait_for(f"{fault.name} to take effect", shows, fault.patience, 0.1)
    return said[-1]


def _undo_of(fabric: Fabric, active: Active) -> str:
    return command(fabric.state.directory, "fault undo", active.id)


def _refuse_again(fabric: Fabric, ledger: Ledger, name: str, words: tuple[str, ...]) -> None:
    """Raises LabError when the fault is there already. Asked first: it may not make sense a second time."""
    for other in ledger.active.values():
        if (other.name, other.words) == (name, words):
            raise LabError(f"{other.id} is in the lab already", f"Undo it first: {_undo_of(fabric, other)}")


def _refuse(fabric: Fabric, ledger: Ledger, new: Active) -> None:
    """Raises LabError when another fault is in the way of this one."""
    for other in ledger.active.values():
        if both := sorted(_both(new, other)):
            raise LabError(
                f"{new.id} and {other.id} would both have to do with {', '.join(both)}",
                f"Undo the other one first: {_undo_of(fabric, other)}",
            )


def _both(one: Active, other: Active) -> set[str]:
    """What two faults would have to do with. Two may keep the same agent from mending."""
    needed = [{*a.claims, *(map(agent_of, a.held))} for a in (one, other)]
    return (set(one.claims) & needed[1]) | (needed[0] & set(other.claims))


def _pace(fabric: Fabric, ledger: Ledger) -> None:
    """Hold the agents that must not mend, and no others."""
    wanted = ledger.held()
    for device in fabric.lab.switches:
        if (device in wanted) != pace.held(fabric, device):
            (pace.hold if device in wanted else pace.release)(fabric, device)


def refuse_to_wait(fault: Fault) -> None:
    """Raises LabError when no agent would ever mend it."""
    if fault.agent is not Agent.MENDS:
        able = ", ".join(name for name, other in FAULTS.items() if other.agent is Agent.MENDS)
        raise LabError(f"no agent mends {fault.name}", f"Leave out --until-mended. Agents mend: {able}.")


def mended(fabric: Fabric, active: Active) -> float:
    """Wait until an agent has mended a fault that it was not kept from, and forget the fault. Returns the seconds."""
    fault = chosen(active.name)
    limit = max((pace.interval(fabric, d) for d in active.devices), default=0.0) + _MEND_SLACK
    wait_for(f"the agent to mend {active.id}", lambda: not fault.proof(fabric, active.kept), limit, 0.2)
    seconds = time.time() - active.at
    with locked(fabric.state.directory) as ledger:
        ledger.drop(active)
    return seconds


def undo(fabric: Fabric, names: Iterable[str] = ()) -> list[Active]:
    """Undo faults by id or name, all of them by default, the last one first. Returns them. Raises LabError."""
    with locked(fabric.state.directory) as ledger:
        found = _named(ledger, list(names))
        for active in reversed(found):
            fault = chosen(active.name)
            fault.undo(fabric, active.kept)
            ledger.drop(active)
            _pace(fabric, ledger)
            wait_for(f"{active.id} to be gone", _gone(fabric, fault, active), fault.patience, 0.1)
    return found


def _gone(fabric: Fabric, fault: Fault, active: Active) -> Any:
    return lambda: not fault.proof(fabric, active.kept)


def _named(ledger: Ledger, names: Sequence[str]) -> list[Active]:
    everything = list(ledger.active.values())
    for name in names:
        if not any(name in (one.id, one.name) for one in everything):
            raise LabError(f"the lab has no fault {shortened(name)}", near(name, ledger.active))
    return [one for one in everything if not names or one.id in names or one.name in names]


def status(fabric: Fabric) -> Iterator[Row]:
    """Every fault that was put in and not undone, and what shows it now."""
    for active in Ledger(fabric.state.directory).active.values():
        try:
            proof = chosen(active.name).proof(fabric, active.kept)
        except (LabError, CommandFailed) as gone:
            proof = f"cannot be seen: {gone}"
        yield Row(active, proof)

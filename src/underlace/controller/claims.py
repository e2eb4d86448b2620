"""Claims of a change: what only one resource may hold, and who is told when two want it.

What a resource claims may depend on marks of others (ports by label), and those change in rounds: two that seem to
want one thing may not in the end. So what is not free is set aside, and the verdict comes when nothing changes more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from underlace.access import readable
from underlace.compiler import taken
from underlace.controller.run import Run
from underlace.model.ids import Ref
from underlace.model.resource import Claim, Resource
from underlace.store import rows
from underlace.store.rows import Derived

SIDES = 5
"""Other claims that a new one is compared with where more than that are at one place."""

Resources = Mapping[int, Resource[Any]]

Wanted = tuple[int, Claim]
"""Who claims what."""


def write(
    run: Run, resources: Resources, old: Mapping[int, Derived], new: Mapping[int, tuple[Derived, tuple[Claim, ...]]]
) -> None:
    """Take what is free of what these resources claim now, and give back what they claim no more."""
    gone = [(i, s, low) for i in resources for s, low, _ in old[i].claims - new[i][0].claims]
    rows.delete_claims(run.c, gone)
    wanted = [
        (i, claim)
        for i in resources
        for claim in new[i][1]
        if (claim.space, claim.low, claim.high) not in old[i].claims
    ]
    if not wanted:
        return
    run.claimed += wanted
    held = rows.overlaps(run.c, [claim for _, claim in wanted])
    accepted = _free_of_each_other([w for w in wanted if (w[1].space, w[1].low) not in held])
    run.contested |= len(accepted) < len(wanted)
    rows.insert_claims(run.c, [(i, c.space, c.low, c.high) for i, c in accepted])


def conclude(run: Run) -> None:
    """Once all is settled: whoever still wants what another has is told, and so is the other."""
    if run.contested:
        run.contested = False
        wanted = list(dict.fromkeys((i, c) for i, c in run.claimed if _stands(run, i, c)))
        resources = {i: run.live[i] for i, _ in wanted}
        rows.delete_claims(run.c, [(i, c.space, c.low) for i, c in wanted])
        _tell_each_other(run, resources, wanted)
        accepted = _free_of_each_other(_free_of_stored(run, resources, wanted))
        rows.insert_claims(run.c, [(i, c.space, c.low, c.high) for i, c in accepted])
    run.claimed.clear()


def _stands(run: Run, i: int, claim: Claim) -> bool:
    return i in run.live and i in run.derived and (claim.space, claim.low, claim.high) in run.derived[i].claims


def _in_order(wanted: Iterable[Wanted]) -> list[Wanted]:
    return sorted(wanted, key=lambda w: (w[1].space, w[1].low, w[1].high, w[0], w[1].pointer))


def _free_of_stored(run: Run, resources: Resources, wanted: list[Wanted]) -> list[Wanted]:
    held = rows.overlaps(run.c, [claim for _, claim in wanted])
    free = []
    for i, claim in wanted:
        holder = held.get((claim.space, claim.low))
        if holder is None:
            free.append((i, claim))
        elif holder not in run.unread:
            _tell(run, resources[i], claim, holder)
            if holder != resources[i].ref:
                _tell_holder(run, holder, claim, resources[i].ref)
    return free


def _tell_holder(run: Run, ref: Ref, claim: Claim, other: Ref) -> None:
    """The same from the side of a holder that the change also writes: either of the two may be at fault."""
    if (holder := next((e.after for e in run.changes if e.ref == ref), None)) is None:
        return
    for held in run.kind(holder).claims(holder, run.view):
        if held.space == claim.space and held.low <= claim.high and claim.low <= held.high:
            _tell(run, holder, held, other)


def _free_of_each_other(wanted: list[Wanted]) -> list[Wanted]:
    """One pass over the claims in order: of two that overlap, the one with the lower bound is kept."""
    accepted: list[Wanted] = []
    for i, claim in _in_order(wanted):
        if not accepted or not _overlap(accepted[-1][1], claim):
            accepted.append((i, claim))
    return accepted


def _overlap(before: Claim, claim: Claim) -> bool:
    """Of two claims in order."""
    return before.space == claim.space and claim.low <= before.high


def _tell_each_other(run: Run, resources: Resources, wanted: list[Wanted]) -> None:
    """Conflicts among new claims, for both sides; of each with a few others only: a thousand V-Nets on one port would
    be a million findings, of which each is told of some."""
    around: list[Wanted] = []
    for i, claim in _in_order(wanted):
        around = [(j, other) for j, other in around if _overlap(other, claim)]
        for j, other in around:
            if i != j:
                _tell(run, resources[i], claim, resources[j].ref)
                _tell(run, resources[j], other, resources[i].ref)
            elif (other.low, other.high) != (claim.low, claim.high):
                _tell(run, resources[i], claim, resources[j].ref)
        # Those that reach furthest stay: whatever overlaps one that goes overlaps them too.
        around = sorted([*around, (i, claim)], key=lambda w: w[1].high)[-SIDES:]


def _tell(run: Run, r: Resource[Any], claim: Claim, holder: Ref) -> None:
    """A claim that another has, without its name where the actor may not see it."""
    other = run.view.get(holder)
    seen = other is not None and readable(run.actor, run.engine.kinds[holder.kind], other)
    run.found.append(taken(r, claim, holder if seen else None))

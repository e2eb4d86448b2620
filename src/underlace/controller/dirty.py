"""Which resources a change concerns beyond those it names, and what is indexed about each of them.

    changed X ──► X
              ──► who refers to X, if what X exports changed
              ──► who watches a space in which X's marks changed (by_device: for those devices only)
    number of X changed ──► as if X's exports had changed

Marks may depend on numbers (a leaf's loopback) and needs on marks (the loopback subnets of a site), so both are
computed in rounds until nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from underlace.access import readable
from underlace.compiler import taken
from underlace.controller import allocate
from underlace.controller.run import Run
from underlace.model.ids import Ref
from underlace.model.resource import Claim, Mark, Resource
from underlace.store import rows
from underlace.store.rows import Derived

ROUNDS = 16
"""More than any chain of marks and numbers; beyond it a kind's marks depend on themselves."""

SIDES = 5
"""Other claims that a new one is compared with where more than that are at one place."""

Fresh = dict[int, Resource[Any]]


def settle(run: Run, fresh: Fresh, exported: Iterable[Ref]) -> None:
    """Derive, allocate and find the dirty resources. fresh: just written; exported: whose exports changed."""
    fresh = {**fresh, **_referrers(run, exported)}
    for _ in range(ROUNDS):
        seen: Fresh = {}
        while fresh:
            seen |= fresh
            fresh = _derive(run, fresh)
        changed = allocate.allocate(run, seen) if seen or run.unreleased else set()
        fresh = _concerned(run, changed) or _concerned(run, allocate.enclose(run))
        if not fresh:
            return
    raise RuntimeError("the marks of some kinds depend on each other in a circle")


def _concerned(run: Run, owners: Iterable[int]) -> Fresh:
    """Whom new numbers of these owners concern: those that refer to them, and they themselves if it shows."""
    changed = [r for i in sorted(owners) if (r := run.resource(i)) is not None]
    for resource in changed:
        run.mark_dirty(resource)
    fresh = {r.id: r for r in changed if _derived(run, r)[0] != run.derived.get(r.id)}
    # Who refers to a new resource is dirty since it was written.
    return fresh | _referrers(run, [r.ref for r in changed if not run.is_new(r.id)])


def _referrers(run: Run, targets: Iterable[Ref]) -> Fresh:
    """Who refers to these and is not yet known to be dirty for all devices."""
    wanted = set(targets)
    return {r.id: r for r, _ in run.view.pointing(wanted) if run.mark_dirty(r)} if wanted else {}


def drop(run: Run, gone: Iterable[Resource[Any]]) -> Fresh:
    """Forget what is indexed about deleted resources; returns who watched their marks."""
    resources = {r.id: r for r in gone}
    before = rows.derived(run.c, list(resources))
    return _write(run, resources, before, {i: (Derived(), ()) for i in resources})


def _derive(run: Run, fresh: Fresh) -> Fresh:
    """Index the fresh resources anew; returns the watchers that this makes dirty."""
    run.view.load(t for r in fresh.values() for t in _targets(run, r))
    unknown = [i for i in fresh if i not in run.derived and not run.is_new(i)]
    before = (rows.derived(run.c, unknown) if unknown else {}) | {i: d for i, d in run.derived.items() if i in fresh}
    after = {i: _derived(run, r) for i, r in fresh.items()}
    run.derived |= {i: derived for i, (derived, _) in after.items()}
    return _write(run, fresh, before, after)


def _targets(run: Run, r: Resource[Any]) -> Iterable[Ref]:
    return (reference.target for reference in run.refs(r))


def _derived(run: Run, r: Resource[Any]) -> tuple[Derived, tuple[Claim, ...]]:
    kind, view = run.kind(r), run.view
    claims = tuple(kind.claims(r, view))
    view.hide_waiting = True
    marks = frozenset(kind.marks(r, view))
    view.hide_waiting = False
    held = frozenset((c.space, c.low, c.high) for c in claims)
    return Derived(held, marks, frozenset(kind.watches(r, view))), claims


def _write(
    run: Run, resources: Fresh, before: dict[int, Derived], after: dict[int, tuple[Derived, tuple[Claim, ...]]]
) -> Fresh:
    old = {i: before.get(i, Derived()) for i in resources}
    new = {i: after[i][0] for i in resources}
    _write_claims(run, resources, old, {i: (new[i], after[i][1]) for i in resources})
    gone = [(i, m) for i in resources for m in old[i].marks - new[i].marks]
    come = [(i, m) for i in resources for m in new[i].marks - old[i].marks]
    rows.write_marks(run.c, gone, come)
    rows.write_watches(
        run.c,
        [(i, w) for i in resources for w in old[i].watches - new[i].watches],
        [(i, w) for i in resources for w in new[i].watches - old[i].watches],
    )
    if not gone and not come:
        return {}
    run.view.forget_marks()
    return _watchers(run, [m for _, m in gone + come])


def _watchers(run: Run, changed: list[Mark]) -> Fresh:
    values: dict[str, set[str]] = {}
    for mark in changed:
        values.setdefault(mark.space, set()).add(mark.value)
    fresh: Fresh = {}
    for space, by_device, row in rows.watchers(run.c, values):
        if row.id in run.deleted:
            continue
        resource = run.view.parse(row)
        run.mark_dirty(resource, frozenset(values[space]) if by_device else None)
        # Fresh again even when it was dirty before: what it derives may depend on the marks that have just changed.
        fresh[resource.id] = resource
    return fresh


def _write_claims(
    run: Run, resources: Fresh, old: dict[int, Derived], new: dict[int, tuple[Derived, tuple[Claim, ...]]]
) -> None:
    rows.delete_claims(run.c, [(i, s, low) for i in resources for s, low, _ in old[i].claims - new[i][0].claims])
    wanted = [
        (i, claim)
        for i in resources
        for claim in new[i][1]
        if (claim.space, claim.low, claim.high) not in old[i].claims
    ]
    if not wanted:
        return
    _tell_each_other(run, resources, wanted)
    accepted = _free_of_each_other(_free_of_stored(run, resources, wanted))
    rows.insert_claims(run.c, [(i, c.space, c.low, c.high) for i, c in accepted])


Wanted = tuple[int, Claim]
"""Who claims what."""


def _in_order(wanted: Iterable[Wanted]) -> list[Wanted]:
    return sorted(wanted, key=lambda w: (w[1].space, w[1].low, w[1].high, w[0], w[1].pointer))


def _free_of_stored(run: Run, resources: Fresh, wanted: list[Wanted]) -> list[Wanted]:
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


def _tell_each_other(run: Run, resources: Fresh, wanted: list[Wanted]) -> None:
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

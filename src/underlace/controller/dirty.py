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

from underlace.controller import allocate, claims
from underlace.controller.run import Run
from underlace.model.ids import Ref
from underlace.model.resource import Claim, Mark, Resource
from underlace.store import rows
from underlace.store.rows import Derived

ROUNDS = 16
"""More than any chain of marks and numbers; beyond it a kind's marks depend on themselves."""

Fresh = dict[int, Resource[Any]]


def settle(run: Run, fresh: Fresh, exported: Iterable[Ref]) -> None:
    """Derive, allocate and find the dirty resources. fresh: just written; exported: whose exports changed."""
    try:
        _rounds(run, {**fresh, **_referrers(run, exported)})
    except LookupError:
        claims.conclude(run)  # what leads nowhere ends the rounds: what is known until then is told
        raise
    claims.conclude(run)


def _rounds(run: Run, fresh: Fresh) -> None:
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
    run.view.load({r.ref for r in fresh.values()} | {t for r in fresh.values() for t in _targets(run, r)})
    unknown = [i for i in fresh if i not in run.derived and not run.is_new(i)]
    before = (rows.derived(run.c, unknown) if unknown else {}) | {i: d for i, d in run.derived.items() if i in fresh}
    after = {i: _derived(run, r) for i, r in fresh.items()}
    run.derived |= {i: derived for i, (derived, _) in after.items()}
    return _write(run, fresh, before, after)


def _targets(run: Run, r: Resource[Any]) -> Iterable[Ref]:
    return (reference.target for reference in run.refs(r))


def _derived(run: Run, r: Resource[Any]) -> tuple[Derived, tuple[Claim, ...]]:
    kind, view = run.kind(r), run.view
    wanted = tuple(kind.claims(r, view))
    view.hide_waiting = True
    marks = frozenset(kind.marks(r, view))
    view.hide_waiting = False
    held = frozenset((c.space, c.low, c.high) for c in wanted)
    return Derived(held, marks, frozenset(kind.watches(r, view))), wanted


def _write(
    run: Run, resources: Fresh, before: dict[int, Derived], after: dict[int, tuple[Derived, tuple[Claim, ...]]]
) -> Fresh:
    old = {i: before.get(i, Derived()) for i in resources}
    new = {i: after[i][0] for i in resources}
    claims.write(run, resources, old, after)
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
        run.mark_dirty(resource, frozenset(_device(v) for v in values[space]) if by_device else None)
        # Fresh again even when it was dirty before: what it derives may depend on the marks that have just changed.
        fresh[resource.id] = resource
    return fresh


def _device(value: str) -> str:
    """The device of a mark's value: a device, or a port of one."""
    return value.rpartition("@")[2]

"""The end of quarantine: what devices have still to confirm, and what follows when a number becomes free (law 8)."""

from __future__ import annotations

from collections.abc import Iterable

from underlace.controller import dirty
from underlace.controller.recompile import recompile
from underlace.controller.run import Run
from underlace.model.resource import Resource
from underlace.store import devices, numbers
from underlace.store.numbers import Held


def conclude(run: Run) -> None:
    """Once it is known which devices changed: what the others have to confirm for the numbers in quarantine.

    A device that did not change holds none of them if it is up to date; otherwise it loses them with what it has
    still to confirm anyway.
    """
    unchanged = run.suspects - run.devices
    if not unchanged:
        return
    free: list[Held] = []
    for name, row in sorted(devices.some(run.c, unchanged).items()):
        numbers.lower(run.c, name, run.revision, row.desired)
        free += numbers.clear(run.c, name, row.confirmed)
    resume(run, free)


def resume(run: Run, free: Iterable[Held]) -> None:
    """Compile whoever waited for these numbers."""
    owners = [r for n in free if n.owner is not None and (r := _owner(run, n)) is not None]
    if not owners:
        return
    fresh = {r.id: r for r in owners}
    for resource in owners:
        run.mark_dirty(resource)
    dirty.settle(run, fresh, [r.ref for r in owners])
    recompile(run)


def _owner(run: Run, number: Held) -> Resource[object] | None:
    assert number.owner is not None
    run.view.set_number(number.owner, number.slot, number.value)
    return run.resource(number.owner)

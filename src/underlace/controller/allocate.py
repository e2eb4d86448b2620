"""Numbers: kept while they are needed, requested ones honoured, others picked, released ones put into quarantine.

Which devices may still be configured with a number that a change takes out of the desired state? A device that
confirmed the state before the change holds exactly that; if the number was in it, then whoever compiled it there is
dirty now and touched the device. Any other device that was ever offered something is behind, and may hold anything.
So: the devices that dirty resources touched, and those that are behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from underlace.access import readable
from underlace.controller.document import finding_at
from underlace.controller.run import Allocation, Run
from underlace.model.diagnostic import Diagnostic
from underlace.model.net import RD_RANGE
from underlace.model.resource import Need, Resource
from underlace.store import devices, fragments, numbers, pools
from underlace.store.numbers import Held
from underlace.store.slots import slot_device

Slot = tuple[int, str]
"""(owner's id, slot)"""


def allocate(run: Run, fresh: Mapping[int, Resource[Any]]) -> set[int]:
    """See to the numbers of these resources; returns the owners whose common (not device-bound) numbers changed."""
    needs = {i: list(run.kind(r).needs(r, run.view)) for i, r in fresh.items()}
    run.view.load({need.owner for found in needs.values() for need in found})
    wanted, foreign = _wanted(run, needs)
    wanted |= _brought(run, fresh, wanted)
    held = _held(run, fresh, wanted)
    unneeded = _unneeded(run, fresh, wanted, foreign, held)
    replaced = [h for slot, h in held.items() if slot in wanted and not _fits(run, slot, wanted[slot], h)]
    _release(run, [*unneeded, *replaced])
    missing = {
        slot: need for slot, need in wanted.items() if slot not in held or not _fits(run, slot, need, held[slot])
    }
    known = numbers.pools_of(run.c, ((slot, need.pool) for (_, slot), need in missing.items()))
    taken = _take_requested(run, missing)
    numbers.take(run.c, taken, known)  # before any other is picked, or it might be picked as well
    free = {slot: need for slot, need in missing.items() if _request(run, slot, need) is None}
    picked, cursors = _take_any(run, free, {name: pool.cursor for name, pool in known.items()})
    numbers.take(run.c, picked, known)
    taken += picked
    pools.set_cursors(run.c, known, cursors)
    for (owner, slot), number in held.items():
        if slot_device(slot) and (owner, slot) in wanted and (owner, slot) not in missing:
            run.view.set_number(owner, slot, number.value)
    before = {(h.owner, h.slot): h.value for h in replaced}
    for number in taken:
        _note(run, number, before.get((number.owner, number.slot)))
    run.view.load_bound(slot for slot in wanted if slot_device(slot[1]))
    return {n.owner for n in (*taken, *unneeded) if n.owner is not None and not slot_device(n.slot)}


def _wanted(run: Run, needs: Mapping[int, list[Need]]) -> tuple[dict[Slot, Need], set[numbers.Need]]:
    """Needs by slot; and who needs numbers of others."""
    wanted: dict[Slot, Need] = {}
    foreign: set[numbers.Need] = set()
    for i, found in needs.items():
        for need in found:
            owner = run.view.get(need.owner)
            if owner is None:
                continue  # a dangling reference, which has been found elsewhere
            wanted[owner.id, need.slot] = need
            if owner.id != i:
                foreign.add((i, owner.id, need.slot))
    return wanted, foreign


def _brought(run: Run, fresh: Mapping[int, Resource[Any]], wanted: Mapping[Slot, Need]) -> dict[Slot, Need]:
    """Numbers on devices that an import in parts brings along for who will need them: a VPC comes before the V-Nets
    that place it on leaves, and nobody may have its numbers there meanwhile. What is still not needed when the owner
    is written again goes."""
    return {
        (i, slot): Need(fresh[i].ref, slot, slot, (RD_RANGE,))
        for i, slot in run.given
        if i in fresh and (i, slot) not in wanted and slot_device(slot)
    }


def _held(run: Run, fresh: Mapping[int, Resource[Any]], wanted: Mapping[Slot, Need]) -> dict[Slot, Held]:
    """The numbers that fresh and deleted resources have, and what others have of what is wanted."""
    owners = [i for i in (*fresh, *run.unreleased) if not run.is_blank(i)]
    found = numbers.of_owners(run.c, owners) if owners else []
    others = [slot for slot in wanted if slot[0] not in fresh and not run.is_blank(slot[0])]
    if others:
        found += numbers.of_slots(run.c, others)
    return {(n.owner, n.slot): n for n in found if n.owner is not None}


def _fits(run: Run, slot: Slot, need: Need, held: Held) -> bool:
    """Whether a number that is held still answers the need."""
    if held.pool != need.pool:
        return False
    if (request := _request(run, slot, need)) is not None:
        return held.value == request
    return any(low <= held.value <= high for low, high in (*need.ranges, *need.allowed))


def _unneeded(
    run: Run,
    fresh: Mapping[int, Resource[Any]],
    wanted: Mapping[Slot, Need],
    foreign: set[numbers.Need],
    held: Mapping[Slot, Held],
) -> list[Held]:
    """Numbers that nobody needs any more; writes down who needs what of others."""
    known = [i for i in (*fresh, *run.unreleased) if not run.is_blank(i)]
    before = numbers.needs_of(run.c, known) if known else set()
    numbers.write_needs(run.c, before - foreign, foreign - before)
    run.written |= fresh.keys()
    gone = {(owner, slot) for _, owner, slot in before - foreign}
    candidates = {s for s in held if s[0] in run.unreleased or (s[0] in fresh and s not in wanted)}
    # What others need of an owner that is not looked at now are its device-bound numbers, and only those.
    candidates |= {s for s in gone if s not in wanted and slot_device(s[1])}
    run.unreleased.clear()
    if not candidates:
        return []
    candidates -= numbers.still_needed(run.c, candidates)
    missing = [s for s in candidates if s not in held]
    others = {(n.owner, n.slot): n for n in numbers.of_slots(run.c, missing)} if missing else {}
    return [n for s in sorted(candidates) if (n := held.get(s) or others.get(s)) is not None]


def _release(run: Run, gone: Iterable[Held]) -> None:
    """Take numbers from their owners; `enclose` decides later which devices have to confirm it."""
    for number in gone:
        assert number.owner is not None
        run.released[number.pool, number.value] = number
        run.view.set_number(number.owner, number.slot, None)
        if (owner := run.ref_of(number.owner)) is not None:
            run.allocations.append(Allocation(owner, number.slot, None, number.value))
    numbers.disown(run.c, [(n.pool, n.value) for n in gone])


def _request(run: Run, slot: Slot, need: Need) -> int | None:
    """The number that the spec asks for, or that an import brings along."""
    return need.requested if need.requested is not None else run.given.get(slot)


def _take_requested(run: Run, missing: Mapping[Slot, Need]) -> list[Held]:
    requests = [
        (slot, need, value) for slot, need in missing.items() if (value := _request(run, slot, need)) is not None
    ]
    if not run.actor.sees_all:
        # Whatever they ask for: an answer that depended on the number would tell what others have.
        run.found += [_not_theirs(need, value) for _, need, value in requests]
        return []
    if not requests:
        return []
    present = numbers.at(run.c, [(need.pool, value) for _, need, value in requests])
    taken: dict[tuple[str, int], Held] = {}
    first: dict[tuple[str, int], Need] = {}
    for (owner, slot), need, value in requests:
        at = (need.pool, value)
        known = present.get(at)
        holder = taken.get(at) or (known if known is not None and known.owner is not None else None)
        if not any(low <= value <= high for low, high in (*need.ranges, *need.allowed)):
            run.found.append(_out_of_range(need, value))
        elif holder is not None:
            run.found.append(_in_use(run, need, value, holder))
            if (other := first.pop(at, None)) is not None:
                # Both are written in this change: either of them may be the one that is meant otherwise.
                run.found.append(_in_use(run, other, value, Held(need.pool, value, owner, slot)))
        else:
            first[at] = need
            taken[at] = Held(need.pool, value, owner, slot, known is not None and not slot_device(slot))
    return list(taken.values())


def _take_any(run: Run, missing: Mapping[Slot, Need], cursors: dict[str, int]) -> tuple[list[Held], dict[str, int]]:
    """The next free number after the last one picked from each pool (`cursors`), so that a number rests as long as
    possible; and the last one now."""
    if not missing:
        return [], {}
    picked = _pick_next(run, missing, cursors)
    used = {(n.pool, n.value) for n in picked.values()}
    for slot, need in missing.items():
        if slot in picked:
            continue
        value = _pick_gap(run, need, cursors.get(need.pool, 0), used)
        if value is None:
            run.found.append(_exhausted(run, need))
            continue
        picked[slot] = Held(need.pool, value, *slot)
        used.add((need.pool, value))
        cursors[need.pool] = value
    return list(picked.values()), {need.pool: cursors[need.pool] for s, need in missing.items() if s in picked}


def _pick_next(run: Run, missing: Mapping[Slot, Need], cursors: dict[str, int]) -> dict[Slot, Held]:
    """The common case in one look-up: the number right after the cursor is free. Moves the cursors."""
    candidates: dict[Slot, tuple[str, int]] = {}
    ahead = dict(cursors)
    for slot, need in missing.items():
        value = _after(need.ranges, ahead.get(need.pool, 0))
        if value is not None:
            candidates[slot] = (need.pool, value)
            ahead[need.pool] = value
    taken = numbers.at(run.c, candidates.values())
    picked: dict[Slot, Held] = {}
    for slot, (pool, value) in candidates.items():
        if (pool, value) not in taken:
            picked[slot] = Held(pool, value, *slot)
            cursors[pool] = value
    return picked


def _after(ranges: tuple[tuple[int, int], ...], cursor: int) -> int | None:
    for low, high in sorted(ranges):
        if cursor < high:
            return max(low, cursor + 1)
    return None


def _pick_gap(run: Run, need: Need, cursor: int, used: set[tuple[str, int]]) -> int | None:
    for low, high in _segments(need.ranges, cursor):
        value: int | None = low
        while value is not None and value <= high:
            value = numbers.first_free(run.c, need.pool, value, high)
            if value is None or (need.pool, value) not in used:
                break
            value += 1
        if value is not None and value <= high:
            return value
    return None


def _segments(ranges: tuple[tuple[int, int], ...], cursor: int) -> Iterator[tuple[int, int]]:
    """The ranges, beginning after the cursor, then those before it."""
    ordered = sorted(ranges)
    yield from ((max(low, cursor + 1), high) for low, high in ordered if high > cursor)
    yield from ((low, min(high, cursor)) for low, high in ordered if low <= cursor)


def _note(run: Run, number: Held, before: int | None) -> None:
    assert number.owner is not None
    run.taken.append(number)
    run.written.add(number.owner)
    run.view.set_number(number.owner, number.slot, number.value, number.waiting)
    owner = run.ref_of(number.owner)
    assert owner is not None
    if before is not None:
        old = Allocation(owner, number.slot, None, before)
        run.allocations = [a for a in run.allocations if a != old]
    run.allocations.append(Allocation(owner, number.slot, number.value, before, number.waiting))


def enclose(run: Run) -> set[int]:
    """Quarantine what was released, once all dirty resources are known; returns owners that must not wait after all.

    Those are owners of requested numbers that were released in this very change, and that no device holds.
    """
    unknown = numbers.unknown(run.c) if run.taken else {}
    if not run.released and not unknown:
        return set()
    suspects = _suspects(run) if run.released else set()
    confined: dict[tuple[str, int], dict[str, int]] = {}
    for at, number in run.released.items():
        device = slot_device(number.slot)
        confined[at] = dict.fromkeys(suspects & {device} if device else suspects, run.revision)
    owned = {(n.pool, n.value): n for n in run.taken if not slot_device(n.slot)}
    for at in owned:
        if unknown:
            confined[at] = unknown | confined.get(at, {})
    numbers.enclose(run.c, confined)
    numbers.free_unowned(run.c, [at for at, found in confined.items() if not found and at not in owned])
    run.suspects |= suspects
    run.released.clear()
    return _wait(run, owned, confined)


def _wait(
    run: Run, owned: Mapping[tuple[str, int], Held], confined: Mapping[tuple[str, int], Mapping[str, int]]
) -> set[int]:
    """Set who waits, now that it is known which numbers are in quarantine; returns owners for which that changed."""
    kept = numbers.quarantined(run.c, [at for at, n in owned.items() if n.waiting])
    changed = set()
    for at, number in owned.items():
        waits = bool(confined.get(at)) or at in kept
        if waits != number.waiting:
            assert number.owner is not None
            changed.add(number.owner)
            now = number._replace(waiting=waits)
            run.taken[run.taken.index(number)] = now
            numbers.take(run.c, [now])
            run.view.set_number(number.owner, number.slot, number.value, waits)
    return changed


def _suspects(run: Run) -> set[str]:
    touched = {key.device for key, _ in fragments.touches(run.c, [*run.dirty, *run.deleted])}
    return devices.offered(run.c, touched) | devices.behind(run.c).keys()


def _out_of_range(need: Need, value: int) -> Diagnostic:
    allowed = ", ".join(f"{low}-{high}" for low, high in sorted({*need.ranges, *need.allowed}))
    return finding_at(
        need.owner,
        need.pointer,
        "number-out-of-range",
        "A requested number is outside its range",
        f"{need.owner} asks for {value} of {need.pool}; possible are {allowed}.",
        "Choose a number of that range, or leave it out to have one allocated.",
    )


def _not_theirs(need: Need, value: int) -> Diagnostic:
    return finding_at(
        need.owner,
        need.pointer,
        "number-not-granted",
        "A number was chosen by somebody who may not choose numbers",
        f"{need.owner} asks for {value} of {need.pool}; numbers of the fabric are chosen by operators.",
        "Leave it out to have one allocated, or have an operator apply this document.",
    )


def _in_use(run: Run, need: Need, value: int, holder: Held) -> Diagnostic:
    assert holder.owner is not None
    owner = run.ref_of(holder.owner)
    resource = None if owner is None else run.view.get(owner)
    seen = resource is not None and readable(run.actor, run.engine.kinds[resource.ref.kind], resource)
    by = f"{owner} has it" if seen else "it is in use"
    return finding_at(
        need.owner,
        need.pointer,
        "number-in-use",
        "A requested number is in use",
        f"{need.owner} asks for {value} of {need.pool}, but {by}.",
        "Choose another number, or leave it out to have one allocated.",
        (str(owner),) if seen else (),
    )


def _exhausted(run: Run, need: Need) -> Diagnostic:
    ranges = ", ".join(f"{low}-{high}" for low, high in sorted(need.ranges))
    return finding_at(
        need.owner,
        need.pointer,
        "pool-exhausted",
        "No number is free",
        f"{need.owner} needs a number of {need.pool}, but all of {ranges} are in use or wait in quarantine until "
        "devices have confirmed their removal.",
        "Delete what is not needed, widen the range, or see which devices are behind: underlace device list"
        if run.actor.sees_all
        else "Delete what you do not need, or ask an operator for more numbers.",
    )

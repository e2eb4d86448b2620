"""The order in which a device accepts changes, from what things refer to and claim; there is no table of weights.

    create X   after what X refers to exists, and is as it is going to be
    delete X   after whoever refers to X let go
    take       after the holder of the claim let go
    a cycle    the updates in it become delete and create, and so do those that refer to them

Changes of one kind (the first word of a key) are kept together where the rules leave a choice, so that whoever
carries them out needs few calls: each level of `batches` holds mutually independent changes of one kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Generic, NamedTuple, TypeVar

from underlace.diff.change import changes as differences
from underlace.model.change import Change, Key, Keyed, Verb

T = TypeVar("T", bound=Keyed)

Batch = list[Change[T]]


class Step(NamedTuple):
    """A node of the graph: letting go of what was there, or taking on what is wanted. An update does both at once."""

    key: Key
    verb: Verb


def ordered(actual: Mapping[Key, T], desired: Mapping[Key, T]) -> list[Change[T]]:
    """What differs, in an order that the device accepts."""
    return order(differences(actual, desired), actual, desired)


def order(changes: Iterable[Change[T]], actual: Mapping[Key, T], desired: Mapping[Key, T]) -> list[Change[T]]:
    """The changes in an order that the device accepts. Deterministic; what is replaced shows as delete and create."""
    return [change for batch in batches(changes, actual, desired) for change in batch]


def batches(changes: Iterable[Change[T]], actual: Mapping[Key, T], desired: Mapping[Key, T]) -> list[Batch[T]]:
    """The same order in groups: no change of a group depends on another one of it, and all are of one kind."""
    todo = {change.key: change for change in changes}
    while True:
        try:
            return list(_levels(_Graph(todo, actual, desired)))
        except CycleError as cycle:
            broken = {step.key for step in cycle.args[1] if step.verb is Verb.UPDATE}
            if not broken:
                raise
            _replace(todo, broken, actual, desired)


def _replace(todo: dict[Key, Change[T]], broken: set[Key], actual: Mapping[Key, T], desired: Mapping[Key, T]) -> None:
    """Turn updates into replacements, and drag along everything that refers to them before and after."""
    referrers: dict[Key, list[Key]] = {}
    for key, thing in actual.items():
        if key in desired:
            for target in thing.refs & desired[key].refs:
                referrers.setdefault(target, []).append(key)
    waiting = list(broken)
    while waiting:
        key = waiting.pop()
        # A change that is no update, yet has both sides: `_Graph` makes two steps of it.
        todo[key] = Change(Verb.DELETE, key, actual[key], desired[key])
        for referrer in referrers.get(key, ()):
            known = todo.get(referrer)
            if known is None or known.verb is Verb.UPDATE:
                waiting.append(referrer)
                todo[referrer] = Change(Verb.DELETE, referrer, actual[referrer], desired[referrer])


class _Graph(Generic[T]):
    """Steps and what each waits for."""

    def __init__(self, todo: Mapping[Key, Change[T]], actual: Mapping[Key, T], desired: Mapping[Key, T]) -> None:
        self.steps: dict[Step, Change[T]] = {}
        self.leaving: dict[Key, Step] = {}
        self.coming: dict[Key, Step] = {}
        for change in todo.values():
            self._add(change)
        self.waits: dict[Step, set[Step]] = {step: set() for step in self.steps}
        self._wait_for_references(actual, desired)
        self._wait_for_claims(actual, desired)

    def _add(self, change: Change[T]) -> None:
        key, before, after = change.key, change.before, change.after
        if change.verb is Verb.UPDATE:
            step = Step(key, Verb.UPDATE)
            self.steps[step] = change
            self.leaving[key] = self.coming[key] = step
            return
        if before is not None:
            self.leaving[key] = Step(key, Verb.DELETE)
            self.steps[self.leaving[key]] = Change(Verb.DELETE, key, before, None)
        if after is not None:
            self.coming[key] = Step(key, Verb.CREATE)
            self.steps[self.coming[key]] = Change(Verb.CREATE, key, None, after)

    def _wait_for_references(self, actual: Mapping[Key, T], desired: Mapping[Key, T]) -> None:
        for key, step in self.coming.items():
            for target in desired[key].refs:
                made = self.coming.get(target)
                # A new thing finds what it refers to as it is going to be, so it waits for an update of it too.
                if made is not None and (Verb.CREATE in (made.verb, step.verb) or target not in actual):
                    self.waits[step].add(made)
            gone = self.leaving.get(key)
            if gone is not None and gone is not step:
                self.waits[step].add(gone)
        for key, step in self.leaving.items():
            for target in actual[key].refs:
                removed = self.leaving.get(target)
                if removed is not None and removed.verb is Verb.DELETE and removed is not step:
                    self.waits[removed].add(step)

    def _wait_for_claims(self, actual: Mapping[Key, T], desired: Mapping[Key, T]) -> None:
        held: dict[str, list[Step]] = {}
        for key, step in self.leaving.items():
            for claim in actual[key].claims:
                held.setdefault(claim, []).append(step)
        for key, step in self.coming.items():
            for claim in desired[key].claims:
                self.waits[step].update(holder for holder in held.get(claim, ()) if holder is not step)


def _levels(graph: _Graph[T]) -> Iterator[Batch[T]]:
    """Walk the graph; stay with one kind of change as long as any is ready.

    Then take a kind that is complete, all that is left of it being ready: from the end of the alphabet, for it has to
    be some order. Where none is, take the one with the fewest. What waits can go with more of its kind later.
    """
    sorter: TopologicalSorter[Step] = TopologicalSorter(graph.waits)
    sorter.prepare()
    ready: dict[tuple[str, Verb], list[Step]] = {}
    left = Counter((step.key[0], step.verb) for step in graph.steps)
    kind: tuple[str, Verb] = ("", Verb.CREATE)
    found: list[Batch[T]] = []
    while sorter.is_active():
        for step in sorter.get_ready():
            ready.setdefault((step.key[0], step.verb), []).append(step)
        if kind not in ready:
            complete = [k for k, steps in ready.items() if len(steps) == left[k]]
            kind = max(complete) if complete else min(ready, key=lambda k: (len(ready[k]), k))
        batch = sorted(ready.pop(kind))
        left[kind] -= len(batch)
        found.append([graph.steps[step] for step in batch])
        sorter.done(*batch)
    yield from found

"""Intent in memory, for tests of pure code: the same look-ups as a store, numbers given out in a fixed order."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from underlace.compiler import dangling, taken
from underlace.kinds.builtin import BUILTIN
from underlace.kinds.parse import Draft, parse_all
from underlace.kinds.registry import KINDS
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.document import Document, read_text
from underlace.model.ids import NO_TENANT, Ref
from underlace.model.resource import Claim, Need, Resource

Number = tuple[Ref, str]
"""(owner, slot)"""


class MemoryView:
    """Implements `model.resource.View`. Ids and numbers depend on what there is, not on its order."""

    def __init__(
        self,
        drafts: Iterable[Draft],
        ids: Mapping[Ref, int] | None = None,
        numbers: Mapping[Number, int] | None = None,
        held_back: Iterable[Ref] = (),
    ) -> None:
        ordered = sorted(drafts, key=lambda d: d.ref)
        known = dict(ids or {})
        free = max(known.values(), default=0)
        self.resources: dict[Ref, Resource[Any]] = {}
        for draft in ordered:
            if draft.ref not in known:
                free += 1
                known[draft.ref] = free
            self.resources[draft.ref] = Resource(draft.ref, known[draft.ref], draft.spec, draft.labels)
        self.numbers: dict[Number, int] = dict(numbers or {})
        self.held_back = set(held_back)
        self.found: list[Diagnostic] = []
        self._marks: dict[str, frozenset[str]] = {}
        self._index()
        self._index_claims()
        self._settle()
        self._index_claims()  # of ports by label there are claims only now

    # View

    def get(self, ref: Ref) -> Resource[Any] | None:
        return self.resources.get(ref)

    def all(self, kind: str) -> list[Resource[Any]]:
        return [r for ref, r in self.resources.items() if ref.kind == kind and ref.tenant == NO_TENANT]

    def referrers(self, target: Ref, kind: str) -> list[Resource[Any]]:
        return [self.resources[ref] for ref in sorted(self._referrers.get(target, ())) if ref.kind == kind]

    def marked(self, space: str, values: Iterable[str] | None = None) -> frozenset[str]:
        found = self._marks.get(space, frozenset())
        return found if values is None else found & frozenset(values)

    def holder(self, space: str, value: str) -> Ref | None:
        held = self._claims.get(space, [])
        at = bisect_right(held, (value, "\uffff"))
        return next((ref for low, high, ref in held[:at] if low <= value <= high), None)

    def number(self, owner: Ref, slot: str) -> int | None:
        return self.numbers.get((owner, slot))

    def waiting(self, ref: Ref) -> bool:
        return ref in self.held_back

    # What a controller does

    def check(self) -> list[Diagnostic]:
        """Everything that is wrong with this intent."""
        found = list(self.found)
        for r in self.resources.values():
            kind = KINDS[r.ref.kind]
            found += [dangling(r, x) for x in kind.refs(r) if not x.soft and x.target not in self.resources]
            for claim in kind.claims(r, self):
                found += [taken(r, claim, other) for other in set(self._overlapping(claim)) - {r.ref}]
            found += kind.check(r, self)
        return sorted(set(found))

    def _overlapping(self, claim: Claim) -> list[Ref]:
        """Who has a claim that this one meets; a fabric of some size wants an index here."""
        return [ref for low, high, ref in self._claims[claim.space] if low <= claim.high and claim.low <= high]

    def _index(self) -> None:
        self._referrers: dict[Ref, set[Ref]] = defaultdict(set)
        for r in self.resources.values():
            for reference in KINDS[r.ref.kind].refs(r):
                self._referrers[reference.target].add(r.ref)

    def _index_claims(self) -> None:
        self._claims: dict[str, list[tuple[str, str, Ref]]] = defaultdict(list)
        for r in self.resources.values():
            for claim in KINDS[r.ref.kind].claims(r, self):
                insort(self._claims[claim.space], (claim.low, claim.high, r.ref))

    def _index_marks(self) -> bool:
        """Whether that changed any: marks may depend on those of others."""
        marks: dict[str, set[str]] = defaultdict(set)
        for r in self.resources.values():
            for mark in KINDS[r.ref.kind].marks(r, self):
                marks[mark.space].add(mark.value)
        before, self._marks = self._marks, {space: frozenset(values) for space, values in marks.items()}
        return self._marks != before

    def _settle(self) -> None:
        """Marks depend on numbers and marks, needs on marks: in rounds until nothing is new."""
        while True:
            while self._index_marks():
                pass
            missing = self._missing()
            if not missing:
                return
            self._allocate(missing)

    def _missing(self) -> list[Need]:
        needs: dict[Number, Need] = {}
        for r in self.resources.values():
            for need in KINDS[r.ref.kind].needs(r, self):
                if need.owner in self.resources:
                    needs[need.owner, need.slot] = need
        # As a rule slots of one name share a pool: "rd/leaf1" of all that is on leaf1.
        self._pools = {n: need.pool for n, need in needs.items() if need.pool != need.slot}
        return [needs[n] for n in sorted(needs) if n not in self.numbers]

    def _allocate(self, missing: list[Need]) -> None:
        taken: dict[str, set[int]] = defaultdict(set)
        for slot, value in self.numbers.items():
            taken[self._pools.get(slot, slot[1])].add(value)
        for need in sorted(missing, key=lambda n: n.requested is None):
            pool = taken[need.pool]
            value = need.requested or 0
            if need.requested is None:
                value = next(v for low, high in need.ranges for v in range(low, high + 1) if v not in pool)
            elif value in pool:
                self.found.append(_in_use(need))
            pool.add(value)
            self.numbers[need.owner, need.slot] = value


def _in_use(need: Need) -> Diagnostic:
    return Diagnostic(
        Where(str(need.owner), need.pointer),
        "number-in-use",
        "A requested number is in use",
        f"{need.owner} asks for {need.requested} of {need.pool}, but it is in use.",
        "Choose another number, or leave it out to have one allocated.",
    )


def drafts_of(text: str) -> list[Draft]:
    """The built-in resources and those of a YAML text, which must have no fault of form."""
    reading = read_text(text)
    assert not reading.diagnostics, reading.diagnostics
    return drafts(reading.documents)


def drafts(documents: Iterable[Document]) -> list[Draft]:
    documents = list(documents)
    written = {str(d) for d in documents}
    found, faults = parse_all([*(d for d in BUILTIN if str(d) not in written), *documents])
    assert not faults, "\n".join(map(str, faults))
    return found


def view_of(text: str) -> MemoryView:
    """Intent of a YAML text, with what is built in."""
    return MemoryView(drafts_of(text))

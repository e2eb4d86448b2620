"""A change of intent, from documents to fragments, inside the writer's transaction.

    parse ─► may the actor? ─► write ─► references ─► claims, marks, numbers ─► rules ─► compile ─► devices' limits
    └───────────────────────── intent: one list of all faults ───────────────────────┘ └────── devices ─────────┘

Everything that is wrong with intent is reported at once: documents with faults of form are left out (see unread), the
others are examined to the end, in a transaction that is undone. Only what the actor may not do at all ends it before.
Devices are asked about intent without fault. A plan is the same change, undone at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from underlace.access import (
    Decision,
    Use,
    Verb,
    decide,
    decide_use,
    forbidden,
    missing,
    readable,
    refusal,
    unreadable_references,
)
from underlace.compiler import dangling, still_referred
from underlace.controller import dirty, settlement
from underlace.controller.document import EVERYTHING, Request, finding_at
from underlace.controller.recompile import recompile
from underlace.controller.run import Edit, Run
from underlace.controller.unread import reliable
from underlace.kinds.base import Unallocated
from underlace.kinds.builtin import BUILTIN
from underlace.kinds.parse import Draft, parse_all
from underlace.model.diagnostic import Diagnostic, Refused
from underlace.model.ids import Ref, fabric
from underlace.model.resource import Reference, Resource
from underlace.store import fragments, ledger, numbers, rows
from underlace.store.ledger import Counters, Revision
from underlace.store.rows import Stored

ID_RANGE = range(1, 2**31)
"""Ids of resources, as every database can hold them."""

BUILT_IN = frozenset(Ref(d.kind, d.tenant, d.name) for d in BUILTIN)


def carry_out(run: Run, request: Request) -> None:
    """Do what the request asks for, or raise Refused; `run` then holds what was done. Without effect if nothing
    differs."""
    drafts = _admit(run, request)
    edits = _edits(run, request, drafts)
    run.changes = edits
    imported = _given(run, request, edits)
    if not edits and not imported and not request.recompile:
        run.stop_on_errors()
        return
    _write(run, request, edits)
    _check_references(run, edits)
    _settle(run, edits, imported, request.recompile)
    check(run)
    run.stop_on_errors()
    recompile(run)
    run.stop_on_errors()
    settlement.conclude(run)
    run.stop_on_errors()


def _admit(run: Run, request: Request) -> list[Draft]:
    """The documents that can be typed, of which the actor may write each."""
    drafts, found = parse_all(d.text() for d in request.put)
    run.unread = frozenset(
        ref for ref in {d.ref for d in request.put} - {d.ref for d in drafts} if _writable(run, ref)
    )
    refused: list[Diagnostic] = []
    wanted = [(Verb.WRITE, d.ref) for d in drafts] + [(Verb.DELETE, ref) for ref in request.delete]
    for verb, ref in wanted:
        kind = run.engine.kinds.get(ref.kind)
        if kind is None:
            refused.append(_unknown_kind(run, ref))
        elif (fault := refusal(decide(run.actor, verb, kind, ref), run.actor, verb, ref)) is not None:
            refused.append(fault)
    for ref in sorted({d.ref for d in request.put} & set(request.delete)):
        refused.append(_put_and_deleted(ref))
    if request.recompile and decide_use(run.actor, Use.MANAGE_DEVICES) is not Decision.ALLOW:
        refused.append(forbidden(run.actor, "recompile the fabric"))
    run.found += [*found, *refused]
    if refused:
        raise Refused(run.found)
    return drafts


def _writable(run: Run, ref: Ref) -> bool:
    """Whether the actor may write it: of others' resources, a document with faults must not turn out whether they are
    in the way."""
    kind = run.engine.kinds.get(ref.kind)
    return kind is not None and decide(run.actor, Verb.WRITE, kind, ref) is Decision.ALLOW


def _edits(run: Run, request: Request, drafts: list[Draft]) -> list[Edit]:
    """What would really change; gives ids to new resources."""
    ids = {d.ref: d.id for d in request.put if d.id is not None}
    deleted = sorted(set(request.delete))
    run.view.load([*(d.ref for d in drafts), *deleted])
    edits: list[Edit] = []
    next_id = run.counters.next_id
    for draft in drafts:
        before = run.view.get(draft.ref)
        if before is None:
            number = ids.get(draft.ref, next_id)
            next_id = max(next_id, number + 1)
        elif before.spec == draft.spec and before.labels == draft.labels:
            continue
        else:
            number = before.id
        after: Resource[Any] = Resource(draft.ref, number, draft.spec, dict(draft.labels), run.revision)
        edits.append(Edit(draft.ref, before, after))
    if impossible := _impossible_ids(run, [e.after for e in edits if e.after and not e.before], ids):
        raise Refused([*run.found, *impossible])
    for ref in deleted:
        before = run.view.get(ref)
        if ref in BUILT_IN:
            run.found.append(_built_in(ref))
        elif before is None:
            run.found.append(missing(ref))
        else:
            edits.append(Edit(ref, before, None))
    run.last_id = next_id
    return edits


def _impossible_ids(run: Run, created: list[Resource[Any]], ids: Mapping[Ref, int]) -> list[Diagnostic]:
    """What is wrong with ids that an import brings along. Rows are by id: a change with such ones is examined no
    further."""
    brought = [r for r in created if r.ref in ids]
    # No column holds an id out of range, and PostgreSQL refuses to look for one.
    possible = [r.id for r in brought if r.id in ID_RANGE]
    holders = {row.id: row.ref for row in rows.by_id(run.c, possible)} if possible else {}
    found = []
    for resource in brought:
        if resource.id not in ID_RANGE:
            found.append(_impossible_id(resource, f"ids are from {ID_RANGE[0]} to {ID_RANGE[-1]}"))
        elif (holder := holders.setdefault(resource.id, resource.ref)) != resource.ref:
            found.append(_impossible_id(resource, f"{holder} has it"))
    return found


def _write(run: Run, request: Request, edits: list[Edit]) -> None:
    """Rows of the resources, their history, references and labels."""
    created = [e.after for e in edits if e.after is not None and e.before is None]
    updated = [e.after for e in edits if e.after is not None and e.before is not None]
    gone = [e.before for e in edits if e.after is None and e.before is not None]
    existing = [r.id for r in (*updated, *gone)]
    rows.supersede(run.c, existing)
    rows.write_ends(run.c, run.revision, [_stored(r) for r in gone])
    rows.delete_resources(run.c, [r.id for r in gone])
    rows.insert_resources(run.c, [_stored(r) for r in created])
    rows.update_resources(run.c, [_stored(r) for r in updated])
    present = [*created, *updated]
    before = [e.before for e in edits if e.before is not None]
    rows.write_refs(run.c, _with_refs(run, before), _with_refs(run, present))
    rows.replace_labels(run.c, existing, {r.id: r.labels for r in present})
    for resource in gone:
        run.view.drop(resource.ref)
        run.deleted[resource.id] = resource
    for resource in present:
        run.view.put(resource)
    for resource in created:
        run.view.new_owner(resource.id)


def _stored(r: Resource[Any]) -> Stored:
    spec = r.spec.model_dump_json(exclude_defaults=True)
    return Stored(r.id, r.ref, rows.labels_text(r.labels), spec, r.revision)


def _with_refs(run: Run, resources: Iterable[Resource[Any]]) -> list[tuple[Resource[Any], tuple[Reference, ...]]]:
    return [(r, run.refs(r)) for r in resources]


def _check_references(run: Run, edits: list[Edit]) -> None:
    """References lead somewhere that the actor may see; nothing that is referred to goes."""
    present = [e for e in edits if e.after is not None]
    run.view.load(x.target for e in present for x in run.refs(e.after))  # type: ignore[arg-type]
    for edit in present:
        assert edit.after is not None
        found = _dangling(run, edit.after, _hidden(run, edit))
        run.found += found
        # A rule that reads what a hidden reference leads to would tell of it, by saying more or less than of nothing.
        if found and not run.actor.sees_all:
            run.broken.add(edit.after.id)
    gone = [e.ref for e in edits if e.after is None]
    by: dict[Ref, list[Ref]] = {}
    for referrer, pointing in run.view.pointing(set(gone)) if gone else ():
        for x in pointing:
            if not x.soft and referrer.ref not in run.unread:
                by.setdefault(x.target, []).append(referrer.ref)
    run.found += [_still_referred(run, target, referrers) for target, referrers in by.items()]


def _dangling(run: Run, r: Resource[Any], hidden: list[Reference]) -> list[Diagnostic]:
    """What leads nowhere, or where the actor may not look; never to a document of this change with other faults."""
    nowhere = [x for x in run.refs(r) if not x.soft and x.target not in run.unread and run.view.get(x.target) is None]
    found = [*nowhere, *hidden]
    if run.actor.sees_all:
        return [dangling(r, x) for x in found]
    # The name of a port has that of its switch in it: to who may read neither, that is one fault.
    ports = {x.pointer for x in found if x.target.kind in ("port", "lag")}
    told = [x for x in found if x.target.kind != "switch" or x.pointer not in ports]
    return [msgspec.structs.replace(dangling(r, x), remedy=_advice(run, x.target)) for x in told]


def _advice(run: Run, target: Ref) -> str:
    """What a tenant's user can do about a reference that leads nowhere, as far as they may know."""
    if target.tenant in run.actor.tenants:
        return f"Add the {target.kind}, or correct the name."
    if target.kind in ("port", "lag"):
        return f"Correct the name, or have an operator assign the {target.kind} to your tenant."
    return (
        f"Correct the name, or ask an operator for the {target.kind}: you may use what is yours or assigned to you."
    )


def _hidden(run: Run, edit: Edit) -> list[Reference]:
    """References that the actor may not make. One that an operator made before may stay."""
    assert edit.after is not None
    if run.actor.sees_all:
        return []
    kind = run.kind(edit.after)
    kept = {r.target for r in kind.refs(edit.before)} if edit.before is not None else set()
    made = unreadable_references(run.actor, run.refs(edit.after), run.engine.kinds.__getitem__, run.view.get)
    return [r for r in made if r.target not in kept]


def _still_referred(run: Run, target: Ref, referrers: list[Ref]) -> Diagnostic:
    resources = [run.view.get(r) for r in dict.fromkeys(referrers)]
    seen = [r.ref for r in resources if r is not None and readable(run.actor, run.kind(r), r)]
    if seen:
        return still_referred(target, seen)
    return finding_at(
        target,
        "",
        "still-referred-to",
        "Others refer to the resource",
        f"{target.kind.capitalize()} {target.name} cannot go: something that you may not see would lead nowhere.",
        "Ask an operator what refers to it.",
    )


def _given(run: Run, request: Request, edits: list[Edit]) -> list[Resource[Any]]:
    """The resources for which an import brings numbers along that they do not have; notes these numbers."""
    wanted = {d.ref: d.allocated for d in request.put if d.allocated and d.ref not in run.unread}
    if not wanted:
        return []
    run.view.load(wanted)
    edited = {e.ref: e.after for e in edits}
    found = [r for ref in wanted if (r := edited.get(ref) or run.view.get(ref)) is not None]
    held = numbers.allocated(run.c, [r.id for r in found])
    # An import that is run again finds what it has written: that costs a look, and no compile.
    found = [r for r in found if not wanted[r.ref].items() <= held.get(r.id, {}).items()]
    run.given |= {(r.id, slot): value for r in found for slot, value in wanted[r.ref].items()}
    return found


def _settle(run: Run, edits: list[Edit], imported: list[Resource[Any]], devices: frozenset[str]) -> None:
    """Index what changed, allocate, and find out whom it concerns."""
    deleted = [e.before for e in edits if e.after is None and e.before is not None]
    fresh = dirty.drop(run, deleted) if deleted else {}
    run.unreleased = {r.id for r in deleted}
    exported = [r.ref for r in deleted]
    for edit in edits:
        if edit.after is None or edit.after.id in run.broken:
            continue
        kind = run.kind(edit.after)
        # Labels are for people, but where a kind exports what they say.
        export = edit.before is None or kind.exports(edit.before) != kind.exports(edit.after)
        if export or edit.before is None or edit.before.spec != edit.after.spec:
            run.mark_dirty(edit.after)
            fresh[edit.after.id] = edit.after
            if export:
                exported.append(edit.ref)
    for resource in imported:
        if resource.id not in run.broken:
            run.mark_dirty(resource)
            fresh[resource.id] = resource
    if devices == EVERYTHING:
        fresh |= _dirty(run, rows.every(run.c), None)
    elif devices:
        fresh |= _dirty(run, _concerned(run, devices), devices)
    with tolerant(run):
        dirty.settle(run, fresh, exported)


def _dirty(run: Run, stored: Iterable[Stored], devices: frozenset[str] | None) -> dict[int, Resource[Any]]:
    """Those that are not deleted or broken, dirty for these devices."""
    gone = run.broken | run.deleted.keys()
    found = {r.id: r for r in map(run.view.parse, stored) if r.id not in gone}
    for resource in found.values():
        run.mark_dirty(resource, devices)
    return found


def _concerned(run: Run, devices: frozenset[str]) -> list[Stored]:
    """The resources that say something about these devices, and those that may now: who refers to them."""
    switches = {fabric("switch", name) for name in devices}
    run.found += [missing(switch) for switch in sorted(switches) if run.view.get(switch) is None]
    ids = {i for name in devices for i in fragments.on_device(run.c, name)}
    ids |= {r.id for r, _ in run.view.pointing(switches)} | {r.id for r in map(run.view.get, switches) if r}
    return rows.by_id(run.c, ids)


def check(run: Run) -> None:
    """The rules of the kinds, for all that is dirty."""
    before = len(run.found)
    for resource in run.live.values():
        if resource.id not in run.broken:
            with tolerant(run):
                run.found += run.kind(resource).check(resource, run.view)
    run.found[before:] = reliable(run, run.found[before:])


class tolerant:  # noqa: N801 - reads like contextlib's own
    """Within: what follows from a finding that is already known is no fault of the program."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, (LookupError, Unallocated)) and bool(self._run.found)


def finish(run: Run, request: Request) -> None:
    """Make it a revision: the last thing written."""
    if not run.effective:
        return
    ledger.write_revision(run.c, Revision(run.revision, run.at, run.actor.name, request.message))
    ledger.set_counters(run.c, Counters(run.revision, run.last_id))


def _impossible_id(resource: Resource[Any], why: str) -> Diagnostic:
    return finding_at(
        resource.ref,
        "/id",
        "id-not-possible",
        "A resource cannot have the id that it brings along",
        f"{resource.ref} is to have the id {resource.id}, but {why}.",
        "Leave ids and numbers out (underlace import --new-numbers), or import into an empty store.",
    )


def _unknown_kind(run: Run, ref: Ref) -> Diagnostic:
    known = ", ".join(run.engine.kinds)
    return finding_at(
        ref,
        "/kind",
        "unknown-kind",
        "The kind is not known",
        f"There is no kind {ref.kind}.",
        f"Choose one of {known}.",
    )


def _put_and_deleted(ref: Ref) -> Diagnostic:
    return finding_at(
        ref,
        "",
        "put-and-deleted",
        "A change writes and deletes the same resource",
        f"{ref} is among the documents and among what is to be deleted.",
        "Decide for one of the two; to begin anew, delete it first.",
    )


def _built_in(ref: Ref) -> Diagnostic:
    return finding_at(
        ref,
        "",
        "built-in",
        "A built-in resource cannot be deleted",
        f"{ref} is there from the start, and others rely on it.",
        "Change its spec if it does not suit you.",
    )

"""get, delete, export: resources as the controller has them."""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from underlace.cli import output
from underlace.cli.failure import Exit, Stop
from underlace.cli.intent import read_documents
from underlace.cli.output import Format
from underlace.cli.session import session_of
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.ids import NO_TENANT, Ref

Tenant = Annotated[str | None, typer.Option("-t", "--tenant", help="The tenant of the resources.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")]


def get(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help="A kind; without it, the kinds that there are.")] = "",
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="One resource; TENANT/NAME also names its tenant.")
    ] = "",
    tenant: Tenant = None,
    label: Annotated[
        list[str] | None, typer.Option("-l", "--label", metavar="KEY=VALUE", help="With this label; may be repeated.")
    ] = None,
    form: Output = Format.TABLE,
) -> None:
    """Show resources, or one, or which kinds there are."""
    client = session_of(ctx).client
    kinds = {k["name"]: k for k in client.get("/v1/kinds")["items"]}
    _check_question(kind, name, tenant, label or [])
    if not kind:
        _show_kinds(list(kinds.values()), form)
        return
    info = _kind(kinds, kind)
    if name:
        from underlace.cli.client import resource_path

        items = [client.get(resource_path(_identity(ctx, info, name, tenant)))]
    else:
        items = _of_tenant(ctx, info, tenant, label or [])
    if form is Format.TABLE:
        _show_table(info, items)
    else:
        output.emit(items[0] if name else items, form)


def delete(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="[KIND]", help="A kind, as in `underlace get`.")] = "",
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="A resource; TENANT/NAME also names its tenant.")
    ] = "",
    tenant: Tenant = None,
    files: Annotated[
        list[Path] | None, typer.Option("-f", "--file", help="Delete what these files describe; may be repeated.")
    ] = None,
    message: Annotated[str, typer.Option("-m", "--message", help="Why, for the history.")] = "",
    form: Output = Format.TABLE,
) -> None:
    """Delete resources, all or nothing. What others refer to stays; the message says which."""
    client = session_of(ctx).client
    refs: list[Ref] = [Ref(d.kind, d.tenant, d.name) for d in read_documents(files or [])]
    if tenant and (others := [str(r) for r in refs if r.tenant != tenant]):
        raise Stop(Exit.USAGE, [_conflicting(tenant, others[0])])
    if kind and name:
        kinds = {k["name"]: k for k in client.get("/v1/kinds")["items"]}
        refs.append(_identity(ctx, _kind(kinds, kind), name, tenant))
    if not refs or (kind and not name):
        raise Stop(Exit.USAGE, [_nothing_named()])
    body = [{"kind": r.kind, "tenant": r.tenant, "name": r.name} for r in refs]
    applied = client.post("/v1/apply", {"delete": body, "message": message})
    if form is Format.TABLE:
        what = str(refs[0]) if len(refs) == 1 else f"{len(refs)} resources"
        output.note(f"revision {applied['revision']}: {what} deleted")
    else:
        output.emit(applied, form)


def export(
    ctx: typer.Context,
    allocations: Annotated[
        bool, typer.Option("--allocations", help="As JSON with ids and numbers, as POST /v1/apply takes it.")
    ] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="With ids and numbers, a document a line, as `underlace import` takes it.")
    ] = False,
) -> None:
    """Print all resources that you may read, in an order in which `apply -f -` takes them."""
    client = session_of(ctx).client
    if allocations or jsonl:
        # As it comes: however much there is, little of it is here at any moment.
        client.download("/v1/export?lines=true" if jsonl else "/v1/export", sys.stdout.buffer)
        sys.stdout.flush()
        return
    begin = ""
    for kind in client.get("/v1/kinds")["items"]:
        for item in _each(ctx, kind["name"]):
            output.write(begin + output.yaml_stream([_document(item)]))
            begin = "---\n"


def _identity(ctx: typer.Context, info: dict[str, Any], name: str, tenant: str | None) -> Ref:
    """The resource that a command line names; Stop when its tenant is missing, or said twice and differently."""
    if not info["tenanted"]:
        if tenant:
            raise Stop(Exit.USAGE, [_of_no_tenant(info["name"])])
        return Ref(info["name"], NO_TENANT, name)
    owner, slash, rest = name.partition("/")
    if tenant and slash and owner != tenant and _is_tenant(ctx, owner):
        raise Stop(Exit.USAGE, [_conflicting(tenant, f"{info['name']}/{name}")])
    if tenant:
        # A name may hold a slash, as 10.0.0.0/8 does: then it begins with no tenant's name.
        return Ref(info["name"], tenant, rest if slash and owner == tenant else name)
    if slash:
        return Ref(info["name"], owner, rest)
    fault = Diagnostic(
        Where(),
        "tenant-missing",
        "A resource of this kind belongs to a tenant",
        f"{name!r} does not say whose {info['name']} it is.",
        f"Name the tenant: -t TENANT {name}, or TENANT/{name}",
    )
    raise Stop(Exit.USAGE, [fault])


def _of_tenant(
    ctx: typer.Context, info: dict[str, Any], tenant: str | None, labels: list[str]
) -> list[dict[str, Any]]:
    """Resources of a kind. An empty list is no answer about a tenant that does not exist."""
    if tenant and not info["tenanted"]:
        raise Stop(Exit.USAGE, [_of_no_tenant(info["name"])])
    items = _pages(ctx, info["name"], tenant, labels)
    if tenant and not items and not _is_tenant(ctx, tenant):
        raise Stop(Exit.REFUSED, [_no_tenant(tenant, [i["name"] for i in _pages(ctx, "tenant", None, [])])])
    return items


def _is_tenant(ctx: typer.Context, name: str) -> bool:
    """Whether there is a tenant of this name that the actor may see."""
    from underlace.cli.client import resource_path

    try:
        session_of(ctx).client.get(resource_path(Ref("tenant", NO_TENANT, name)))
    except Stop as stop:
        if {d.code for d in stop.diagnostics} == {"not-found"}:
            return False
        raise
    return True


def _check_question(kind: str, name: str, tenant: str | None, labels: list[str]) -> None:
    """Stop where an option would have no effect, or cannot have one."""
    what = "" if kind else "the list of kinds"
    what = f"one {kind}" if name else what
    options = [o for o, given in (("-l", labels), ("-t", tenant if not kind else None)) if given]
    if what and options:
        detail = f"{options[0]} chooses among resources; this shows {what}."
        remedy = "Name a kind: underlace get KIND -l KEY=VALUE" if not kind else "Leave it out."
        raise Stop(
            Exit.USAGE, [Diagnostic(Where(), "option-without-effect", "An option has nothing to do", detail, remedy)]
        )
    wrong = [text for text in labels if not text.partition("=")[0] or "=" not in text]
    if wrong:
        detail = f"-l {shlex.quote(wrong[0])} is not of this form."
        remedy = "Write, for example: -l tier=front"
        raise Stop(
            Exit.USAGE,
            [
                Diagnostic(
                    Where(), "label-invalid", "A label is chosen by its key and value, KEY=VALUE", detail, remedy
                )
            ],
        )


def _conflicting(tenant: str, other: str) -> Diagnostic:
    return Diagnostic(
        Where(),
        "tenants-differ",
        "Two tenants are named",
        f"-t says {tenant}, but {other} is not of that tenant.",
        "Leave out one of them.",
    )


def _of_no_tenant(kind: str) -> Diagnostic:
    return Diagnostic(
        Where(),
        "kind-of-no-tenant",
        "A resource of this kind belongs to no tenant",
        f"A {kind} is part of the fabric.",
        "Leave out -t.",
    )


def _no_tenant(name: str, known: list[str]) -> Diagnostic:
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return Diagnostic(
        Where(),
        "not-found",
        "The tenant does not exist",
        f"There is no tenant {name} that you may see.",
        f"Did you mean {near[0]}?" if near else "List those that you may see: underlace get tenant",
    )


def _nothing_named() -> Diagnostic:
    return Diagnostic(
        Where(),
        "nothing-named",
        "Nothing is named to be deleted",
        "A kind needs a name with it.",
        "Name a resource: underlace delete KIND NAME, or files: underlace delete -f FILE",
    )


def _kind(kinds: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name in kinds:
        return kinds[name]
    near = [k for k in kinds if name.casefold() in (f"{k}s", f"{k}es", f"{k[:-1]}ies")]
    near = near or difflib.get_close_matches(name.casefold(), kinds, 1, 0.5)
    fault = Diagnostic(
        Where(),
        "unknown-kind",
        "There is no such kind",
        f"{name!r} is none of {', '.join(kinds)}.",
        f"Did you mean {near[0]}?" if near else "See what each of them is: underlace get",
    )
    raise Stop(Exit.USAGE, [fault])


def _pages(ctx: typer.Context, kind: str, tenant: str | None, labels: list[str]) -> list[dict[str, Any]]:
    return list(_each(ctx, kind, tenant, labels))


def _each(
    ctx: typer.Context, kind: str, tenant: str | None = None, labels: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Resources of a kind, a page in memory at a time."""
    after: str | None = None
    while True:
        query: dict[str, Any] = {"tenant": tenant, "label": labels or None, "after": after}
        page = session_of(ctx).client.get(f"/v1/resources/{kind}", **query)
        yield from page["items"]
        after = page.get("next")
        if not after:
            return


def _document(item: dict[str, Any]) -> dict[str, Any]:
    document = {"kind": item["kind"], "tenant": item["tenant"], "name": item["name"], "labels": item["labels"]}
    without = {k: v for k, v in document.items() if v not in (NO_TENANT, {})}
    return {**without, "spec": item["spec"]}


def _column(item: dict[str, Any], path: str) -> Any:
    """A field of the spec, "a.vpc" within another; a number that was allocated where the spec asks for none."""
    value: Any = item["spec"]
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return item["status"]["allocated"].get(path) if value is None else value


def waiting(status: dict[str, Any]) -> str:
    """Which devices are waited for; a tenant's user is told how many."""
    named = ", ".join(f"{w['device']} ({w['reason']})" for w in status["waiting"])
    return named or (f"{status['waiting_for']} devices" if status["waiting_for"] else "-")


def _show_kinds(kinds: list[dict[str, Any]], form: Format) -> None:
    if form is not Format.TABLE:
        output.emit(kinds, form)
        return
    rows = [(k["name"], "tenant" if k["tenanted"] else "fabric", k["writers"], k["summary"]) for k in kinds]
    output.table(("kind", "belongs to", "written by", "what it is"), rows)


def _show_table(info: dict[str, Any], items: list[dict[str, Any]]) -> None:
    columns = info["columns"]
    head = (["tenant"] if info["tenanted"] else []) + ["name", *columns, "state", "waits for"]
    rows = [
        ([i["tenant"]] if info["tenanted"] else [])
        + [
            i["name"],
            *(_column(i, c) for c in columns),
            i["status"]["state"],
            waiting(i["status"]),
        ]
        for i in items
    ]
    output.table(head, rows)

"""get, delete, export: resources as the controller has them."""

from __future__ import annotations

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
    label: Annotated[list[str] | None, typer.Option("-l", "--label", help="KEY=VALUE; may be repeated.")] = None,
    form: Output = Format.TABLE,
) -> None:
    """Show resources, or one, or which kinds there are."""
    client = session_of(ctx).client
    kinds = {k["name"]: k for k in client.get("/v1/kinds")["items"]}
    if not kind:
        _show_kinds(list(kinds.values()), form)
        return
    info = _kind(kinds, kind)
    if name:
        from underlace.cli.client import resource_path

        items = [client.get(resource_path(identity(info, name, tenant)))]
    else:
        items = _pages(ctx, kind, tenant, label or [])
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
    if kind and name:
        kinds = {k["name"]: k for k in client.get("/v1/kinds")["items"]}
        refs.append(identity(_kind(kinds, kind), name, tenant))
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
) -> None:
    """Print all resources that you may read, in an order in which `apply -f -` takes them."""
    client = session_of(ctx).client
    if allocations:
        output.emit(client.get("/v1/export"), Format.JSON)
        return
    kinds = client.get("/v1/kinds")["items"]
    documents = [_document(item) for kind in kinds for item in _pages(ctx, kind["name"], None, [])]
    output.write(output.yaml_stream(documents))


def identity(info: dict[str, Any], name: str, tenant: str | None) -> Ref:
    """The resource that a command line names; Stop when its tenant is missing."""
    if not info["tenanted"]:
        return Ref(info["name"], NO_TENANT, name)
    owner, slash, rest = name.partition("/")
    if tenant:
        return Ref(info["name"], tenant, name)
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
    fault = Diagnostic(
        Where(), "unknown-kind", "There is no such kind", f"{name!r} is none of {', '.join(kinds)}.", "underlace get"
    )
    raise Stop(Exit.USAGE, [fault])


def _pages(ctx: typer.Context, kind: str, tenant: str | None, labels: list[str]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        query: dict[str, Any] = {"tenant": tenant, "label": labels or None, "after": after}
        page = session_of(ctx).client.get(f"/v1/resources/{kind}", **query)
        items += page["items"]
        after = page.get("next")
        if not after:
            return items


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

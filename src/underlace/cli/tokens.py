"""token create|list|revoke."""

from __future__ import annotations

from typing import Annotated

import typer

from underlace.cli import output
from underlace.cli.devices import moment
from underlace.cli.failure import show
from underlace.cli.output import Format
from underlace.cli.session import session_of
from underlace.model.diagnostic import Diagnostic, Severity, Where

app = typer.Typer(no_args_is_help=True, help="Tokens of people and programs.")

Output = Annotated[Format, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")]


@app.command("create")
def create_token(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose token it is; the history and the audit name it.")],
    role: Annotated[str, typer.Option(help="admin, operator, reader or tenant.")] = "reader",
    tenant: Annotated[
        list[str] | None, typer.Option("-t", "--tenant", help="With --role tenant; may be repeated.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires; never without.", min=0)] = None,
    context: Annotated[
        bool, typer.Option("--as-context", help="Print a whole context, to be kept with mode 600.")
    ] = False,
    form: Output = Format.TABLE,
) -> None:
    """Make a token. It is shown this once: the controller keeps a hash of it."""
    session = session_of(ctx)
    body = {
        "name": name,
        "role": role,
        "tenants": tenant or [],
        "expires_in": None if days is None else days * 86_400,
    }
    issued = session.client.post("/v1/tokens", body)
    if context:
        from underlace.cli.context import load

        own = load(session.named_context)
        output.emit({"url": own.url, "ca": own.ca, "token": issued["token"]}, Format.JSON)
    elif form is Format.TABLE:
        output.write(issued["token"])
    else:
        output.emit(issued, form)
    if issued["expires"] is None:
        show(output.notes, [_endless(issued)])


@app.command("list")
def list_tokens(ctx: typer.Context, form: Output = Format.TABLE) -> None:
    """Show all tokens, without their secrets."""
    items = session_of(ctx).client.get("/v1/tokens")["items"]
    if form is not Format.TABLE:
        output.emit(items, form)
        return
    rows = [
        (t["id"], t["name"], t["role"], t["tenants"] or "-", moment(t["created"]), t["created_by"], _end(t))
        for t in items
    ]
    output.table(("id", "name", "role", "tenants", "created", "by", "ends"), rows)


@app.command("revoke")
def revoke_token(
    ctx: typer.Context, token: Annotated[str, typer.Argument(metavar="ID", help="From token list.")]
) -> None:
    """Make a token void, at once and for good."""
    from urllib.parse import quote

    session_of(ctx).client.delete("/v1/tokens/" + quote(token, safe=""))
    output.note(f"token {token} is revoked")


def _endless(token: dict[str, object]) -> Diagnostic:
    return Diagnostic(
        Where(),
        "token-without-end",
        "The token never expires",
        f"{token['name']} has it until somebody revokes it, whoever may have found it.",
        f"Make one that ends: underlace token create --days 90; then: underlace token revoke {token['id']}",
        Severity.WARNING,
    )


def _end(token: dict[str, object]) -> str:
    revoked, expires = token["revoked"], token["expires"]
    if isinstance(revoked, int):
        return f"revoked {moment(revoked)}"
    return moment(expires) if isinstance(expires, int) else "never"

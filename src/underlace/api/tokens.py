"""/v1/whoami and /v1/tokens."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from underlace.access import TOKEN_ROLES, Role
from underlace.api.body import decode
from underlace.api.call import actor_of, answer, nothing, run
from underlace.api.openapi import body_of
from underlace.controller.identity import Identity
from underlace.model.diagnostic import Diagnostic, Refused, Where

LIFETIME_MAX = 10 * 365 * 86_400
"""Seconds; a token that should outlive this may as well have no end."""


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """expires_in: seconds, none for a token without end."""

    name: str
    role: str
    tenants: tuple[str, ...] = ()
    expires_in: float | None = None


def routes(identity: Identity) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["identity"])

    async def whoami(request: Request) -> Response:
        """The actor that the token of this request stands for."""
        actor = actor_of(request)
        return answer({"name": actor.name, "role": actor.role, "tenants": sorted(actor.tenants)})

    async def create_token(request: Request) -> Response:
        """Make a token. Its text is in this answer and nowhere else."""
        asked = decode(await request.body(), NewToken)
        lifetime = _lifetime(asked)
        issued = await run(
            identity.create_token, actor_of(request), asked.name, _role(asked.role), asked.tenants, lifetime
        )
        return answer({**msgspec.to_builtins(issued.info), "token": issued.text}, 201)

    async def list_tokens(request: Request) -> Response:
        """All tokens, without their secrets."""
        return answer({"items": await run(identity.list_tokens, actor_of(request))})

    async def revoke_token(request: Request, token: str) -> Response:
        """Make a token void at once."""
        await run(identity.revoke_token, actor_of(request), token)
        return nothing()

    router.add_api_route("/whoami", whoami, methods=["GET"])
    router.add_api_route("/tokens", list_tokens, methods=["GET"])
    router.add_api_route("/tokens", create_token, methods=["POST"], status_code=201, openapi_extra=body_of(NewToken))
    router.add_api_route("/tokens/{token}", revoke_token, methods=["DELETE"], status_code=204)
    return router


def _role(text: str) -> Role:
    if text in TOKEN_ROLES:
        return Role(text)
    roles = ", ".join(TOKEN_ROLES)
    raise Refused([_invalid("/role", f"{text[:40]!r} is none of {roles}.", f"Use one of {roles}.")])


def _lifetime(asked: NewToken) -> timedelta | None:
    if asked.expires_in is None:
        return None
    if not 0 < asked.expires_in <= LIFETIME_MAX:
        raise Refused(
            [_invalid("/expires_in", "It is not between 1 second and 10 years.", "Leave it out for no end.")]
        )
    return timedelta(seconds=asked.expires_in)


def _invalid(pointer: str, detail: str, remedy: str) -> Diagnostic:
    return Diagnostic(Where("token", pointer), "token-invalid", "The token asked for is not possible", detail, remedy)

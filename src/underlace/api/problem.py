"""Every answer that is not a success: RFC 9457 problem details with the whole list of diagnostics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Scope

from underlace.model.diagnostic import Diagnostic, Severity, Where

MEDIA_TYPE = "application/problem+json"

STATUS_OF: Mapping[str, int] = {
    "forbidden": 403,
    "not-found": 404,
    "query-unknown": 404,
    "plan-changed": 409,
    "fragment-stale": 409,
    "still-referred-to": 409,
    "history-compacted": 410,
    "request-too-large": 413,
    "document-too-large": 413,
    "agent-version": 426,
    "too-many-failures": 429,
    "live-busy": 429,
    "not-ready": 503,
    "backup-failed": 503,
    "store-damaged": 503,
    "store-unavailable": 503,
}
"""Codes that mean something to HTTP; any other finding about a request is 422."""


def status_of(diagnostics: Iterable[Diagnostic]) -> int:
    """The status that all findings agree on; where they differ, the request as a whole cannot be processed."""
    statuses = {STATUS_OF.get(d.code, 422) for d in diagnostics if d.severity is Severity.ERROR}
    return statuses.pop() if len(statuses) == 1 else 422


def problem(
    scope: Scope,
    diagnostics: Iterable[Diagnostic],
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that was refused."""
    found = tuple(diagnostics)
    status = status or status_of(found)
    first = found[0]
    body: dict[str, Any] = {
        "type": f"urn:underlace:problem:{first.code}" if len(found) == 1 else "urn:underlace:problem:refused",
        "title": first.summary if len(found) == 1 else HTTPStatus(status).phrase,
        "status": status,
        "detail": first.detail if len(found) == 1 else f"There are {len(found)} findings.",
        "instance": f"urn:underlace:request:{request_id(scope)}",
        "diagnostics": [as_json(d) for d in found],
    }
    return Response(msgspec.json.encode(body), status, headers, media_type=MEDIA_TYPE)


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic with its severity always said."""
    return {"severity": str(diagnostic.severity), **msgspec.to_builtins(diagnostic)}


def request_id(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


def unexpected(scope: Scope) -> Response:
    """A fault of the controller: the client learns a number to quote, and nothing of the inside."""
    fault = Diagnostic(
        Where(),
        "internal-fault",
        "The controller failed to answer",
        f"The fault is in the controller's log under request {request_id(scope)}.",
        "Try again; if it persists, report it with that part of the log.",
    )
    return problem(scope, [fault], 500)


def from_status(scope: Scope, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """What routing itself refuses: no such path, no such method."""
    path, method = scope.get("path", ""), scope.get("method", "")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (headers or {}).get("allow", "") or (headers or {}).get("Allow", "")
        fault = Diagnostic(
            Where(),
            "method-not-allowed",
            "The method does not go with this path",
            f"{method} is not possible on {path[:200]}.",
            f"Use one of: {allowed}" if allowed else "See /v1/openapi.json for what is.",
        )
    else:
        fault = Diagnostic(
            Where(),
            "path-unknown" if status == HTTPStatus.NOT_FOUND else "request-invalid",
            "There is nothing at this path" if status == HTTPStatus.NOT_FOUND else "The request is not possible",
            f"{method} {path[:200]}",
            "See /v1/openapi.json for all paths.",
        )
    return problem(scope, [fault], status, headers)


def from_validation(scope: Scope, errors: Iterable[Mapping[str, Any]]) -> Response:
    """Path and query parameters at fault, all at once."""
    found = [
        Diagnostic(
            Where(pointer="/" + "/".join(str(part) for part in error.get("loc", ()))),
            "parameter-invalid",
            "A parameter of the request has no possible value",
            str(error.get("msg", "")),
            "See /v1/openapi.json for the parameters of this path.",
        )
        for error in errors
    ]
    return problem(scope, found or [Diagnostic(Where(), "parameter-invalid", "A parameter is at fault")], 422)

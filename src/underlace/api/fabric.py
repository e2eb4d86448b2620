"""/v1/status, /v1/revisions, /v1/history and /v1/backup: the controller as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain, islice
from typing import IO, Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from underlace.api.body import decode
from underlace.api.call import actor_of, answer, run
from underlace.api.openapi import body_of
from underlace.controller.archive import Archive
from underlace.controller.controller import Controller
from underlace.controller.document import Document
from underlace.store.past import Place

PIECE = 256 * 1024
"""Bytes of a backup in memory at a time."""

AT_ONCE = 500
"""Documents of an export in memory at a time."""

JSON_LINES = "application/x-ndjson"

Bounded = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]

Revision = Annotated[int | None, Query(ge=0, le=2**53, description="Wait state of this revision, not of the last.")]
Number = Annotated[int, Path(ge=0, le=2**53, description="A revision.")]
Before = Annotated[int | None, Query(ge=0, le=2**53, description="Only revisions older than this.")]
Lines = Annotated[bool, Query(description="One document a line (JSONL), instead of one JSON value.")]
Limit = Annotated[int, Query(ge=1, le=1_000, description="As many, newest first.")]


class Compaction(msgspec.Struct, forbid_unknown_fields=True):
    """What to drop of history. after: of the answer before, to go on from there."""

    keep_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)]
    after: tuple[Bounded, Bounded] | None = None


def routes(controller: Controller, archive: Archive) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["fabric"])
    _mount_history(router, controller)
    _mount_whole(router, controller, archive)

    async def status(request: Request, revision: Revision = None) -> Response:
        """Whether devices hold what they should, and which are waited for."""
        return answer(await run(controller.status, actor_of(request), revision))

    router.add_api_route("/status", status, methods=["GET"])
    return router


def _mount_history(router: APIRouter, controller: Controller) -> None:
    async def revisions(request: Request, limit: Limit = 20, before: Before = None) -> Response:
        """Who changed intent, when and why; the newest first."""
        return answer({"items": await run(controller.revisions, actor_of(request), limit, before)})

    async def show_revision(request: Request, revision: Number) -> Response:
        """One revision, and every resource that it wrote as it left it."""
        found, wrote = await run(controller.revision, actor_of(request), revision)
        return answer({"revision": found, "items": wrote})

    async def as_of(request: Request, revision: Number) -> Response:
        """All intent as a revision left it."""
        return answer({"items": await run(controller.as_of, actor_of(request), revision)})

    async def compact(request: Request) -> Response:
        """Drop what intent was longer ago than so many days: some of it, until the answer says that nothing is
        left."""
        actor = actor_of(request)
        asked = decode(await request.body(), Compaction)
        after = Place(*asked.after) if asked.after is not None else Place()
        return answer(await run(controller.compact, actor, timedelta(days=asked.keep_days), after))

    extra = body_of(Compaction)
    router.add_api_route("/history/compact", compact, methods=["POST"], openapi_extra=extra)
    router.add_api_route("/revisions", revisions, methods=["GET"])
    router.add_api_route("/revisions/{revision}", show_revision, methods=["GET"])
    router.add_api_route("/revisions/{revision}/intent", as_of, methods=["GET"])


def _mount_whole(router: APIRouter, controller: Controller, archive: Archive) -> None:
    async def export(request: Request, lines: Lines = False) -> Response:
        """All intent with ids and allocated numbers, as /v1/apply of another controller takes it. What others
        stand on comes first. It is a stream: an answer without its end is not whole."""
        pieces = _exported(controller.export(actor_of(request)), lines)
        first = await run(next, pieces)  # what keeps it from beginning is still an answer of its own
        return StreamingResponse(chain((first,), pieces), media_type=JSON_LINES if lines else "application/json")

    async def differences(request: Request) -> Response:
        """Where the desired state is not that of a compile from nothing: a fault, or what an upgrade would change."""
        return answer({"items": await run(controller.differences, actor_of(request))})

    async def backup(request: Request) -> Response:
        """A backup of the store and the CA. Whoever holds it holds the fabric: it is for administrators."""
        whole = await run(archive.pack, actor_of(request))
        size = os.fstat(whole.fileno()).st_size
        headers = {
            "content-disposition": 'attachment; filename="underlace-backup.tar"',
            "content-length": str(size),
        }
        return StreamingResponse(_pieces(whole), 200, headers, media_type="application/x-tar")

    async def survey(request: Request) -> Response:
        """Begin to find out which devices this release would configure otherwise than they are. Nothing changes."""
        return answer(await run(controller.survey, actor_of(request)), 202)

    async def surveyed(request: Request) -> Response:
        """How far that is, and what was found."""
        return answer(await run(controller.surveyed, actor_of(request)))

    router.add_api_route("/upgrade/survey", survey, methods=["POST"])
    router.add_api_route("/upgrade/survey", surveyed, methods=["GET"])
    router.add_api_route("/export", export, methods=["GET"])
    router.add_api_route("/differences", differences, methods=["GET"])
    router.add_api_route("/backup", backup, methods=["GET"])


def _pieces(whole: IO[bytes]) -> Iterator[bytes]:
    with whole:
        while piece := whole.read(PIECE):
            yield piece


def _exported(documents: Iterator[Document], lines: bool) -> Iterator[bytes]:
    """JSON, or a document a line, some hundred at a time."""
    begin, between, end = (b"", b"", b"") if lines else (b'{"documents":[', b",", b"]}")
    encode = msgspec.json.Encoder().encode
    while batch := [encode(_plain(d)) + (b"\n" if lines else b"") for d in islice(documents, AT_ONCE)]:
        yield begin + between.join(batch)
        begin = between
    yield end if begin == between else begin + end


def _plain(document: Document) -> dict[str, Any]:
    kind, tenant, name = document.ref
    return {
        "kind": kind,
        "tenant": tenant,
        "name": name,
        "labels": document.labels,
        "spec": document.spec,
        "id": document.id,
        "allocated": document.allocated,
    }

"""/healthz and /readyz: the only answers for a caller that nobody knows. Yes or no, and nothing else."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from underlace.api.call import answer, run
from underlace.controller.controller import Controller


def routes(controller: Controller) -> APIRouter:
    router = APIRouter(tags=["health"])

    async def healthz() -> Response:
        """Whether the process answers at all."""
        return answer({"status": "ok"})

    async def readyz() -> Response:
        """Whether the store answers too: then changes and agents are served."""
        ready = await run(controller.ready)
        return answer({"status": "ok" if ready else "not ready"}, 200 if ready else 503)

    router.add_api_route("/healthz", healthz, methods=["GET"])
    router.add_api_route("/readyz", readyz, methods=["GET"])
    return router

"""/v1/devices: what devices should hold and do hold, their enrolment, and forgetting them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from underlace.api.call import actor_of, answer, nothing, run
from underlace.controller.controller import Controller
from underlace.controller.identity import Identity


def routes(controller: Controller, identity: Identity) -> APIRouter:
    router = APIRouter(prefix="/v1/devices", tags=["devices"])

    async def list_devices(request: Request) -> Response:
        """Every device: the revision it should hold, and the one it says it holds."""
        return answer({"items": await run(controller.devices, actor_of(request))})

    async def show_device(request: Request, device: str) -> Response:
        """All that is known of a device."""
        return answer(await run(controller.device, actor_of(request), device))

    async def show_config(request: Request, device: str) -> Response:
        """The native configuration that the device should hold."""
        return answer({"device": device, "lines": await run(controller.config, actor_of(request), device)})

    async def enrol_device(request: Request, device: str) -> Response:
        """Make a one-time token with which the device's agent gets its certificate; earlier ones become void."""
        actor = actor_of(request)
        await run(controller.device, actor, device)
        issued = await run(identity.create_enrolment, actor, device)
        return answer({"device": issued.device, "token": issued.text, "expires": issued.expires}, 201)

    async def forget_device(request: Request, device: str) -> Response:
        """Declare the device dead: its certificates are void, and it holds no numbers back any more."""
        actor = actor_of(request)
        # The certificate first: a device that is still alive must not confirm anything after it was forgotten.
        await run(identity.revoke_device, actor, device)
        await run(controller.forget, actor, device)
        return nothing()

    router.add_api_route("", list_devices, methods=["GET"])
    router.add_api_route("/{device}", show_device, methods=["GET"])
    router.add_api_route("/{device}", forget_device, methods=["DELETE"], status_code=204)
    router.add_api_route("/{device}/config", show_config, methods=["GET"])
    router.add_api_route("/{device}/enrolment", enrol_device, methods=["POST"], status_code=201)
    return router

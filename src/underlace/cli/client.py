"""The HTTP client of all commands: one TLS connection to one controller, trusted by its own CA alone."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import IO, Any, NoReturn
from urllib.parse import quote

import httpx
import msgspec

from underlace import __version__
from underlace.cli.context import Context
from underlace.cli.failure import Exit, Stop
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.ids import Ref

TIMEOUT = httpx.Timeout(120.0, connect=5.0)


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()


class Client:
    """Requests that answer with decoded JSON, or stop the command saying why."""

    def __init__(self, context: Context) -> None:
        self._context = context
        try:
            trust = ssl.create_default_context(cadata=context.ca)
        except ssl.SSLError as fault:
            raise Stop(
                Exit.UNREACHABLE, [_fault("context-invalid", "The CA of the context is not one", str(fault))]
            ) from None
        self._http = httpx.Client(
            base_url=context.url,
            verify=trust,
            timeout=TIMEOUT,
            trust_env=False,
            headers={"authorization": f"Bearer {context.token}", "user-agent": f"underlace/{__version__}"},
        )

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, query={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: object = None) -> Any:
        return self.call("POST", path, body)

    def put(self, path: str, body: object) -> Any:
        return self.call("PUT", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def call(self, method: str, path: str, body: object = None, query: Mapping[str, Any] | None = None) -> Any:
        """The decoded answer, None for an empty one."""
        response = self._send(method, path, body, query)
        if not response.content:
            return None
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError:
            raise Stop(Exit.REFUSED, [self._stranger(response)]) from None

    def download(self, path: str, out: IO[bytes]) -> int:
        """Write the answer as it is; returns how many bytes it has."""
        size = 0
        try:
            with self._http.stream("GET", path) as response:
                if not response.is_success:
                    response.read()
                    self._refuse(response)
                for piece in response.iter_bytes():
                    size += out.write(piece)
        except (httpx.HTTPError, ssl.SSLError) as fault:
            raise Stop(Exit.UNREACHABLE, [self._unreachable(fault)]) from None
        return size

    def _send(self, method: str, path: str, body: object, query: Mapping[str, Any] | None) -> httpx.Response:
        content = None if body is None else msgspec.json.encode(body)
        headers = {"content-type": "application/json"} if content is not None else {}
        try:
            response = self._http.request(method, path, content=content, headers=headers, params=query)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as fault:
            raise Stop(Exit.UNREACHABLE, [self._unreachable(fault)]) from None
        if not response.is_success:
            self._refuse(response)
        return response

    def _refuse(self, response: httpx.Response) -> NoReturn:
        code = Exit.UNREACHABLE if response.status_code in (401, 429) else Exit.REFUSED
        raise Stop(code, self._findings(response))

    def _findings(self, response: httpx.Response) -> tuple[Diagnostic, ...]:
        try:
            told = msgspec.json.decode(response.content, type=_Problem)
        except msgspec.MsgspecError:
            return (self._stranger(response),)
        return told.diagnostics or (_fault("request-failed", told.title or "The request failed", told.detail),)

    def _unreachable(self, fault: Exception) -> Diagnostic:
        detail = f"{self._context.url}: {fault}"
        if "CERTIFICATE_VERIFY_FAILED" in detail:
            detail = f"{self._context.url} does not show a certificate of the CA in the context: {fault}"
        return _fault(
            "controller-unreachable",
            "The controller cannot be reached",
            detail,
            "Check that it runs (underlace up), and that the context names it: underlace --context FILE",
        )

    def _stranger(self, response: httpx.Response) -> Diagnostic:
        detail = f"{response.request.url} answered {response.status_code} with something that is not JSON."
        remedy = "Check the URL of the context."
        return _fault("answer-invalid", "The answer is not that of a controller", detail, remedy)


def resource_path(ref: Ref) -> str:
    """The path of a resource; a name may hold anything but control characters."""
    return "/v1/resources/" + "/".join(quote(part, safe="") for part in ref)


def _fault(code: str, summary: str, detail: str, remedy: str = "") -> Diagnostic:
    return Diagnostic(Where(), code, summary, detail, remedy)

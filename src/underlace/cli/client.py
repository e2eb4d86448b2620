"""The HTTP client of all commands: one TLS connection to one controller, trusted by its own CA alone."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
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


OWN_CONTEXT = "it stands in context.json in the controller's data directory."
ANOTHER = (
    "An administrator makes another: underlace token create --as-context NAME; on the controller's machine, while it "
    "is stopped: underlace recover"
)
UNKNOWN = "The controller does not know the token of the context"


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()


class Client:
    """Requests that answer with decoded JSON, or stop the command saying why."""

    """file: where the context was read from, for messages."""

    def __init__(self, context: Context, file: Path) -> None:
        self._context = context
        self._file = file
        try:
            trust = ssl.create_default_context(cadata=context.ca)
        except (ssl.SSLError, ValueError) as fault:
            detail = f"The field ca is no certificate in PEM: {fault}"
            remedy = f"Put the CA of the controller into {file}: {OWN_CONTEXT}"
            raise Stop(
                Exit.UNREACHABLE, [self._about_context("The CA of the context is not one", detail, remedy)]
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

    def _about_context(self, summary: str, detail: str, remedy: str) -> Diagnostic:
        return Diagnostic(Where(file=str(self._file)), "context-invalid", summary, detail, remedy)

    def _findings(self, response: httpx.Response) -> tuple[Diagnostic, ...]:
        if response.status_code == 401:
            detail = (
                f"{self._context.url} does not know it: it is misspelt, expired, revoked, or another controller's."
            )
            return (Diagnostic(Where(file=str(self._file)), "unauthenticated", UNKNOWN, detail, ANOTHER),)
        try:
            told = msgspec.json.decode(response.content, type=_Problem)
        except msgspec.MsgspecError:
            return (self._stranger(response),)
        return told.diagnostics or (_fault("request-failed", told.title or "The request failed", told.detail),)

    def _unreachable(self, fault: Exception) -> Diagnostic:
        detail = f"{self._context.url}: {fault}"
        if "CERTIFICATE_VERIFY_FAILED" in detail:
            return Diagnostic(
                Where(file=str(self._file)),
                "controller-not-trusted",
                "The controller is not the one that the context trusts",
                f"{self._context.url} does not show a certificate of the CA in {self._file}: {fault}",
                f"If url is right, put the CA of that controller into {self._file}: {OWN_CONTEXT}",
            )
        return _fault(
            "controller-unreachable",
            "The controller cannot be reached",
            detail,
            f"Check that it runs (underlace up) and that {self._file} names it, or name another: "
            "underlace --context FILE",
        )

    def _stranger(self, response: httpx.Response) -> Diagnostic:
        detail = f"{response.request.url} answered {response.status_code} with something that is not JSON."
        remedy = f"Check url in {self._file}."
        return _fault("answer-invalid", "The answer is not that of a controller", detail, remedy)


def resource_path(ref: Ref) -> str:
    """The path of a resource; a name may hold anything but control characters."""
    return "/v1/resources/" + "/".join(quote(part, safe="") for part in ref)


def _fault(code: str, summary: str, detail: str, remedy: str = "") -> Diagnostic:
    return Diagnostic(Where(), code, summary, detail, remedy)

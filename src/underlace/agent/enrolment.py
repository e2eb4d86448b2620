"""Becoming and staying a device that the controller knows: the first certificate, and each one after it."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from underlace.agent.client import Controller, Refusal
from underlace.agent.clock import Backoff, Clock
from underlace.agent.config import AgentConfig
from underlace.agent.identity import Identity, IdentityError
from underlace.agent.log import Log
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.wire import EnrolRequest, RenewRequest

RENEW_FIRST, RENEW_LIMIT = 60.0, 3600.0
"""Seconds between tries to renew. A third of the certificate's life is left for them."""


class NotEnrolled(Exception):
    """The device has no certificate and cannot get one now; the text says what is missing."""


class Enrolment:
    """Sees to a valid certificate before anything else is asked of the controller."""

    def __init__(
        self, config: AgentConfig, identity: Identity, controller: Controller, clock: Clock, log: Log
    ) -> None:
        self._config, self._identity, self._controller = config, identity, controller
        self._clock, self._log = clock, log
        self._renewals = Backoff(RENEW_FIRST, RENEW_LIMIT)
        self._renew_at = 0.0
        self._told_expired = False

    def ensure(self) -> None:
        """Enrol or renew if it is time. Raises NotEnrolled, Unreachable or Refusal."""
        if self._identity.exists():
            try:
                expired = self._identity.expired(self._clock.wall())
                due = self._identity.renewal_due(self._clock.wall())
            except IdentityError as damaged:
                self._log.event("identity-damaged", level="error", error=str(damaged))
                self._identity.set_aside()
                self._controller.forget()
            else:
                self._tell_expired(expired)
                if due and not expired:
                    self._renew()
                if not expired or not self._token():
                    return
        self._enrol()

    def refused(self) -> bool:
        """The controller does not know this certificate. Whether a token for a new one is at hand, and was used."""
        if not self._token():
            return False
        self._enrol()
        return True

    def _tell_expired(self, expired: bool) -> None:
        """Say once that the certificate has ended. It is shown all the same: the clock may be the one that is wrong,
        and the controller judges by its own."""
        if expired and not self._told_expired:
            device, (_, end) = self._config.device, self._identity.validity()
            self._log.finding(
                Diagnostic(
                    Where(device=device),
                    "device-certificate-expired",
                    "The device's certificate has expired.",
                    f"By this device's clock it ended at {datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC; the "
                    "controller takes no other. The network goes on as it is.",
                    f"Set the clock if it is wrong; else run `underlace device enrol {device}` and put the token "
                    f"into {self._config.token_file or 'the file that token_file names'}.",
                )
            )
        self._told_expired = expired

    def _enrol(self) -> None:
        token = self._token()
        if not token:
            raise NotEnrolled(
                f"{self._config.device} has no certificate and no token in {self._config.token_file or 'token_file'} "
                f"(make one with `underlace device enrol {self._config.device}`)"
            )
        try:
            request = EnrolRequest(self._config.device, token, self._identity.request())
            self._identity.install(self._controller.enrol(request))
        except (IdentityError, OSError, ssl.SSLError) as failed:
            raise NotEnrolled(f"{self._config.device} cannot keep a key and a certificate: {failed}") from failed
        with suppress(OSError):  # it is of no use any more, wherever it lies
            Path(self._config.token_file).unlink()
        self._controller.forget()
        self._log.event("enrolled")

    def _renew(self) -> None:
        """Try for a newer certificate. The old one is still good: a failure only waits for the next try."""
        now = self._clock.monotonic()
        if now < self._renew_at:
            return
        self._renew_at = now + self._renewals.next()
        try:
            request = RenewRequest(self._identity.request())
            self._identity.install(self._controller.renew(request))
        except (IdentityError, OSError, Refusal) as failed:
            self._log.event("renewal-failed", level="warning", error=str(failed))
            return
        self._renewals.reset()
        self._renew_at = 0.0
        self._controller.forget()
        self._log.event("certificate-renewed")

    def _token(self) -> str:
        if not self._config.token_file:
            return ""
        try:
            return Path(self._config.token_file).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""

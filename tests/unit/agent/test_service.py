"""Restarting the routing service."""

import pytest

from underlace.agent import service


def test_success_is_silent() -> None:
    service.restart(["true"])


def test_failure_has_the_commands_words() -> None:
    with pytest.raises(OSError, match=r"ls /no/such/place ended with 2: .*No such file"):
        service.restart(["ls", "/no/such/place"])


def test_missing_program() -> None:
    with pytest.raises(OSError, match="no-such-program"):
        service.restart(["no-such-program"])


def test_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RESTART_SECONDS", 0.1)
    with pytest.raises(TimeoutError, match="sleep 30 did not end"):
        service.restart(["sleep", "30"])

"""The first certificate and its renewals, against a real server and the real openssl."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.agent_rig import FakeClock
from support.https_controller import TOKEN, Authority, HttpsServer
from underlace.agent.client import HttpsController, Refusal, Unreachable
from underlace.agent.config import AgentConfig
from underlace.agent.enrolment import Enrolment, NotEnrolled
from underlace.agent.identity import Identity
from underlace.agent.log import Log
from underlace.model.wire import DesiredRequest


class Bench:
    def __init__(self, directory: Path, server: HttpsServer) -> None:
        self.server, self.clock, self.log = server, FakeClock(), io.StringIO()
        self.token = directory / "token"
        self.token.write_text(TOKEN + "\n")
        (directory / "trusted.pem").write_text(server.authority.pem)
        self.config = config = AgentConfig(
            device="leaf1",
            controllers=(server.url,),
            ca=str(directory / "trusted.pem"),
            state_dir=str(directory),
            token_file=str(self.token),
        )
        self.identity = Identity(directory, "leaf1")
        authorities = (Path(config.ca), self.identity.ca)
        self.controller = HttpsController(config.controllers, authorities, self.identity.pem, None, 5.0)
        self.enrolment = Enrolment(config, self.identity, self.controller, self.clock, Log("leaf1", self.log))

    def after_a_restart(self) -> Enrolment:
        """What a new process makes of the files."""
        self.controller.forget()
        self.identity = Identity(self.identity.pem.parent, "leaf1")
        return Enrolment(self.config, self.identity, self.controller, self.clock, Log("leaf1", self.log))

    def verbs(self) -> list[str]:
        return [verb for verb, _, _ in self.server.seen]

    def at(self, share: float) -> None:
        """Set the wall clock to a share of the certificate's life."""
        start, end = self.identity.validity()
        self.clock.wall_now = start + (end - start) * share


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def bench(tmp_path: Path, authority: Authority) -> Iterator[Bench]:
    with HttpsServer(tmp_path, authority) as server:
        made = Bench(tmp_path, server)
        yield made
        made.controller.forget()


def test_enrols_once_and_drops_the_token(bench: Bench) -> None:
    bench.enrolment.ensure()
    assert not bench.token.exists()
    bench.at(0.5)
    bench.enrolment.ensure()
    assert bench.verbs() == ["enrol"]
    bench.controller.desired(DesiredRequest())
    assert bench.server.seen[-1][1] == "leaf1"


def test_without_token_it_says_what_is_missing(bench: Bench) -> None:
    bench.token.unlink()
    with pytest.raises(NotEnrolled, match=r"no certificate and no token in .*/token .*underlace device enrol leaf1"):
        bench.enrolment.ensure()
    assert bench.verbs() == []


def test_refused_token_stays_for_the_next_one(bench: Bench) -> None:
    bench.token.write_text("old")
    with pytest.raises(Refusal, match="Unknown token"):
        bench.enrolment.ensure()
    bench.token.write_text(TOKEN)
    bench.enrolment.ensure()
    assert bench.identity.exists()


def test_renews_after_two_thirds_of_life_with_a_new_key(bench: Bench) -> None:
    bench.enrolment.ensure()
    before = bench.identity.pem.read_text()
    bench.at(0.6)
    bench.enrolment.ensure()
    assert bench.verbs() == ["enrol"]
    bench.at(0.7)
    bench.enrolment.ensure()
    assert bench.verbs() == ["enrol", "renew"]
    assert bench.server.seen[-1][1] == "leaf1"
    after = bench.identity.pem.read_text()
    assert before.split("-----BEGIN CERTIFICATE")[0] != after.split("-----BEGIN CERTIFICATE")[0]
    connections = bench.server.connections
    bench.controller.desired(DesiredRequest())
    assert bench.server.connections == connections + 1, "the new certificate is not in use"


def test_refused_renewal_is_tried_again_later_and_stops_nothing(bench: Bench) -> None:
    bench.enrolment.ensure()
    bench.at(0.7)
    bench.server.answers["renew"] = lambda body, name: (403, "revoked")
    for _ in range(5):
        bench.enrolment.ensure()
    assert bench.verbs().count("renew") == 1
    bench.clock.now += 61
    bench.enrolment.ensure()
    assert bench.verbs().count("renew") == 2
    assert "revoked" in bench.log.getvalue()


def test_certificate_that_does_not_fit_leaves_the_old_one(bench: Bench) -> None:
    bench.enrolment.ensure()
    before = bench.identity.pem.read_bytes()
    bench.at(0.7)
    bench.server.answers["renew"] = lambda body, name: {"certificate": "rubbish", "ca": bench.server.authority.pem}
    bench.enrolment.ensure()
    assert bench.identity.pem.read_bytes() == before
    bench.controller.desired(DesiredRequest())


def test_expired_certificate_and_a_token_enrol_again(bench: Bench) -> None:
    bench.server.life = timedelta(minutes=-1)
    bench.enrolment.ensure()
    bench.server.life = timedelta(hours=1)
    bench.at(1.5)
    bench.token.write_text(TOKEN)
    bench.enrolment.ensure()
    assert bench.verbs().count("enrol") == 2


def test_damaged_identity_is_set_aside_and_made_again(bench: Bench) -> None:
    bench.enrolment.ensure()
    bench.identity.set_aside()
    bench.identity.pem.with_name("identity.pem.corrupt").unlink()
    bench.identity.pem.write_text("rubbish")
    bench.token.write_text(TOKEN)
    bench.enrolment.ensure()
    assert bench.verbs().count("enrol") == 2
    assert bench.identity.pem.with_name("identity.pem.corrupt").read_text() == "rubbish"


def test_revoked_device_enrols_again_when_a_token_comes(bench: Bench) -> None:
    bench.enrolment.ensure()
    assert not bench.enrolment.refused()
    bench.token.write_text(TOKEN)
    assert bench.enrolment.refused()


def test_unreachable_controller_keeps_the_token(bench: Bench) -> None:
    bench.server.answers["enrol"] = lambda body, name: (500, "down")
    with pytest.raises(Unreachable):
        bench.enrolment.ensure()
    assert bench.token.exists()


def test_an_expired_certificate_is_said_once_with_a_way_out_and_shown_all_the_same(bench: Bench) -> None:
    """By the controller's clock it may be good: the device's may be the one that is wrong."""
    bench.enrolment.ensure()
    bench.at(1.1)
    for _ in range(3):
        bench.enrolment.ensure()
    assert bench.log.getvalue().count("device-certificate-expired") == 1
    assert "underlace device enrol leaf1" in bench.log.getvalue()
    assert bench.verbs() == ["enrol"]
    bench.controller.desired(DesiredRequest())
    assert bench.server.seen[-1][1] == "leaf1"


def test_a_controller_that_takes_no_expired_certificate_is_away_until_a_token_comes(bench: Bench) -> None:
    bench.server.life = timedelta(minutes=-1)
    bench.enrolment.ensure()
    bench.at(1.5)
    bench.enrolment.ensure()
    # "certificate expired", unless the end of the connection overtakes the alert that says so.
    with pytest.raises(Unreachable):
        bench.controller.desired(DesiredRequest())
    bench.server.life = timedelta(hours=1)
    bench.token.write_text(TOKEN)
    bench.enrolment.ensure()
    bench.controller.desired(DesiredRequest())
    assert bench.server.seen[-1][1] == "leaf1"


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_by_an_hour_costs_at_most_a_renewal(bench: Bench, hours: int) -> None:
    bench.server.life = timedelta(days=90)
    bench.enrolment.ensure()
    bench.clock.wall_now = datetime.now(UTC).timestamp() + hours * 3600
    bench.enrolment.ensure()
    bench.controller.desired(DesiredRequest())
    assert bench.verbs() == ["enrol", "desired"]


def test_an_identity_whose_key_is_damaged_is_set_aside(bench: Bench) -> None:
    """Its certificate can still be read: only the two together show that they are of no use."""
    bench.enrolment.ensure()
    body = bench.identity.pem.read_text()
    bench.identity.pem.write_text(body.replace(body[60:64], "AAAA", 1))
    again = bench.after_a_restart()
    with pytest.raises(NotEnrolled, match="underlace device enrol leaf1"):
        again.ensure()
    assert "identity-damaged" in bench.log.getvalue()
    bench.token.write_text(TOKEN)
    again.ensure()
    bench.controller.desired(DesiredRequest())
    assert bench.server.seen[-1][1] == "leaf1"


@pytest.mark.parametrize("body", ["", "-----BEGIN CERTIFICATE-----\nMIIB", "\0" * 900])
def test_a_damaged_ca_is_passed_over_while_there_is_another(bench: Bench, body: str) -> None:
    bench.enrolment.ensure()
    bench.identity.ca.write_text(body)
    bench.controller.forget()
    bench.controller.desired(DesiredRequest())
    Path(bench.config.ca).write_text(body)
    bench.controller.forget()
    with pytest.raises(Unreachable, match=r"no CA to trust: .*trusted.pem cannot be used"):
        bench.controller.desired(DesiredRequest())

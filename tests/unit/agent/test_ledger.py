"""What waits to be told."""

import pytest

from underlace.agent.ledger import FINDINGS_MAX, Ledger
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.wire import Manifest, Outcome

MANIFEST = Manifest("leaf1", 3, "d" * 64, {"base": "a" * 64})


def finding(number: int) -> Diagnostic:
    return Diagnostic(Where(device="leaf1"), "device-silent", "s", f"{number}")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger("leaf1", "memory", simulated=False)


def test_nothing_is_due_before_there_is_a_state(ledger: Ledger) -> None:
    ledger.add([finding(1)])
    ledger.again()
    assert not ledger.due
    ledger.state(Outcome.HELD, MANIFEST)
    assert ledger.due
    assert ledger.report().diagnostics == (finding(1),)


def test_what_was_delivered_is_not_said_again(ledger: Ledger) -> None:
    ledger.state(Outcome.HELD, MANIFEST)
    ledger.add([finding(1)])
    ledger.drifted(["vrf:red"])
    ledger.delivered()
    assert not ledger.due
    ledger.again()
    assert (ledger.report().diagnostics, ledger.report().drift) == ((), ())
    assert ledger.report().digest == MANIFEST.digest


def test_a_finding_counts_once_and_the_latest_stay(ledger: Ledger) -> None:
    ledger.state(Outcome.HELD, MANIFEST)
    for number in (*range(FINDINGS_MAX + 5), 7):
        ledger.add([finding(number)])
    found = ledger.report().diagnostics
    assert len(found) == FINDINGS_MAX
    assert found[0] == finding(5)
    assert found[-1] == finding(7)
    assert found.count(finding(7)) == 1


def test_without_a_manifest_in_place_the_report_claims_nothing(ledger: Ledger) -> None:
    ledger.state(Outcome.FAILED, None)
    report = ledger.report()
    assert (report.revision, report.digest, dict(report.scopes)) == (0, "", {})

"""Programs that hang, say too much, fail or are not there: bounded, and told clearly."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from underlace.drivers.linux import probing
from underlace.drivers.linux.namespaces import Namespaces
from underlace.drivers.linux.probes import probes
from underlace.drivers.linux.probes.base import NOT_STARTED, Arguments, Probe, Said, Step
from underlace.drivers.linux.probing import Probing, Unanswered, bounded
from underlace.model.question import ROWS_MAX, Observed, Row

HANG = (sys.executable, "-c", "import time; print('x', flush=True); time.sleep(60)")


class Leaving(Namespaces):
    """A VRF that goes between being listed and being entered."""

    def vrfs(self) -> list[str]:
        return ["vpc-7"]


class Here(Leaving):
    """No namespace is entered: these tests need no privilege."""

    def inside(self, netns: str):  # type: ignore[no-untyped-def]
        from contextlib import nullcontext

        return nullcontext()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Ask a probe that is made of words."""

    def ask(
        *steps: tuple[str, ...], rows=None, together: bool = False, may_fail: bool = False, seconds: float = 5.0
    ) -> Observed:
        def of(_a: Arguments, vrfs: Sequence[str]) -> list[Step]:
            assert vrfs == ["vpc-7"]
            return [Step(words, may_fail=may_fail) for words in steps]

        def lines(_a: Arguments, said: Sequence[Said]) -> list[Row]:
            return [{"said": one.output} for one in said]

        made = Probe("made", of, rows or lines, together)
        monkeypatch.setattr(probing, "probes", lambda: {"made": made})
        return Probing(Here(None, tmp_path)).answer("made", {}, seconds)

    return ask


def test_rows_of_what_programs_say(asked) -> None:  # type: ignore[no-untyped-def]
    found = asked(("echo", "one"), ("echo", "two"))
    assert found == Observed(({"said": "one\n"}, {"said": "two\n"}), "echo one and 1 more")


def test_a_program_that_hangs_is_ended_in_time(asked) -> None:  # type: ignore[no-untyped-def]
    began = time.monotonic()
    with pytest.raises(Unanswered, match="did not answer in time"):
        asked(HANG, seconds=0.3)
    assert time.monotonic() - began < 10.0


def test_a_program_that_closes_its_output_and_stays_is_ended_too() -> None:
    words = (sys.executable, "-c", "import os, time; os.close(1); os.close(2); time.sleep(60)")
    with pytest.raises(Unanswered, match="did not end in time"):
        bounded(words, time.monotonic() + 0.5)


def test_more_than_the_limit_is_not_read() -> None:
    with pytest.raises(Unanswered, match="says more than 1000 bytes"):
        bounded(("yes",), time.monotonic() + 10.0, limit=1000)


def test_what_fails_is_said_in_its_own_words(asked) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unanswered, match=r"ls .*No such file"):
        asked(("ls", "/nowhere"))
    with pytest.raises(Unanswered, match="no-such-program: No such file"):
        asked(("no-such-program",))
    assert asked(("false",), may_fail=True).rows == ({"said": ""},)


def test_garbage_is_no_traceback(asked) -> None:  # type: ignore[no-untyped-def]
    def rows(_a: Arguments, said: Sequence[Said]) -> list[Row]:
        return [{"x": said[0].output["no"]}]  # type: ignore[call-overload]

    with pytest.raises(Unanswered, match="another shape"):
        asked(("echo", "{}"), rows=rows)


def test_a_probe_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(Unanswered, match="has no probe 'x'"):
        Probing(Here(None, tmp_path)).answer("x", {}, 1.0)


def test_rows_are_bounded(asked) -> None:  # type: ignore[no-untyped-def]
    found = asked(("true",), rows=lambda a, said: ({"n": n} for n in range(ROWS_MAX + 5)))
    assert (len(found.rows), found.cut) == (ROWS_MAX, True)
    assert not asked(("true",), rows=lambda a, said: ({"n": n} for n in range(ROWS_MAX))).cut


def test_steps_run_together(asked, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Each waits for what the other does."""
    one, other = tmp_path / "one", tmp_path / "other"
    wait = 'touch "$0"; while [ ! -e "$1" ]; do sleep 0.01; done; echo "$0"'
    found = asked(("sh", "-c", wait, str(one), str(other)), ("sh", "-c", wait, str(other), str(one)), together=True)
    assert [row["said"].strip() for row in found.rows] == [str(one), str(other)]


@pytest.mark.parametrize("together", [False, True])
def test_a_vrf_that_goes_meanwhile_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, together: bool
) -> None:
    here = Leaving(None, tmp_path, tmp_path)
    monkeypatch.setattr("underlace.syscall.setns", lambda namespace: None)

    def steps(_a: Arguments, vrfs: Sequence[str]) -> list[Step]:
        return [Step(("echo", netns), netns) for netns in ("", *vrfs)]

    def rows(_a: Arguments, said: Sequence[Said]) -> list[Row]:
        return [{"said": one.output} for one in said]

    monkeypatch.setattr(probing, "probes", lambda: {"made": Probe("made", steps, rows, together)})
    assert Probing(here).answer("made", {}, 5.0).rows == ({"said": "\n"}, {"said": ""})
    with pytest.raises(Unanswered, match="this device does not have vpc-7"):
        Probing(here).answer("made", {"vrf": "vpc-7"}, 5.0)


@pytest.mark.parametrize("name", ["ports", "macs", "neighbours", "acl-counters"])
def test_rows_of_vrfs_that_said_nothing(name: str) -> None:
    made = probes()[name]
    assert list(made.rows({}, [Said(step, "", NOT_STARTED) for step in made.steps({}, ["vpc-7"])])) == []

"""What goes wrong with a lab says what to do, in commands for the lab that was named."""

from __future__ import annotations

from pathlib import Path

import pytest

from underlace.lab import fabric
from underlace.lab.control import ControllerError
from underlace.lab.fault import LabError, near, spoken
from underlace.lab.namespace import CommandFailed
from underlace.lab.state import FILE, State
from underlace.model.diagnostic import Diagnostic, Refused, Where


def said(directory: Path, fault: Exception) -> Diagnostic:
    with pytest.raises(Refused) as told, spoken(directory):
        raise fault
    (found,) = told.value.diagnostics
    return found


def test_an_error_keeps_its_own_remedy(tmp_path: Path) -> None:
    assert said(tmp_path, LabError("no", "Do this.")).remedy == "Do this."


@pytest.mark.parametrize("fault", [LabError("no"), CommandFailed("no"), OSError("no"), ControllerError("no")])
def test_without_one_it_names_the_lab_that_was_given(tmp_path: Path, fault: Exception) -> None:
    State.create(tmp_path / "lab")
    remedy = said(tmp_path / "lab", fault).remedy
    assert f"lab status --lab {tmp_path / 'lab'}" in remedy
    assert f"lab down --lab {tmp_path / 'lab'}" in remedy


def test_nobody_is_sent_to_a_lab_that_is_gone(tmp_path: Path) -> None:
    remedy = said(tmp_path / "lab", CommandFailed("no")).remedy
    assert "Nothing is left" in remedy
    assert "underlace" not in remedy


def test_what_the_controller_found_is_shown_as_it_is(tmp_path: Path) -> None:
    found = Diagnostic(Where("vnet/acme/x", file="a.yaml", line=3), "some-code", "Some words", "why", "what to do")
    with pytest.raises(Refused) as told, spoken(tmp_path):
        raise ControllerError("no", [found])
    assert told.value.diagnostics == (found,)


def test_where_no_lab_is_it_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(LabError) as told:
        fabric.load(tmp_path)
    assert f"lab up --lab {tmp_path} DIR" in told.value.remedy


def test_a_file_of_somebody_else_is_no_lab(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("my own notes\n")
    with pytest.raises(LabError, match="not the state file"):
        fabric.clear(tmp_path, running=True)
    assert (tmp_path / FILE).exists()


def test_a_name_that_is_nearly_right_is_proposed() -> None:
    assert near("leaf9", ["leaf1", "spine1"]) == "Did you mean leaf1? There are: leaf1, spine1."
    assert near("rde", ["acme/red", "bolt/blue"]) == "Did you mean acme/red? There are: acme/red, bolt/blue."
    assert near("zzz", ["acme/red"]) == "There are: acme/red."
    assert near("red", []) == "There is none."

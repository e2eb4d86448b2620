"""Settings: which source wins, where each value came from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from underlace import settings
from underlace.model.diagnostic import Refused
from underlace.settings import load


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this machine takes part."""
    monkeypatch.setattr(settings, "SYSTEM_FILE", tmp_path / "etc" / "underlace.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_flag_beats_the_environment_beats_the_user_beats_the_system(tmp_path: Path) -> None:
    system = _write(
        tmp_path / "etc" / "underlace.toml",
        'log_level = "debug"\nenrolment_hours = 1\nlisten = ["1.1.1.1:1"]\ndata = "/s"\ndevice_certificate_days = 9',
    )
    user = _write(
        tmp_path / "config" / "underlace" / "underlace.toml",
        'log_level = "info"\nenrolment_hours = 2\nlisten = ["2.2.2.2:2"]',
    )
    environment = {"UNDERLACE_LOG_LEVEL": "warning", "UNDERLACE_ENROLMENT_HOURS": "3", "OTHER": "x"}
    loaded = load({"log_level": "error", "context": None}, environment=environment)
    found = loaded.settings
    assert (found.log_level, loaded.origins["log_level"]) == ("error", "flag --log-level")
    assert (found.enrolment_hours, loaded.origins["enrolment_hours"]) == (3, "environment UNDERLACE_ENROLMENT_HOURS")
    assert (found.listen, loaded.origins["listen"]) == (("2.2.2.2:2",), f"file {user}")
    assert (found.device_certificate_days, loaded.origins["device_certificate_days"]) == (9, f"file {system}")
    assert loaded.origins["agent_listen"] == "default"
    assert list(loaded.origins) == list(type(found).model_fields)


def test_a_named_file_is_the_only_one(tmp_path: Path) -> None:
    _write(tmp_path / "config" / "underlace" / "underlace.toml", "enrolment_hours = 2")
    named = _write(tmp_path / "named.toml", 'log_level = "debug"')
    for loaded in (load(config=named, environment={}), load(environment={"UNDERLACE_CONFIG": str(named)})):
        assert (loaded.settings.log_level, loaded.settings.enrolment_hours) == ("debug", 24)


def test_lists_are_words_parted_by_commas() -> None:
    loaded = load(environment={"UNDERLACE_LISTEN": "127.0.0.1:1, [::1]:2,"})
    assert loaded.settings.listen == ("127.0.0.1:1", "[::1]:2")


def test_an_agents_own_variables_are_none_of_ours() -> None:
    loaded = load(environment={"UNDERLACE_AGENT_DEVICE": "leaf1", "UNDERLACE_AGENT_LISTEN": "10.0.0.1:1"})
    assert loaded.settings.agent_listen == ("10.0.0.1:1",)


def test_every_fault_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    file = _write(tmp_path / "x.toml", "lisen = 1\nenrolment_hours = 0")
    with pytest.raises(Refused) as refused:
        load(config=file, environment={"UNDERLACE_DATAA": "/x", "UNDERLACE_LOG_LEVEL": "loud"})
    told = {(d.code, d.where.file, d.detail.split(":")[0].split(" ")[0]) for d in refused.value.diagnostics}
    assert told == {
        ("setting-unknown", str(file), "'lisen'"),
        ("setting-unknown", "environment UNDERLACE_DATAA", "'dataa'"),
        ("setting-invalid", str(file), "enrolment_hours"),
        ("setting-invalid", "environment UNDERLACE_LOG_LEVEL", "log_level"),
    }


@pytest.mark.parametrize("content", [b"= nothing", b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "x.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refused) as refused:
        load(config=file, environment={})
    assert [(d.code, d.where.file) for d in refused.value.diagnostics] == [("settings-unreadable", str(file))]


def test_a_certificate_of_another_ca_comes_with_its_key_and_ca_and_agents_elsewhere() -> None:
    with pytest.raises(Refused, match="together or not at all"):
        load({"certificate": "/c.pem"}, environment={})
    given = {"certificate": "/c.pem", "private_key": "/k.pem", "certificate_ca": "/ca.pem"}
    with pytest.raises(Refused, match="agent_listen"):
        load(given, environment={})
    assert load({**given, "agent_listen": "10.0.0.1:1"}, environment={}).settings.certificate == Path("/c.pem")

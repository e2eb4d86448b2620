"""Settings of an agent: file, environment, faults."""

import json
from pathlib import Path

import pytest

from underlace.agent.config import load_config
from underlace.model.diagnostic import Refused

LEAST = {"device": "leaf1", "controllers": ["https://10.0.0.1:8443"], "ca": "/ca.pem", "state_dir": "/var/lib/x"}


def written(tmp_path: Path, **values: object) -> Path:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(LEAST | values))
    return path


def test_least_settings(tmp_path: Path) -> None:
    config = load_config(written(tmp_path), {})
    assert (config.device, config.driver, config.read_interval, config.management_netns) == (
        "leaf1",
        "linux",
        60.0,
        None,
    )
    assert not config.simulated


def test_environment_overrides_the_file(tmp_path: Path) -> None:
    environ = {
        "UNDERLACE_AGENT_DEVICE": "leaf2",
        "UNDERLACE_AGENT_CONTROLLERS": "https://a,https://b:1",
        "UNDERLACE_AGENT_READ_INTERVAL": "5",
        "UNDERLACE_AGENT_SIMULATED": "true",
        "UNDERLACE_AGENT_RESTART_COMMAND": '["systemctl", "restart", "frr"]',
        "UNDERLACE_AGENT_DRIVER_OPTIONS": '{"vtysh": "/usr/bin/vtysh"}',
        "UNRELATED": "x",
    }
    config = load_config(written(tmp_path), environ)
    assert config.device == "leaf2"
    assert config.controllers == ("https://a", "https://b:1")
    assert config.read_interval == 5.0
    assert config.simulated is True
    assert config.restart_command == ("systemctl", "restart", "frr")
    assert config.driver_options == {"vtysh": "/usr/bin/vtysh"}


def test_environment_alone_is_enough() -> None:
    environ = {
        f"UNDERLACE_AGENT_{name.upper()}": str(value) for name, value in LEAST.items() if name != "controllers"
    }
    assert load_config(None, environ | {"UNDERLACE_AGENT_CONTROLLERS": "https://a"}).state_dir == "/var/lib/x"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"device": "Leaf 1"}, "device 'Leaf 1' is not a host name"),
        ({"device": "leaf1/CN=admin"}, "is not a host name"),
        ({"controllers": []}, "controllers is empty"),
        ({"controllers": ["http://10.0.0.1"]}, "is not an https URL"),
        ({"controllers": ["https://"]}, "is not an https URL"),
        ({"controllers": ["https://a:99999"]}, "is not an https URL"),
        ({"controllers": ["https://[::1"]}, "is not an https URL"),
        ({"read_interval": 0}, "read_interval must be more than 0"),
        ({"read_interval": "soon"}, "read_interval"),
        ({"wait": -1}, "wait must not be negative"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_settings_are_named_with_a_remedy(tmp_path: Path, values: dict[str, object], words: str) -> None:
    path = written(tmp_path, **values)
    with pytest.raises(Refused) as refused:
        load_config(path, {})
    [found] = refused.value.diagnostics
    assert words in found.detail
    assert found.where.file == str(path)
    assert found.remedy


def test_all_wrong_settings_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        load_config(written(tmp_path, device="!", controllers=["ftp://x"], wait=-3), {})
    assert len(refused.value.diagnostics) == 3


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe"])
def test_file_that_is_no_json_object(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "agent.json"
    path.write_bytes(body)
    with pytest.raises(Refused, match="is not a JSON object"):
        load_config(path, {})


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        load_config(tmp_path / "none.json", {})


def test_broken_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="UNDERLACE_AGENT_DRIVER_OPTIONS is not valid JSON"):
        load_config(written(tmp_path), {"UNDERLACE_AGENT_DRIVER_OPTIONS": "{"})

"""The controller as a process: its directory, its context, its end, and what is done while it is down."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.certificates import key_pem, new_key, request_pem
from support.shell import COMMAND, Shell, Up, environment, underlace


@pytest.fixture
def up(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Up]:
    """One that runs."""
    made = Up(tmp_path / "data", forked=getattr(request, "param", "forked") == "forked")
    made.start()
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait(30)


@pytest.mark.parametrize("up", ["started"], indirect=True)
def test_the_first_start_leaves_a_private_directory_and_says_where_it_is(up: Up, tmp_path: Path) -> None:
    ready = next(e for e in up.events() if e["event"] == "ready")
    context = json.loads(up.context.read_text())
    assert ready["context"] == str(up.context)
    assert ready["url"] == context["url"]
    assert stat.S_IMODE(up.data.stat().st_mode) == 0o700
    assert stat.S_IMODE(up.context.stat().st_mode) == 0o600
    assert (up.data / "controller.pid").read_text() == f"{up.process.pid}\n"
    assert context["token"] not in up.log.read_text()
    assert underlace(tmp_path, "--context", str(up.context), "whoami").code == 0


def test_a_second_controller_on_one_directory_is_refused(up: Up, tmp_path: Path) -> None:
    for command in (["up", "--listen", "127.0.0.1:0"], ["recover"], ["restore", "x.tar"]):
        second = underlace(tmp_path, *command, "--data", str(up.data))
        assert second.code == 1
        assert "error[data-in-use]" in second.err
        assert f"process {up.process.pid}" in second.err


def test_it_comes_back_after_a_kill_with_the_same_ca_and_token(up: Up, tmp_path: Path) -> None:
    before = json.loads(up.context.read_text())
    up.process.kill()
    up.process.wait(30)
    up.start()
    after = json.loads(up.context.read_text())
    assert (after["ca"], after["token"]) == (before["ca"], before["token"])
    assert underlace(tmp_path, "--context", str(up.context), "whoami").code == 0
    assert up.stop() == 0


def test_a_request_under_way_is_finished_and_a_waiting_agent_let_go(up: Up) -> None:
    context = json.loads(up.context.read_text())
    with httpx.Client(
        base_url=context["url"],
        verify=ssl.create_default_context(cadata=context["ca"]),
        headers={"authorization": f"Bearer {context['token']}"},
        trust_env=False,
    ) as admin:
        intent = [
            {"kind": "site", "name": "dc1", "spec": {}},
            {"kind": "allocation", "tenant": "system", "name": "lo", "spec": {"prefix": "10.255.0.0/24"}},
            {
                "kind": "subnet",
                "tenant": "system",
                "name": "lo",
                "spec": {"prefix": "10.255.0.0/24", "purpose": "loopback", "sites": ["dc1"]},
            },
            {"kind": "switch", "name": "leaf1", "spec": {"site": "dc1", "role": "leaf", "ports": 2}},
        ]
        done = admin.post("/v1/apply", json={"documents": intent})
        assert done.status_code == 200, done.text
        token = admin.post("/v1/devices/leaf1/enrolment").json()["token"]
        key = new_key()
        enrol = {"device": "leaf1", "token": token, "csr": request_pem("leaf1", key)}
        headers = {"Underlace-Agent": "1"}
        credentials = admin.post("/agent/v1/enrol", json=enrol, headers=headers)
        assert credentials.status_code == 200, credentials.text
    file = up.data.parent / "leaf1.pem"
    file.write_text(key_pem(key) + credentials.json()["certificate"])
    trust = ssl.create_default_context(cadata=context["ca"])
    trust.load_cert_chain(file)
    answers: list[int] = []
    with httpx.Client(base_url=context["url"], verify=trust, headers=headers, timeout=30, trust_env=False) as agent:
        manifest = agent.post("/agent/v1/desired", json={}).json()
        assert manifest["device"] == "leaf1"

        def wait() -> None:
            answers.append(agent.post("/agent/v1/desired", json={"have": manifest["digest"], "wait": 50}).status_code)

        thread = threading.Thread(target=wait)
        thread.start()
        _until_waiting(up)
        start = time.monotonic()
        assert up.stop() == 0
        thread.join(10)
    assert answers == [204]
    assert time.monotonic() - start < 4.5, "an agent that waits must not hold the controller up"


def _until_waiting(up: Up) -> None:
    """The controller has the request: its connection is established and nothing of it is left to read."""
    until = time.monotonic() + 10
    port = json.loads(up.context.read_text())["url"].rpartition(":")[2]
    while time.monotonic() < until:
        shown = subprocess.run(["ss", "-Htn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
        if any(line.split()[:2] == ["ESTAB", "0"] for line in shown.splitlines()):
            time.sleep(0.2)
            return
        time.sleep(0.02)
    raise AssertionError("no agent waits")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success_and_frees_the_directory(up: Up, number: int) -> None:
    assert up.stop(number) == 0
    assert (up.data / "controller.pid").read_text() == ""
    up.start()
    assert up.stop() == 0


def test_what_keeps_it_from_starting_is_one_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = underlace(tmp_path, "up", "--data", str(tmp_path / "d"), "--listen", f"127.0.0.1:{port}")
    assert (busy.code, "error[listen-failed]" in busy.err) == (1, True)
    (tmp_path / "file").write_text("")
    for arguments, code in (
        (["--data", str(tmp_path / "file")], "data-unusable"),
        (["--data", str(tmp_path / "d"), "--listen", "nonsense"], "listen-invalid"),
        (["--data", str(tmp_path / "d"), "--listen", ""], "setting-invalid"),
        (["--data", str(tmp_path / "d"), "--agent-listen", "127.0.0.1:0", "--agent-netns", "/none"], "listen-failed"),
    ):
        refused = underlace(tmp_path, "up", *arguments)
        assert (refused.code, f"error[{code}]" in refused.err) == (1, True), refused.err


def test_a_store_of_a_lab_is_never_a_real_fabrics(tmp_path: Path) -> None:
    lab = Up(tmp_path / "lab", ("--listen", "127.0.0.1:0", "--simulated"), forked=True)
    lab.start()
    shell = Shell(lab, tmp_path)
    assert shell("status", "-o", "json").json["simulated"] is True  # type: ignore[index]
    assert lab.stop() == 0
    real = underlace(tmp_path, "up", "--data", str(lab.data), "--listen", "127.0.0.1:0")
    assert (real.code, "error[simulated-mixed]" in real.err) == (1, True)


def test_a_backup_is_restored_elsewhere_with_its_ca_and_its_tokens(up: Up, tmp_path: Path) -> None:
    shell = Shell(up, tmp_path)
    intent = tmp_path / "intent.yaml"
    intent.write_text("{kind: tenant, name: acme, spec: {}}\n---\n{kind: vpc, tenant: acme, name: red, spec: {}}\n")
    assert shell("apply", "-f", str(intent)).code == 0
    vni = shell("get", "vpc", "acme/red", "-o", "json").json["status"]["allocated"]  # type: ignore[index]
    assert shell("backup", str(tmp_path / "b.tar")).code == 0
    assert up.stop() == 0
    other = Up(tmp_path / "other", forked=True)
    restored = underlace(tmp_path, "restore", str(tmp_path / "b.tar"), "--data", str(other.data))
    assert restored.code == 0, restored.err
    other.start()
    context = json.loads(up.context.read_text())
    moved = tmp_path / "moved.json"
    url = next(e["url"] for e in other.events() if e["event"] == "ready")
    moved.write_text(json.dumps({**context, "url": url}))
    moved.chmod(0o600)
    there = underlace(tmp_path, "--context", str(moved), "get", "vpc", "acme/red", "-o", "json")
    assert there.code == 0, there.err
    assert there.json["status"]["allocated"] == vni  # type: ignore[index]
    assert not other.context.exists(), "a restore makes no token by itself"
    assert other.stop() == 0


@pytest.mark.parametrize("body", [b"", b"nonsense", None])
def test_what_is_no_backup_is_refused_and_changes_nothing(tmp_path: Path, body: bytes | None) -> None:
    file = tmp_path / "b.tar"
    if body is not None:
        file.write_bytes(body)
    refused = underlace(tmp_path, "restore", str(file), "--data", str(tmp_path / "d"))
    assert (refused.code, "error[backup-unusable]" in refused.err) == (1, True), refused.err
    assert not (tmp_path / "d").exists()


def test_a_restore_replaces_a_store_only_when_told_and_keeps_it(up: Up, tmp_path: Path) -> None:
    shell = Shell(up, tmp_path)
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    assert shell("backup", str(first)).code == 0
    intent = tmp_path / "intent.yaml"
    intent.write_text("{kind: tenant, name: acme, spec: {}}\n")
    assert shell("apply", "-f", str(intent)).code == 0
    again = shell("backup", str(first))
    assert (again.code, "error[file-exists]" in again.err) == (1, True)
    assert shell("backup", str(second)).code == 0
    assert shell("backup", "--force", str(second)).code == 0
    assert up.stop() == 0
    before = sorted(f.name for f in up.data.rglob("*"))
    held = (up.data / "store.sqlite").read_bytes()
    refused = underlace(tmp_path, "restore", str(first), "--data", str(up.data))
    assert (refused.code, "error[restore-over-store]" in refused.err) == (1, True)
    assert (up.data / "store.sqlite").read_bytes() == held
    assert sorted(f.name for f in up.data.rglob("*")) == before
    done = underlace(tmp_path, "restore", "--replace", str(first), "--data", str(up.data))
    assert done.code == 0, done.err
    kept = up.data / "store.sqlite.before-restore"
    assert f"kept what was there before: {kept}" in done.err
    assert kept.read_bytes() == held
    assert sorted(f.name for f in up.data.rglob("*")) == sorted([*before, kept.name]), "the CA is the same"
    up.start()
    assert shell("get", "tenant", "acme").code == 1, "it was made after the backup"


def test_an_administrator_who_lost_the_token_gets_another(up: Up, tmp_path: Path) -> None:
    lost = json.loads(up.context.read_text())["token"]
    assert up.stop() == 0
    whole = up.context.read_bytes()
    for half_written in (b"", whole[: len(whole) // 2], bytes(len(whole))):
        up.context.write_bytes(half_written)
        told = Shell(up, tmp_path)("whoami")
        assert "error[context-invalid]" in told.err
        assert "underlace recover" in told.err
    up.start()
    assert up.stop() == 0, "the controller needs no context of its own"
    up.context.unlink()
    assert underlace(tmp_path, "recover", "--data", str(up.data)).code == 0
    up.start()
    shell = Shell(up, tmp_path)
    assert shell("whoami", "-o", "json").json["name"] == "recovered-admin"  # type: ignore[index]
    assert json.loads(up.context.read_text())["token"] != lost
    assert up.stop() == 0


# The command line by itself


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["up", "--help"], ["apply", "-h"], ["device", "--help"], ["--version"]]
)
def test_help_needs_no_controller(tmp_path: Path, arguments: list[str]) -> None:
    shown = underlace(tmp_path, *arguments, fresh=arguments == ["--help"])
    assert (shown.code, shown.err) == (0, "")
    assert shown.out


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_the_agent_says_how_it_is_called(tmp_path: Path, word: str) -> None:
    told = underlace(tmp_path, "agent", word, fresh=True)
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("Usage: underlace agent [--once] [CONFIG.json]\n")
    wrong = underlace(tmp_path, "agent", "--nonsense", fresh=True)
    assert (wrong.code, wrong.out) == (2, "")


def test_help_names_every_command(tmp_path: Path) -> None:
    out = underlace(tmp_path, "--help").out
    for command in ("up", "plan", "apply", "get", "lab", "demo", "agent", "restore", "recover", "device", "token"):
        assert f"\n  {command} " in out


def test_without_a_context_or_a_controller_it_says_what_to_do(tmp_path: Path) -> None:
    none = underlace(tmp_path, "status", XDG_DATA_HOME=str(tmp_path))
    if not Path("/var/lib/underlace/context.json").exists():
        assert (none.code, "error[context-missing]" in none.err) == (3, True), none.err
    file = tmp_path / "context.json"
    file.write_text(json.dumps({"url": "https://127.0.0.1:1", "ca": _some_ca(tmp_path), "token": "ul_a_b"}))
    exposed = underlace(tmp_path, "status", UNDERLACE_CONTEXT=str(file))
    assert (exposed.code, f"chmod 600 {file}" in exposed.err) == (3, True)
    file.chmod(0o600)
    gone = underlace(tmp_path, "--context", str(file), "status")
    assert (gone.code, "error[controller-unreachable]" in gone.err) == (3, True)
    for broken in ("", "{}", json.dumps({"url": "https://127.0.0.1:1", "ca": "none", "token": "x"})):
        file.write_text(broken)
        refused = underlace(tmp_path, "--context", str(file), "status")
        assert (refused.code, "error[context-invalid]" in refused.err) == (3, True), refused.err


def _some_ca(directory: Path) -> str:
    from underlace.controller.authority import Authority

    return Authority(directory / "some-ca").ca_pem


def test_config_show_says_where_each_value_came_from(tmp_path: Path) -> None:
    file = tmp_path / "u.toml"
    file.write_text("enrolment_hours = 3\n")
    shown = underlace(tmp_path, "--config", str(file), "config", "show", "-o", "json", UNDERLACE_LOG_LEVEL="debug")
    assert shown.code == 0, shown.err
    found = json.loads(shown.out)
    assert found["enrolment_hours"] == {"value": 3, "from": f"file {file}"}
    assert found["log_level"] == {"value": "debug", "from": "environment UNDERLACE_LOG_LEVEL"}
    assert found["listen"]["from"] == "default"
    for words, more, origin in (
        ((), {"UNDERLACE_CONTEXT": "/x.json"}, "environment UNDERLACE_CONTEXT"),
        (("--context", "/x.json"), {}, "flag --context"),
        (("--context", "/x.json"), {"UNDERLACE_CONTEXT": "/y.json"}, "flag --context"),
        ((), {}, "default"),
    ):
        told = json.loads(underlace(tmp_path, *words, "config", "show", "-o", "json", **more).out)["context"]
        assert told == {"value": None if origin == "default" else "/x.json", "from": origin}
    file.write_text("context = '/from/the/settings.json'\n")
    used = underlace(tmp_path, "--config", str(file), "whoami")
    assert (used.code, "at /from/the/settings.json" in used.err) == (3, True), "what is shown is what is used"
    other = underlace(tmp_path, "--config", str(file), "whoami", UNDERLACE_CONTEXT="/of/the/environment.json")
    assert "at /of/the/environment.json" in other.err
    file.write_text("nonsense = 3\n")
    assert "error[setting-unknown]" in underlace(tmp_path, "--config", str(file), "config", "show").err


def _imported(tmp_path: Path, *arguments: str) -> set[str]:
    code = (
        "import sys; from underlace.main import run; sys.argv = ['underlace', *sys.argv[1:]]\n"
        "try: run()\nexcept SystemExit: pass\n"
        "sys.stdout.flush(); print('\\nIMPORTED', *sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=60,
    )
    return set(done.stdout.splitlines()[-1].removeprefix("IMPORTED ").split())


def test_an_agent_imports_nothing_of_a_controller(tmp_path: Path) -> None:
    heavy = {
        "pydantic",
        "fastapi",
        "typer",
        "rich",
        "httpx",
        "sqlalchemy",
        "starlette",
        "uvicorn",
        "yaml",
        "structlog",
    }
    assert not _imported(tmp_path, "agent", "/none.json") & heavy


def test_help_imports_nothing_of_a_controller(tmp_path: Path) -> None:
    heavy = {
        "pydantic",
        "fastapi",
        "httpx",
        "sqlalchemy",
        "starlette",
        "uvicorn",
        "yaml",
        "structlog",
        "cryptography",
    }
    assert not _imported(tmp_path, "--help") & heavy


def test_help_takes_less_than_a_third_of_a_second_of_cpu(tmp_path: Path) -> None:
    def spent() -> float:
        run = subprocess.Popen([*COMMAND, "--help"], stdout=subprocess.DEVNULL, env=environment(tmp_path))
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        assert run.returncode == 0
        return used.ru_utime + used.ru_stime

    assert any(spent() < 0.3 for _ in range(3))


def test_completion_knows_commands(tmp_path: Path) -> None:
    done = underlace(
        tmp_path, fresh=True, _UNDERLACE_COMPLETE="complete_bash", COMP_WORDS="underlace dev", COMP_CWORD="1"
    )
    assert done.out.split() == ["device"]

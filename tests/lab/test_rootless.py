"""The lab of an ordinary user: the same fabric and the same flow matrix without root, and nothing left of it.

Run as root, a user is made up for these tests: an id that nobody has, so whatever it leaves behind shows.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support.fabric import QUICKSTART, host_side, poll
from underlace.lab import flows, intent
from underlace.lab.expect import matrix
from underlace.lab.state import State, start_time

NOBODY_S_ID = 64_321
FORBIDDEN = "ordinary users may not make namespaces on this machine"
PROGRAM = [sys.executable, "-c", "from underlace.main import run; run()"]


class User(NamedTuple):
    """An ordinary user of this machine. home: with nothing of anybody else's in it."""

    id: int
    home: Path

    def argv(self, *words: str) -> list[str]:
        """What runs a program as this user."""
        if os.geteuid() == self.id:
            return list(words)
        return [sys.executable, "-m", "support.ordinary_user", str(self.id), str(self.home), "--", *words]

    def environment(self) -> dict[str, str]:
        """For whoever is the user already; `support.ordinary_user` makes one of its own."""
        source = Path(__file__).resolve().parents[1]
        own = {"HOME": str(self.home), "TMPDIR": str(self.home / "tmp")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        return {**kept, **own, "PYTHONPATH": f"{source}{os.pathsep}{source.parent / 'src'}"}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment()
        )

    def run(self, *words: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        try:
            out, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(words, process.returncode, out, errors)

    def underlace(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*PROGRAM, *arguments)

    def processes(self) -> set[int]:
        """What runs as this user, or belongs to a lab in its home."""
        marks = {s.identity for s in map(State.load, self.home.rglob(".")) if s is not None}
        return {int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit() and self._ours(e, marks)}

    def _ours(self, entry: Path, marks: set[str]) -> bool:
        try:
            ids = next(line for line in (entry / "status").read_text().splitlines() if line.startswith("Uid:"))
            environ = (entry / "environ").read_bytes()
        except OSError:
            return False
        made_up = self.id == NOBODY_S_ID and str(self.id) in ids.split() and start_time(int(entry.name)) != 0
        return made_up or any(mark.encode() in environ for mark in marks)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    ordinary = User(os.geteuid() or NOBODY_S_ID, Path(tempfile.mkdtemp(prefix="underlace-user-")))
    (ordinary.home / "tmp").mkdir()
    for path in (ordinary.home, ordinary.home / "tmp"):
        os.chown(path, ordinary.id, -1)
    try:
        able = ordinary.run(sys.executable, "-c", "import underlace.lab.userns")
        assert able.returncode == 0, able.stderr
        if ordinary.run(sys.executable, "-m", "underlace.lab.userns").returncode != 0:
            pytest.skip(FORBIDDEN)
        yield ordinary
        assert not ordinary.processes()
    finally:
        for pid in ordinary.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(ordinary.home)


@pytest.fixture(autouse=True)
def nothing_left(user: User) -> Iterator[None]:
    """After each test: no process of the user, no file below its home, and the machine's side as it was."""
    before = host_side()
    yield
    assert not user.processes()
    assert not [path for path in user.home.rglob("*") if not path.is_dir()]
    assert not list((user.home / "tmp").iterdir())
    assert host_side() == before


def test_the_demo_proves_the_whole_matrix(user: User) -> None:
    done = user.underlace("demo", "--once", "-o", "json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert verdict["wrong"] == 0
    assert verdict["skipped"] == 0
    assert verdict["simulated"] is True
    wanted = matrix(intent.read(QUICKSTART)).flows
    echoes = len({flow.source for flow in wanted}) * 5
    assert verdict["flows"] > len(flows.checks(wanted)) + echoes, "forged VXLAN comes on top"


def test_a_lab_goes_up_is_looked_into_and_goes_down(user: User) -> None:
    lab = user.home / ".local/state/underlace/lab"
    up = user.underlace("lab", "up", str(QUICKSTART), "-o", "json")
    assert up.returncode == 0, up.stderr
    assert json.loads(up.stdout)["lab"] == str(lab)
    state = State.load(lab)
    assert state is not None
    running = user.processes()
    assert {p.pid for p in state.processes().values()} & running

    def said(*words: str) -> str:
        done = user.underlace("lab", "exec", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert said("leaf1", "--", "id", "-u") == "0\n"
    assert said("leaf1", "--", "hostname") == "leaf1\n"
    assert "swp1" in said("leaf1", "--", "vtysh", "-c", "show interface brief")
    assert "10.9.1.11" in said("leaf1/acme/red", "--", "ip", "route", "get", "10.9.1.11")
    assert " 0% packet loss" in said("r1", "--", "ping", "-c", "1", "-W", "5", "10.9.1.11")
    assert "table netdev" in said("leaf1", "--", "nft", "list", "tables")
    assert user.underlace("lab", "exec", "r1", "--", "false").returncode == 1

    test = user.underlace("lab", "test", "-o", "json")
    assert test.returncode == 0, test.stdout + test.stderr
    assert json.loads(test.stdout)["skipped"] == 0
    status = json.loads(user.underlace("lab", "status", "-o", "json").stdout)
    assert {row["state"] for row in status["nodes"]} == {"running", "in-sync"}

    down = user.underlace("lab", "down")
    assert down.returncode == 0, down.stderr
    assert not lab.exists()


def test_down_removes_what_a_crash_left(user: User) -> None:
    """The command and the holder die in the middle of it; namespaces are held by whoever else lives in them."""
    lab = user.home / "tmp" / "lab"
    process = user.start(*PROGRAM, "lab", "up", str(QUICKSTART), "--lab", str(lab))
    assert process.stderr is not None
    try:
        seen = next((line for line in process.stderr if "FRR runs" in line), "")
        assert seen, "it ended before FRR ran"
        state = State.load(lab)
        assert state is not None
        holder = state.running("holder")
        assert holder is not None
    finally:
        process.kill()
        process.communicate()
    os.kill(holder.pid, signal.SIGKILL)
    poll("the holder to be gone", lambda: state.running("holder") is None)
    assert user.processes()
    down = user.underlace("lab", "down", "--lab", str(lab))
    assert down.returncode == 0, down.stderr
    assert not lab.exists()


TAGGED = """
{kind: server, name: t1, spec: {site: dc1, nics: [{name: eth1}, {name: eth1.100, addresses: [10.1.1.51/24]}]}}
---
{kind: link, name: t1-1, spec: {a: eth1@t1, b: swp10@leaf1}}
---
{kind: vnet, tenant: acme, name: red-web, spec: {vpc: red, gateways: [10.1.1.1/24, "2001:db8:1:1::1/64"],
  ports: [{port: swp5@leaf1}, {port: swp5@leaf2}, {port: swp10@leaf1, vlan: 100}]}}
"""
"""A host of red-web behind a tag."""


def test_what_is_behind_tags_is_named_where_it_cannot_be_shown(user: User) -> None:
    """The rest of the fabric is built and judged; the verdict counts what is not, and exits as if it were whole."""
    folder = user.home / "tmp" / "tagged"
    shutil.copytree(QUICKSTART, folder)
    tenants = (folder / "tenants.yaml").read_text()
    whole = next(line for line in tenants.splitlines() if "name: red-web, spec: {vpc" in line)
    (folder / "tenants.yaml").write_text(tenants.replace(whole, TAGGED.strip()))
    up = user.underlace("lab", "up", str(folder), "--lab", str(user.home / "tmp" / "lab"))
    assert up.returncode == 0, up.stderr
    try:
        test = user.underlace("lab", "test", "-o", "json", "--lab", str(user.home / "tmp" / "lab"))
        assert test.returncode == 0, test.stdout + test.stderr
        verdict = json.loads(test.stdout)
        if "without tagged members" not in up.stderr:
            pytest.skip("the kernel has 8021q, which needs no root")
        before = matrix(intent.read(QUICKSTART)).flows
        added = set(matrix(intent.read(folder)).flows) - set(before)
        allowed = {flow for flow in added if flow.answer == "t1" or (flow.source == "t1" and flow.answer)}
        assert allowed
        assert verdict["wrong"] == 0
        assert verdict["skipped"] == len(flows.checks(allowed))
        (skip,) = verdict["skips"]
        assert skip["reason"].startswith("VLAN 100 at swp10@leaf1 of acme/red-web: no 8021q in the kernel")
    finally:
        down = user.underlace("lab", "down", "--lab", str(user.home / "tmp" / "lab"))
        shutil.rmtree(folder)
    assert down.returncode == 0, down.stderr


FORBID = """
import os, sys
from pathlib import Path
from underlace.syscall import CLONE_NEWUSER, unshare
user, group = os.geteuid(), os.getegid()
unshare(CLONE_NEWUSER)
for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
    Path("/proc/self", name).write_text(text)
Path("/proc/sys/user/max_user_namespaces").write_text("0")
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A limit holds for a user namespace and those inside it: this one allows none, and the machine is spared."""


def test_where_user_namespaces_are_forbidden_it_says_what_to_do(user: User) -> None:
    for command in (("demo", "--once"), ("lab", "up", str(QUICKSTART))):
        done = user.run(sys.executable, "-c", FORBID, *PROGRAM, *command)
        assert done.returncode == 1
        assert "error[lab-user-namespaces]" in done.stderr
        assert "user.max_user_namespaces is 0: " in done.stderr
        assert "sysctl -w user.max_user_namespaces=15000" in done.stderr
        assert "Traceback" not in done.stderr

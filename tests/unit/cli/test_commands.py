"""Commands against a real controller: what they print where, what they return, and how they fail."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.shell import Shell, underlace
from underlace.cli import fabric
from underlace.controller.authority import Authority

ROOT = Path(__file__).resolve().parents[3]
QUICKSTART = ROOT / "examples" / "quickstart"


@pytest.fixture(scope="module", autouse=True)
def applied(shell: Shell) -> dict[str, Any]:
    """The quickstart's intent, applied by the command line."""
    done = shell("apply", "-f", str(QUICKSTART), "-m", "first fabric", "-o", "json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_apply_says_what_it_did_and_applies_nothing_twice(shell: Shell, applied: dict[str, Any]) -> None:
    assert applied["revision"] == 2
    assert len(applied["resources"]) > 80
    again = shell("apply", "-f", str(QUICKSTART))
    assert (again.code, again.out, again.err) == (0, "", "nothing to change\n")


def test_plan_shows_intent_numbers_and_devices_and_changes_nothing(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text(
        "{kind: vnet, tenant: acme, name: new, spec: {vpc: red, ports: [{port: swp12@leaf1}]}}\n---\n"
        "{kind: vnet, tenant: acme, name: red-web, spec: {vpc: red, mtu: 1500, gateways: "
        '[10.1.1.1/24, "2001:db8:1:1::1/64"], ports: [{port: swp5@leaf1}, {port: swp5@leaf2}]}}\n'
    )
    planned = shell("plan", "-f", str(file))
    assert planned.code == 0, planned.err
    lines = planned.out.splitlines()
    assert lines[:3] == ["+ vnet/acme/new", "~ vnet/acme/red-web", "    /spec/mtu: null -> 1500"]
    assert any(line.startswith("# vnet/acme/new vni ") for line in lines)
    assert [line.partition(":")[0] for line in lines if line.startswith("leaf")] == ["leaf1", "leaf2"]
    assert planned.err == "1 to create, 1 to update; 2 devices change: 1 outage, 1 flap\n"
    assert shell("plan", "-f", str(file), "--exit-code").code == 5
    assert shell("plan", "-f", str(QUICKSTART), "--exit-code").code == 0
    digest = shell("plan", "-f", str(file), "-o", "json").json["digest"]  # type: ignore[index]
    assert lines[-1] == f"plan {digest}"
    refused = shell("apply", "-f", str(file), "--expect", "0" * 64)
    assert refused.code == 1
    assert "error[plan-changed]" in refused.err


def test_get_shows_kinds_resources_and_one(shell: Shell) -> None:
    assert shell("get").out.splitlines()[0].split()[0] == "KIND"
    rows = [line.split() for line in shell("get", "vnet", "-t", "acme").out.splitlines()]
    assert rows[0][:4] == ["TENANT", "NAME", "VPC", "VNI"]
    assert [r[:2] for r in rows[1:]] == [["acme", "red-db"], ["acme", "red-web"]]
    assert rows[1][3].isdigit(), "the number that was allocated is shown"
    one = yaml.safe_load(shell("get", "vnet", "acme/red-web", "-o", "yaml").out)
    assert one["status"]["state"] == "Provisioning"
    assert shell("get", "vnet", "red-web", "-t", "acme", "-o", "json").json == one
    names = [i["name"] for i in shell("get", "switch", "-o", "json").json]  # type: ignore[attr-defined]
    assert names == ["leaf1", "leaf2", "leaf3", "oob1", "spine1", "spine2"]


def test_an_export_applied_again_changes_nothing(shell: Shell) -> None:
    exported = shell("export")
    assert exported.code == 0
    assert len(list(yaml.safe_load_all(exported.out))) > 85
    again = shell("apply", "-f", "-", stdin=exported.out)
    assert (again.code, again.err) == (0, "nothing to change\n")
    documents = shell("export", "--allocations").json["documents"]  # type: ignore[index]
    assert all(d["id"] for d in documents)


def test_the_devices_of_a_fabric(shell: Shell) -> None:
    listed = shell("device", "list", "-o", "json").json
    assert [d["name"] for d in listed] == ["leaf1", "leaf2", "leaf3", "spine1", "spine2"]  # type: ignore[attr-defined]
    assert {d["state"] for d in listed} == {"never-seen"}  # type: ignore[attr-defined]
    rows = [line.split() for line in shell("device", "list").out.splitlines()]
    assert (rows[0][-1], {row[-1] for row in rows[1:]}) == ("OS", {"linux"})
    assert "leaf1" in shell("status").out
    assert [shell("status", *more).code for more in ((), ("--exit-code",), ("--exit-code", "-o", "json"))] == [
        0,
        6,
        6,
    ]
    assert yaml.safe_load(shell("device", "show", "leaf1").out)["name"] == "leaf1"
    assert shell("config", "leaf1").out.strip()
    explained = shell("explain", "leaf1", "swp5").out
    assert "because vnet/acme/red-web" in explained


def test_the_explanations_of_the_tutorial_are_true(shell: Shell) -> None:
    page = (ROOT / "docs" / "tutorial" / "quickstart.md").read_text()
    shown = re.findall(r"^[#$] underlace (explain .+)\n((?:[^#$`].*\n)*)", page, re.MULTILINE)
    assert len(shown) == 3
    for command, lines in shown:
        told = shell(*shlex.split(command))
        assert told.code == 0, told.err
        for line in lines.splitlines():
            assert line.removesuffix("...") in told.out, line
    assert shown[0][1].count("because") == shell("explain", "leaf1", "vni10005").out.count("because")


def test_status_says_what_devices_say_goes_on(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = shell("status", "-o", "json").json  # type: ignore[assignment]
    assert found["warnings"] == []
    fabric.show_status(found | {"warnings": [{"severity": "warning", "detail": "10.1.1.11 is claimed twice."}]})
    assert capsys.readouterr().out.splitlines()[-1] == "warning: 10.1.1.11 is claimed twice."


def test_waiting_ends_at_its_limit_and_names_who_is_awaited(shell: Shell) -> None:
    waited = shell("apply", "--wait", "--timeout", "0.5", "-f", str(QUICKSTART))
    assert waited.code == 4
    assert "waiting for leaf1, leaf2, leaf3, spine1, spine2 to confirm revision 2" in waited.err
    assert "error[wait-timeout]" in waited.err


def test_an_enrolment_token_is_all_that_is_on_stdout(shell: Shell) -> None:
    issued = shell("device", "enrol", "leaf1")
    assert issued.out.startswith("ule_")
    assert issued.out.count("\n") == 1
    assert "once, until" in issued.err
    missing = shell("device", "enrol", "leaf99")
    assert (missing.code, missing.out) == (1, "")


def test_forgetting_a_device_is_asked_about(shell: Shell) -> None:
    assert shell("device", "forget", "spine2", stdin="n\n").code == 1
    assert shell("device", "forget", "spine2", "--yes").code == 0
    assert shell("device", "forget", "leaf99", "--yes").code == 1


def test_tokens_are_made_listed_and_revoked(shell: Shell, tmp_path: Path) -> None:
    made = shell("token", "create", "ann", "--role", "tenant", "-t", "acme", "--days", "1", "--as-context")
    context = tmp_path / "ann.json"
    context.write_text(made.out)
    context.chmod(0o600)

    def ann(*arguments: str) -> Any:
        return underlace(tmp_path, "--context", str(context), *arguments)

    assert ann("whoami", "-o", "json").json == {"name": "ann", "role": "tenant", "tenants": ["acme"]}
    assert len(ann("get", "vpc", "-o", "json").json) == 1
    forbidden = ann("token", "list")
    assert forbidden.code == 1
    assert "error[forbidden]" in forbidden.err
    listed = shell("token", "list", "-o", "json")
    tokens = {t["name"]: t for t in listed.json}  # type: ignore[attr-defined]
    assert json.loads(made.out)["token"] not in listed.out
    assert shell("token", "revoke", tokens["ann"]["id"]).code == 0
    refused = ann("whoami")
    assert refused.code == 3
    assert "error[unauthenticated]" in refused.err
    assert shell("token", "revoke", tokens["ann"]["id"]).code == 1
    assert shell("token", "create", "x", "--role", "god").code == 1
    assert made.err == ""
    endless = shell("token", "create", "x")
    assert (endless.code, endless.out.count("\n"), "warning[token-without-end]" in endless.err) == (0, 1, True)
    misspelt = shell("token", "create", "x", "--role", "tenant", "-t", "amce")
    assert (misspelt.code, "error[unknown-tenant]" in misspelt.err, "Did you mean acme?" in misspelt.err) == (
        1,
        True,
        True,
    )


def test_history_says_who_and_why(shell: Shell) -> None:
    assert "first fabric" in shell("history").out
    assert "+ vpc/acme/red" in shell("history", "2").out
    assert shell("history", "999").code == 1


def test_an_upgrade_is_surveyed_planned_and_applied_by_device(shell: Shell) -> None:
    found = shell("upgrade", "survey", "-o", "json")
    assert (found.code, found.json["state"], found.json["devices"]) == (0, "done", [])  # type: ignore[index]
    assert shell("upgrade", "survey").err.endswith(" resources were compiled\n")
    planned = shell("upgrade", "plan", "leaf1")
    assert (planned.code, planned.out, planned.err) == (0, "", "nothing to change\n")
    assert shell("upgrade", "apply", "leaf1", "leaf2").err.splitlines() == [
        "1 of 2: leaf1: nothing to change",
        "2 of 2: leaf2: nothing to change",
    ]
    assert "error[not-found]" in shell("upgrade", "plan", "ghost").err


def test_compact_says_what_went_and_since_when_intent_can_be_told(shell: Shell) -> None:
    before = shell("history", "-o", "json").out
    done = shell("compact", "--keep-days", "90")
    assert (done.code, done.out) == (0, "")
    assert done.err == "0 versions dropped; what intent was can be told since revision 0\n"
    assert shell("history", "-o", "json").out == before
    assert shell("compact", "--keep-days", "0").code == 2


def test_history_tells_what_is_new_from_what_changed(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"

    def signs(text: str, *command: str) -> list[str]:
        file.write_text(text)
        done = shell(*command, "-f", str(file), "-o", "json")
        assert done.code == 0, done.err
        return shell("history", str(done.json["revision"])).out.splitlines()[1:]  # type: ignore[index]

    one, two = "{kind: tenant, name: h1, spec: {}}\n", "{kind: tenant, name: h2, spec: {}}\n"
    changed = "{kind: tenant, name: h1, spec: {description: more}}\n"
    assert signs(one, "apply") == ["+ tenant/-/h1"]
    assert signs(changed + "---\n" + two, "apply") == ["~ tenant/-/h1", "+ tenant/-/h2"]
    assert signs(one + "---\n" + two, "delete") == ["- tenant/-/h1", "- tenant/-/h2"]
    assert signs(one, "apply") == ["+ tenant/-/h1"], "a name used again is another resource"
    signs(one, "delete")


def test_resources_are_deleted_by_name_or_by_file(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("{kind: tenant, name: temp, spec: {}}\n---\n{kind: vpc, tenant: temp, name: x, spec: {}}\n")
    assert shell("apply", "-f", str(file)).code == 0
    held = shell("delete", "tenant", "temp")
    assert held.code == 1
    assert "error[still-referred-to]" in held.err
    assert shell("delete", "-f", str(file)).code == 0
    gone = shell("delete", "vpc", "temp/x")
    assert gone.code == 1
    assert "error[not-found]" in gone.err


def test_every_fault_of_every_file_is_shown_with_its_line_underlined(shell: Shell, tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("kind: vpc\ntenant: acme\nname: x\nspec:\n  vni: lots\n  colour: blue\n")
    two.write_text("{kind: vpc, tenant: acme, name: y, spec: {}\n")
    unreadable = shell("plan", "-f", str(one), "-f", str(two))
    assert unreadable.code == 1
    assert f"{two}:" in unreadable.err
    refused = shell("plan", "-f", str(one))
    assert refused.code == 1
    assert refused.out == ""
    assert f"{one}:5 vpc/acme/x /spec/vni" in refused.err
    assert f"{one}:6 vpc/acme/x /spec/colour" in refused.err
    assert "    vni: lots\n    ^^^^^^^^^\n" in refused.err
    assert "remedy:" in refused.err


FAULTY = """\
{kind: vpc, tenant: acme, name: lonely, spec: {vni: [}
---
{kind: subnet, tenant: acme, name: astray, spec: {prefix: 10.1.200.0/24, vpc: nowhere}}
---
{kind: vpc, tenant: acme, name: coloured, spec: {colour: blue}}
---
{kind: vpc, tenant: acme, name: labelled, labels: {n: 7}}
---
{kind: vnet, tenant: acme, name: sound, spec: {vpc: labelled}}
---
{kind: vnet, tenant: acme, name: wide, spec: {vpc: red, ports: [{port: swp99@leaf1}]}}
---
{kind: vpc, tenant: acme, name: listed, spec: [1]}
"""


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_what_cannot_be_read_hides_no_other_fault(shell: Shell, tmp_path: Path, command: str) -> None:
    """All at once, in the order of the file; and what only follows from a fault is not there."""
    file = tmp_path / "faulty.yaml"
    file.write_text(FAULTY)
    before = shell("history", "-o", "json").out
    refused = shell(command, "-f", str(file))
    assert (refused.code, refused.out) == (1, "")
    found = [line.partition(f"{file}:")[2] for line in refused.err.splitlines() if line.startswith("  at ")]
    assert found == [
        "1",
        "3 subnet/acme/astray /spec/prefix",
        "3 subnet/acme/astray /spec/vpc",
        "5 vpc/acme/coloured /spec/colour",
        "7 vpc/acme/labelled /labels/n",
        "11 vnet/acme/wide /spec/ports/0/port",
        "13 vpc/acme/listed /spec",
    ]
    assert "error[syntax]" in refused.err
    assert "error[dangling-reference]" in refused.err
    assert shell("history", "-o", "json").out == before


def test_of_two_documents_with_one_name_each_fault_is_at_its_own(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    documents = [f"{{kind: vnet, tenant: acme, name: x, spec: {{vpc: {vpc}}}}}" for vpc in ("none", "red")]
    file.write_text("\n---\n".join(documents))
    refused = shell("plan", "-f", str(file))
    assert f"at {file}:1 vnet/acme/x /spec/vpc" in refused.err
    assert f"at {file}:3 vnet/acme/x /name" in refused.err


def test_what_cannot_be_read_is_said_without_a_controller_too(tmp_path: Path) -> None:
    file = tmp_path / "faulty.yaml"
    file.write_text(FAULTY)
    alone = underlace(tmp_path, "plan", "-f", str(file))
    assert alone.code == 1
    assert "error[syntax]" in alone.err
    assert "error[context-missing]" in alone.err


def test_a_backup_is_private_and_whole(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    assert shell("backup", str(file)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["backup.tar"]
    assert shell("backup", str(tmp_path / "none" / "backup.tar")).code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["get", "nothing"], 2, "error[unknown-kind]"),
        (["get", "vpc", "red"], 2, "error[tenant-missing]"),
        (["get", "vpc", "acme/none"], 1, "error[not-found]"),
        (["get", "vpc", "-l", "x"], 2, "error[label-invalid]"),
        (["get", "vpc", "-l", "=x"], 2, "Write, for example: -l tier=front"),
        (["get", "-l", "a=b"], 2, "error[option-without-effect]"),
        (["get", "-t", "acme"], 2, "error[option-without-effect]"),
        (["get", "vpc", "acme/red", "-l", "a=b"], 2, "error[option-without-effect]"),
        (["get", "vnets"], 2, "Did you mean vnet?"),
        (["get", "Switches"], 2, "Did you mean switch?"),
        (["get", "bgp"], 2, "Did you mean bgp-peer?"),
        (["get", "vpc", "-t", "nobody"], 1, "There is no tenant nobody that you may see."),
        (["get", "vpc", "-t", "acne"], 1, "Did you mean acme?"),
        (["get", "switch", "-t", "acme"], 2, "error[kind-of-no-tenant]"),
        (["delete", "switch", "leaf1", "-t", "acme"], 2, "error[kind-of-no-tenant]"),
        (["delete", "vpc", "acme/red", "-t", "bolt"], 2, "error[tenants-differ]"),
        (["delete", "-f", str(QUICKSTART / "tenants.yaml"), "-t", "acme"], 2, "error[tenants-differ]"),
        (["get", "subnet", "10.0.0.0/8", "-t", "acme"], 1, "There is no subnet acme/10.0.0.0/8 that you may see."),
        (["delete"], 2, "error[nothing-named]"),
        (["delete", "vpc"], 2, "error[nothing-named]"),
        (["plan", "-f", "/nowhere.yaml"], 1, "error[unreadable-file]"),
        (["plan"], 2, "Missing option"),
        (["config", "leaf99"], 1, "error[not-found]"),
        (["explain", "leaf1", "qqqqqq"], 1, "error[line-not-found]"),
        (["--nothing"], 2, "No such option"),
        (["nothing"], 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr_with_its_code(
    shell: Shell, arguments: list[str], code: int, said: str
) -> None:
    done = shell(*arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_a_tenant_may_be_named_twice_if_it_is_the_same(shell: Shell) -> None:
    once = shell("get", "vpc", "acme/red", "-o", "json")
    assert (once.code, shell("get", "vpc", "acme/red", "-t", "acme", "-o", "json").out) == (0, once.out)


def test_remedies_are_for_those_who_read_them(shell: Shell, tmp_path: Path) -> None:
    context, intent = tmp_path / "ann.json", tmp_path / "x.yaml"
    context.write_text(shell("token", "create", "ann", "--role", "tenant", "-t", "acme", "--as-context").out)
    context.chmod(0o600)
    intent.write_text("{kind: vnet, tenant: acme, name: new, spec: {vpc: red, ports: [{port: swp12@leaf1}]}}\n")
    for command in (("plan",), ("apply", "--wait")):
        told = underlace(tmp_path, "--context", str(context), *command, "-f", str(intent)).err
        assert told.count("error[") == 1, told
        assert "remedy: Correct the name, or have an operator assign the port to your tenant." in told
    stranger = underlace(tmp_path, "--context", str(context), "get", "vpc", "-t", "bolt")
    nobody = underlace(tmp_path, "--context", str(context), "get", "vpc", "-t", "tlob")
    assert stranger.err.replace("bolt", "X") == nobody.err.replace("tlob", "X"), "neither is known to acme"
    assert (stranger.code, "underlace get tenant" in stranger.err) == (1, True)
    held = json.loads(context.read_text())
    context.write_text(json.dumps({**held, "token": "ul_a_b"}))
    unknown = underlace(tmp_path, "--context", str(context), "whoami")
    assert (unknown.code, "error[unauthenticated]" in unknown.err) == (3, True)
    assert f"at {context}" in unknown.err
    assert "underlace token create --as-context NAME" in unknown.err
    for ca, code in (("none", "context-invalid"), (Authority(tmp_path / "ca").ca_pem, "controller-not-trusted")):
        context.write_text(json.dumps({**held, "ca": ca}))
        told = underlace(tmp_path, "--context", str(context), "whoami").err
        assert f"error[{code}]" in told
        assert f"into {context}: it stands in context.json in the controller's data directory." in told


def test_a_wide_plan_names_the_devices_whose_configuration_it_leaves_out(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "wide.yaml"
    ports = ", ".join(f"{{port: swp13@leaf{i}}}" for i in (1, 2, 3))
    file.write_text(f"{{kind: vnet, tenant: acme, name: wide, spec: {{vpc: red, ports: [{ports}]}}}}\n")
    assert "left out" not in shell("plan", "-f", str(file)).out
    one = shell("plan", "-f", str(file), "--native", "leaf2")
    assert one.code == 0, one.err
    assert [line.strip() for line in one.out.splitlines() if "left out" in line] == [
        f"(left out: plan --native leaf{i} shows it)" for i in (1, 3)
    ]
    done = shell("apply", "-f", str(file))
    assert done.err.partition(": ")[2] == "1 created; 3 devices change: 3 outage\n"
    assert shell("delete", "vnet", "acme/wide").code == 0

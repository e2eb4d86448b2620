"""Whole intents to whole devices, and bad input to words: compared with files that people have read.

    tests/golden/<case>/intent.yaml      or examples/<case>/, an intent without fault
    tests/golden/<case>/<device>.model.yaml    its device objects, by scope, and who asked for them
    tests/golden/<case>/<device>.<os>.txt      the same as the device would show it
    tests/golden/errors/<case>.yaml, .txt      an intent with faults, and everything that is said about it

`make golden` writes them anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.support.view import MemoryView, drafts
from underlace.compiler import Fragment, check_device, compile_fragments
from underlace.drivers.linux import LinuxDriver
from underlace.kinds.builtin import BUILTIN
from underlace.kinds.parse import parse_all
from underlace.model.diagnostic import Diagnostic
from underlace.model.document import Document, Reading, located, read_bytes, read_paths
from underlace.model.fact import FragmentKey

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"
ERRORS = HERE / "errors"
UPDATE = os.environ.get("UNDERLACE_GOLDEN") == "update"
CASES = sorted(p.name for p in HERE.iterdir() if p.is_dir() and p != ERRORS and not p.name.startswith("_"))
BAD = sorted(p.stem for p in ERRORS.glob("*.yaml"))

Devices = dict[str, dict[str, Fragment]]
"""Fragments by device and scope."""


@pytest.fixture(scope="module")
def compiled() -> Callable[[str], Devices]:
    """The devices of a case, compiled once."""

    @cache
    def compile_case(case: str) -> Devices:
        view = MemoryView(drafts(_intent(case)))
        assert view.check() == []
        found = compile_fragments(view.resources.values(), view)
        assert found.diagnostics == []
        return _by_device(found.fragments)

    return compile_case


@pytest.mark.parametrize("case", CASES)
def test_intent_compiles_to_golden_devices(case: str, compiled: Callable[[str], Devices]) -> None:
    expected = {f"{device}.model.yaml": _model_text(device, f) for device, f in compiled(case).items()}
    _compare(HERE / case, expected, "*.model.yaml")


@pytest.mark.parametrize("case", CASES)
def test_devices_show_golden_configuration(case: str, compiled: Callable[[str], Devices]) -> None:
    driver = LinuxDriver()
    expected = {}
    for device, fragments in compiled(case).items():
        items = driver.items([o for f in fragments.values() for o in f.objects])
        expected[f"{device}.{driver.name}.txt"] = "\n".join(driver.text(items)) + "\n"
    _compare(HERE / case, expected, f"*.{driver.name}.txt")


@pytest.mark.parametrize("case", CASES)
def test_golden_devices_are_consistent(case: str, compiled: Callable[[str], Devices]) -> None:
    """What kinds claim in intent holds on the device."""
    for device, fragments in compiled(case).items():
        assert check_device(device, [o for f in fragments.values() for o in f.objects]) == []


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_explained(case: str) -> None:
    name = f"{case}.yaml"
    found = _examined(read_bytes((ERRORS / name).read_bytes(), name))
    assert found, "this intent has no fault"
    for diagnostic in found:
        assert diagnostic.where.file == name
        assert diagnostic.where.line > 0
        assert diagnostic.remedy
    _compare(ERRORS, {f"{case}.txt": _words(found)}, f"{case}.txt")


def test_document_beyond_the_limit_is_refused_alone() -> None:
    large = "{kind: tenant, name: large, spec: {description: " + "x" * (1 << 20) + "}}"
    text = f"{{kind: tenant, name: before}}\n---\n{large}\n---\n{{kind: switch, name: leaf1}}\n"
    found = _examined(read_bytes(text.encode(), "large.yaml"))
    _compare(ERRORS, {"large.txt": _words(found)}, "large.txt")


def _intent(case: str) -> list[Document]:
    path = HERE / case / "intent.yaml"
    reading = read_paths([path if path.exists() else EXAMPLES / case])
    assert reading.diagnostics == []
    return reading.documents


def _examined(reading: Reading) -> list[Diagnostic]:
    """Everything that is said about an intent: each phase says all it finds, and ends there if it found anything."""
    written = {str(d) for d in reading.documents}
    documents = [*(d for d in BUILTIN if str(d) not in written), *reading.documents]
    found, faults = parse_all(documents)
    faults = [*reading.diagnostics, *faults]
    if not faults:
        view = MemoryView(found)
        faults = view.check() or compile_fragments(view.resources.values(), view).diagnostics
    return located(faults, documents)


def _words(found: Iterable[Diagnostic]) -> str:
    return "\n\n".join(map(str, found)) + "\n"


def _by_device(fragments: dict[FragmentKey, Fragment]) -> Devices:
    found: Devices = {}
    for (device, scope), fragment in sorted(fragments.items()):
        found.setdefault(device, {})[scope] = fragment
    return found


def _model_text(device: str, fragments: dict[str, Fragment]) -> str:
    """One object a line, so that a difference reads as what it is."""
    lines = [f"# Device objects of {device}, by scope."]
    for scope, fragment in fragments.items():
        lines.append(f"{scope}:")
        lines.append(f"  because: {_flow([str(ref) for ref in sorted(fragment.touches)])}")
        lines.append("  objects:")
        lines += [f"    - {_flow(msgspec.to_builtins(o, order='deterministic'))}" for o in fragment.objects]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1 << 20)
    return text.strip()


def _compare(folder: Path, expected: dict[str, str], pattern: str) -> None:
    present = {p.name for p in folder.glob(pattern)}
    if UPDATE:
        for name in present - expected.keys():
            (folder / name).unlink()
        for name, text in expected.items():
            (folder / name).write_text(text)
        return
    assert present == expected.keys(), "make golden"
    for name, text in expected.items():
        assert text == (folder / name).read_text(), f"{name} differs: make golden shows how"

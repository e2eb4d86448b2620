"""Law 3: desired state is a function of current intent and of its recorded allocations, never of the path to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.view import MemoryView, drafts
from underlace.compiler import compile_fragments
from underlace.kinds.base import Devices
from underlace.kinds.registry import KINDS
from underlace.model.device import Port
from underlace.model.document import Document, read_paths
from underlace.model.fact import Fact, FragmentKey, port_scope
from underlace.model.resource import Resource, View

ROOT = Path(__file__).parent.parent.parent
PRINT_HASHES = """
from pathlib import Path
from tests.laws.test_law_3 import hashes, quickstart
for key, value in sorted(hashes(quickstart()).items()):
    print(*key, value)
"""


def quickstart() -> list[Document]:
    reading = read_paths([ROOT / "examples" / "quickstart"])
    assert reading.diagnostics == []
    return reading.documents


def hashes(documents: list[Document]) -> dict[FragmentKey, str]:
    view = MemoryView(drafts(documents))
    return {key: f.hash for key, f in compile_fragments(view.resources.values(), view).fragments.items()}


def test_order_of_documents_does_not_matter() -> None:
    documents = quickstart()
    assert hashes(documents) == hashes(documents[::-1])


def test_other_machine_gives_the_same_bytes() -> None:
    """Another process has another hash seed: another order of every set and dictionary of names."""
    printed = {_printed(seed) for seed in ("1", "2")}
    assert len(printed) == 1
    assert printed.pop().count("\n") == len(hashes(quickstart()))


def _printed(seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_HASHES], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_path_to_the_intent_does_not_matter() -> None:
    """Half of it first, with ids and numbers recorded; then the whole: as if it had all come at once with these."""
    documents = quickstart()
    half = MemoryView(drafts([d for d in documents if d.tenant in ("-", "system", "acme")]))
    ids = {ref: r.id for ref, r in half.resources.items()}
    grown = MemoryView(drafts(documents), ids, half.numbers)
    everything = {ref: r.id for ref, r in grown.resources.items()}
    at_once = MemoryView(drafts(documents[::-1]), everything, grown.numbers)
    assert _bytes(grown) == _bytes(at_once)
    assert _bytes(grown) != _bytes(MemoryView(drafts(documents))), "this path gave no other numbers: it shows nothing"


def _bytes(view: MemoryView) -> dict[FragmentKey, bytes]:
    return {key: f.body for key, f in compile_fragments(view.resources.values(), view).fragments.items()}


def test_a_planted_memory_of_the_path_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breach: a kind that lets the first port it meets be the enabled one."""
    met: list[str] = []
    kind = type(KINDS["switch"])
    honest = kind.compile

    def compile_in_order(self: Any, r: Resource[Any], view: View, devices: Devices = None) -> Iterator[Fact]:
        met.append(r.ref.name)
        yield from honest(self, r, view, devices)
        yield Fact(r.ref.name, port_scope("swp1"), Port("swp1", mtu=1_500 + len(met)), r.ref)

    monkeypatch.setattr(kind, "compile", compile_in_order)
    with pytest.raises(AssertionError):
        test_order_of_documents_does_not_matter()

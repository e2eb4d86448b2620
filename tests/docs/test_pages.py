"""The documentation says what the code says: nothing stale or missing, no dead link, no example that is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tools import gen
from tools.pages import cli as cli_page
from tools.pages import diagnostics
from underlace.kinds.parse import parse_all
from underlace.kinds.registry import KINDS
from underlace.main import build
from underlace.model.document import read_text
from underlace.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ANCHOR = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


def test_the_reference_is_fresh() -> None:
    assert gen.stale() == [], "run: make gen"


def test_a_stale_page_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gen, "REFERENCE", tmp_path)
    gen.write()
    assert gen.stale() == []
    (tmp_path / "settings.md").write_text("old")
    (tmp_path / "diagnostics.md").unlink()
    (tmp_path / "kinds" / "gone.md").write_text("a kind that is no more")
    assert gen.stale() == ["diagnostics.md", "kinds/gone.md", "settings.md"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_has_a_page_with_all_its_fields_and_an_example(kind: str) -> None:
    page = (DOCS / "reference" / "kinds" / f"{kind}.md").read_text()
    assert "## Example" in page, f"no example file has a {kind}"
    for field, info in KINDS[kind].spec.model_fields.items():
        assert f"| `{field}` |" in page
        assert info.description, f"{kind}.{field} has no description"


def test_every_setting_is_described() -> None:
    page = (DOCS / "reference" / "settings.md").read_text()
    for setting, info in Settings.model_fields.items():
        assert info.description, setting
        assert f"| `{setting}` |" in page


def test_every_command_is_described() -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    root = typer.main.get_command(build(["lab"]))
    paths = dict(cli_page.commands(root, "underlace"))
    assert len(paths) > 10
    for path, command in paths.items():
        assert f"## {path}\n" in page
        assert cli_page.prose(command), f"{path} has no help"


def test_every_diagnostic_is_described() -> None:
    page = (DOCS / "reference" / "diagnostics.md").read_text()
    found = diagnostics.by_code(ROOT / "src" / "underlace")
    assert len(found) > 50
    for code, wordings in found.items():
        assert f"## {code}\n" in page
        assert wordings[0].summary.rstrip(".") in page


def test_codes_that_tests_have_seen_are_described() -> None:
    """What the goldens show was really given; a code that the page lacks is written in a way it does not see."""
    page = (DOCS / "reference" / "diagnostics.md").read_text()
    seen = {
        code
        for path in (ROOT / "tests" / "golden").rglob("*.txt")
        for code in re.findall(r"(?:error|warning)\[([a-z0-9-]+)\]", path.read_text())
    }
    assert seen
    assert [code for code in sorted(seen) if f"## {code}\n" not in page] == []


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in LINK.findall(text):
            if "://" not in target:
                yield page, target


def test_links_lead_somewhere() -> None:
    dead = []
    for page, target in links():
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(f"{name(page)}: {target}")
    assert dead == []


def anchors(page: Path) -> set[str]:
    """Headings as the usual renderers name them."""
    headings = ANCHOR.findall(page.read_text())
    return {re.sub(r"[^a-z0-9 _-]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_page_is_reached_from_the_index() -> None:
    reached, open_pages = {DOCS / "README.md"}, [DOCS / "README.md"]
    targets: dict[Path, set[Path]] = {}
    for page, target in links():
        targets.setdefault(page, set()).add((page.parent / target.partition("#")[0]).resolve())
    while open_pages:
        for target in targets.get(open_pages.pop(), set()) - reached:
            reached.add(target)
            open_pages.append(target)
    assert [name(p) for p in DOCS.rglob("*.md") if p not in reached] == []


def blocks() -> list[Any]:
    return [
        pytest.param(block, id=f"{name(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(BLOCK.findall(page.read_text()), 1)
        if "kind:" in block
    ]


@pytest.mark.parametrize("block", blocks())
def test_an_example_is_valid(block: str) -> None:
    reading = read_text(block)
    assert reading.diagnostics == []
    assert reading.documents
    drafts, faults = parse_all(reading.documents)
    assert faults == []
    assert len(drafts) == len(reading.documents)


@pytest.mark.parametrize("page", sorted((DOCS / "adr").glob("0*.md")), ids=name)
def test_a_decision_is_one_page(page: Path) -> None:
    text = page.read_text()
    assert len(text.split()) <= 450
    for part in ("**Context.**", "**Decision.**", "**Alternatives.**", "**Cost.**"):
        assert part in text
    assert page.name in (DOCS / "adr" / "README.md").read_text()

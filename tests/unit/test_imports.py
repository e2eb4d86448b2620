"""The import contracts of pyproject.toml, and that each of them catches what it is there for."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import pytest
from importlinter.cli import lint_imports_command

from support.forked import Forked

ROOT = Path(__file__).resolve().parents[2]


class Run(NamedTuple):
    code: int
    said: str


def lint(tree: Path, *arguments: str) -> Run:
    """import-linter on a tree, with that tree's package and not the installed one."""

    def work() -> None:
        for name in [n for n in sys.modules if n.partition(".")[0] in ("underlace", "tools")]:
            del sys.modules[name]
        sys.path.insert(0, str(tree / "src"))
        os.environ.update(COLUMNS="200", NO_COLOR="1")
        os.chdir(tree)
        lint_imports_command(["--no-cache", "--no-logo", *arguments])

    with open(os.devnull) as nothing, TemporaryFile() as out:
        code = Forked.start(work, [nothing.fileno(), out.fileno(), out.fileno()]).wait()
        out.seek(0)
        return Run(code, out.read().decode())


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, its contracts and their types, to break."""
    tree = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "underlace", tree / "src" / "underlace", ignore=ignore)
    shutil.copytree(ROOT / "tools", tree / "tools", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


class Tree:
    """The copy; what a test writes into it is taken back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._before: dict[Path, str | None] = {}

    def write(self, path: Path, text: str) -> None:
        self._before.setdefault(path, path.read_text() if path.exists() else None)
        path.write_text(text)

    def plant(self, module: str, line: str) -> None:
        """Append an import to a module; one that is not there is made."""
        path = self.root / "src" / Path(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        self.write(path, f"{path.read_text() if path.exists() else ''}\n{line}\n")

    def restore(self) -> None:
        for path, text in self._before.items():
            if text is None:
                path.unlink()
            else:
                path.write_text(text)


@pytest.fixture
def tree(copy: Path) -> Iterator[Tree]:
    tree = Tree(copy)
    yield tree
    tree.restore()


class Breach(NamedTuple):
    contract: str
    module: str
    line: str


BREACHES = [
    Breach("layers", "underlace.model.ids", "from underlace.kinds import base"),
    Breach("layers", "underlace.kinds.base", "import underlace.store"),
    Breach("layers", "underlace.compiler", "import underlace.drivers.protocol"),
    Breach("layers", "underlace.access", "import underlace.diff.change"),
    Breach("layers", "underlace.store", "import underlace.controller"),
    Breach("layers", "underlace.controller", "import underlace.api"),
    Breach("layers", "underlace.store", "import underlace.live"),
    Breach("layers", "underlace.live", "import underlace.controller"),
    Breach("layers", "underlace.queries.base", "import underlace.drivers.protocol"),
    Breach("layers", "underlace.newcomer", ""),
    Breach("devices", "underlace.drivers.protocol", "import underlace.kinds.base"),
    Breach("devices", "underlace.diff.change", "import underlace.access"),
    Breach("agent", "underlace.agent", "import underlace.kinds.base"),
    Breach("agent", "underlace.agent", "import underlace.access"),
    Breach("agent", "underlace.agent", "import underlace.store"),
    Breach("agent-yaml", "underlace.agent", "import underlace.model.document"),
    Breach("lab", "underlace.lab", "import underlace.compiler"),
    Breach("lab", "underlace.lab.expect", "import underlace.compiler"),
    Breach("lab", "underlace.lab", "import underlace.controller"),
    Breach("lab", "underlace.lab", "import underlace.store"),
    Breach("lab", "underlace.lab", "import underlace.api"),
    Breach("clients", "underlace.cli", "import underlace.store"),
    Breach("clients", "underlace.cli", "import underlace.controller"),
    Breach("clients", "underlace.cli", "import underlace.api"),
    Breach("lean", "underlace.agent", "import httpx"),
    Breach("lean", "underlace.drivers.linux", "import pyroute2"),
    Breach("lean", "underlace.diff", "import pydantic"),
    Breach("lean", "underlace.model.ids", "import yaml"),
    Breach("pure", "underlace.model.ids", "import fastapi"),
    Breach("pure", "underlace.kinds.base", "import sqlalchemy"),
    Breach("pure", "underlace.compiler", "import httpx"),
    Breach("pure", "underlace.diff.change", "import asyncio"),
    Breach("pure", "underlace.access", "import subprocess"),
    Breach("pure", "underlace.compiler", "import socket"),
    Breach("pure", "underlace.kinds.base", "from time import time"),
    Breach("pure", "underlace.queries.base", "import subprocess"),
    Breach("pure-drivers", "underlace.drivers.protocol", "import subprocess"),
    Breach("pure-drivers", "underlace.drivers.linux", "import asyncio"),
    Breach("pure-drivers", "underlace.drivers.linux", "import underlace.drivers.linux.io"),
    Breach("pure-drivers", "underlace.drivers.linux.render", "import underlace.drivers.linux.programs"),
    Breach("pure-drivers", "underlace.drivers.linux.parse", "import subprocess"),
    Breach("pure-drivers", "underlace.drivers.linux.probes.base", "import underlace.drivers.linux.probing"),
    Breach("door", "underlace.controller", "import underlace.drivers.linux.io"),
    Breach("door", "underlace.api", "import underlace.drivers.linux.device"),
    Breach("sql", "underlace.controller", "import sqlalchemy"),
    Breach("sql", "underlace.api", "import sqlite3"),
    Breach("sql", "underlace.live.live", "import sqlalchemy"),
    Breach("web", "underlace.controller", "import fastapi"),
    Breach("kinds", "underlace.kinds.vpc", "import underlace.kinds.vnet"),
]


def test_the_contracts_are_kept() -> None:
    run = lint(ROOT)
    assert run.code == 0, run.said


def test_every_contract_has_a_planted_breach() -> None:
    configured = re.findall(r'^id = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert sorted({b.contract for b in BREACHES}) == sorted(configured)


@pytest.mark.parametrize("breach", BREACHES, ids=lambda b: f"{b.contract}-{b.module}-{b.line.partition(' ')[2]}")
def test_a_planted_breach_is_caught(tree: Tree, breach: Breach) -> None:
    tree.plant(breach.module, breach.line)
    if breach.contract == "kinds":
        tree.plant("underlace.kinds.vnet", "import underlace.kinds.vpc")
    run = lint(tree.root, "--contract", breach.contract)
    assert run.code == 1, run.said
    assert "0 kept, 1 broken" in run.said
    imported = breach.line.split()[1] if breach.line else ""
    if breach.contract == "kinds":
        assert ".vpc -> .vnet" in run.said
    else:
        assert breach.module in run.said
        assert imported in run.said


@pytest.mark.parametrize(
    ("contract", "expression"),
    [
        ("door", "underlace.drivers.*.*"),
        ("pure-drivers", "underlace.drivers.*"),
    ],
)
def test_a_wildcard_that_matches_nothing_breaks_its_contract(tree: Tree, contract: str, expression: str) -> None:
    config = tree.root / "pyproject.toml"
    text = config.read_text()
    assert f'"{expression}"' in text
    tree.write(config, text.replace(f'"{expression}"', '"underlace.drivers.*.nowhere"'))
    run = lint(tree.root, "--contract", contract)
    assert run.code == 1, run.said
    assert "underlace.drivers.*.nowhere matches no module" in run.said

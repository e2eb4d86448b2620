"""docs/reference/diagnostics.md: every code that the source can give, with its words.

Codes are found in the syntax tree: a text like "gateway-outside-subnet" that stands right before a summary, as
arguments of one call or values of one tuple; one step through a helper is followed. That is how a diagnostic is
written everywhere in this code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tools.pages import NOTICE

MAKERS = frozenset({"Diagnostic", "Fault", "finding"})
"""What makes a finding; there a code may be a single word."""

WORD = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
SUMMARY = re.compile(r"[A-Z][^\n]* [^\n]*")


INTRO = """# Diagnostics

A finding says where it is, what is wrong, why, and what to do. Code and summary are the same for every name; where a
remedy holds a name, this page has `…`. How to read one: [Read an error](../how-to/read-an-error.md).
"""


class Finding(NamedTuple):
    code: str
    summary: str
    remedy: str
    module: str


def pages(source: Path) -> Iterator[tuple[str, str]]:
    text = NOTICE.format(source="the diagnostics in src/underlace/") + INTRO
    for code, summaries in sorted(by_code(source).items()):
        text += f"\n## {code}\n\n"
        for found in summaries:
            text += f"{found.summary.rstrip('.')}.\n"
            text += f"Remedy: {found.remedy}\n" if found.remedy else ""
            text += f"Given by `{found.module}`.\n\n" if found is summaries[-1] else "\n"
        text = text.rstrip("\n") + "\n"
    yield "diagnostics.md", text


@cache
def by_code(source: Path) -> Mapping[str, Sequence[Finding]]:
    """Findings by code; one entry for each wording."""
    modules = {
        ".".join(path.relative_to(source.parent).with_suffix("").parts): list(ast.walk(ast.parse(path.read_text())))
        for path in sorted(source.rglob("*.py"))
    }
    helpers = {f.name: f for nodes in modules.values() for f in nodes if isinstance(f, ast.FunctionDef)}
    found: dict[str, list[Finding]] = {}
    for module, nodes in modules.items():
        for finding in findings(nodes, module, helpers):
            known = found.setdefault(finding.code, [])
            if all((finding.summary, finding.remedy) != (k.summary, k.remedy) for k in known):
                known.append(finding)
    return found


def findings(nodes: Iterable[ast.AST], module: str, helpers: Mapping[str, ast.FunctionDef]) -> Iterator[Finding]:
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from in_call(node, module, {})
            if (helper := helpers.get(called(node))) is not None:
                yield from through(helper, node, module)
        elif isinstance(node, ast.Tuple):
            yield from in_words([words(e, {}) for e in node.elts], module, CODE)


def through(helper: ast.FunctionDef, call: ast.Call, module: str) -> Iterator[Finding]:
    """What a helper says when its code, or a part of it, is an argument: `def _extra(self, line, code, what)`."""
    parameters = [a.arg for a in helper.args.args if a.arg != "self"]
    given = {name: words(value, {}) for name, value in zip(parameters, call.args, strict=False)}
    given |= {k.arg: words(k.value, {}) for k in call.keywords if k.arg}
    given = {name: text for name, text in given.items() if text}
    for node in ast.walk(helper) if given else ():
        if isinstance(node, ast.Call):
            plain = {f.code for f in in_call(node, module, {})}
            yield from (f for f in in_call(node, module, given) if f.code not in plain)


def in_call(node: ast.Call, module: str, given: Mapping[str, str]) -> Iterator[Finding]:
    named = {k.arg: words(k.value, given) for k in node.keywords if k.arg}
    if "code" in named and "summary" in named:
        if WORD.fullmatch(named["code"]):
            yield Finding(named["code"], named["summary"], named.get("remedy", ""), module)
        return
    pattern = WORD if called(node) in MAKERS else CODE
    for found in in_words([words(a, given) for a in node.args], module, pattern):
        yield found._replace(remedy=named.get("remedy") or found.remedy)


def in_words(values: Sequence[str], module: str, pattern: re.Pattern[str]) -> Iterator[Finding]:
    for i, (code, summary) in enumerate(pairwise(values)):
        if pattern.fullmatch(code) and SUMMARY.fullmatch(summary):
            rest = [v for v in values[i + 2 :] if v]
            yield Finding(code, summary, rest[1] if len(rest) > 1 else "", module)


def called(node: ast.Call) -> str:
    """The last word of what is called."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def words(node: ast.expr, given: Mapping[str, str]) -> str:
    """A literal text, or that of a name that is given; what is filled in becomes "…"; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return given.get(node.id, "")
    if isinstance(node, ast.FormattedValue):
        return words(node.value, given) or "…"
    if isinstance(node, ast.JoinedStr):
        return "".join(words(v, given) for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return words(node.left, given) + words(node.right, given)
    return ""

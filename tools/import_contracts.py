"""Contract types that import-linter lacks; pyproject.toml uses them by name.

Allow-lists, because a package added tomorrow must be forbidden by default, and a refusal of wildcards that match
nothing, because import-linter keeps a contract about modules that do not exist.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.contracts.protected import ProtectedContract
from importlinter.domain.imports import ModuleExpression

ROOT = "underlace"


def inside(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def descendants(graph: ImportGraph, packages: Iterable[str]) -> Iterator[str]:
    """Modules of the packages. Raises ValueError for one that is not there: a rule about nothing is a mistake."""
    packages = list(packages)
    for package in packages:
        if package not in graph.modules:
            raise ValueError(f"{package} matches no module")
    yield from sorted(m for m in graph.modules if inside(m, packages) and not graph.is_module_squashed(m))


def imports_of(graph: ImportGraph, module: str, but: Container[str] = ()) -> Iterator[tuple[str, str]]:
    """(imported module, a line for the reader) of one module; `but` are statements that may stand."""
    for imported in sorted(graph.find_modules_directly_imported_by(module)):
        details = graph.get_import_details(importer=module, imported=imported)
        numbers = {d["line_number"] for d in details if d["line_contents"].strip() not in but}
        if numbers:
            yield imported, f"{module} -> {imported} (line {', '.join(map(str, sorted(numbers)))})"


def matching(graph: ImportGraph, expressions: Iterable[ModuleExpression]) -> set[str]:
    """The modules that expressions name. Raises ValueError for one that names none."""
    found: set[str] = set()
    for expression in sorted(expressions, key=str):
        matched = graph.find_matching_modules(str(expression))
        if not matched:
            raise ValueError(f"{expression} matches no module")
        found |= matched
    return found


def listed(option: object) -> list[Any]:
    """The value of a list option. import-linter sets it over the field of the same name, which types do not show."""
    values: list[Any] = list(option or ())  # type: ignore[call-overload]
    return values


def verdict(found: list[str]) -> ContractCheck:
    return ContractCheck(kept=not found, metadata={"found": found})


class Listing(Contract):
    """A contract whose verdict is a list of imports that should not be."""

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["found"]:
            output.print_error(f"- {line}")
        output.new_line()


class SeesContract(Listing):
    """The packages import nothing of Underlace but themselves and what is allowed."""

    type_name = "sees"
    packages = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        packages, allowed = listed(self.packages), listed(self.allowed)
        list(descendants(graph, allowed))
        return verdict(
            [
                line
                for package in packages
                for module in descendants(graph, [package])
                for imported, line in imports_of(graph, module)
                if imported.startswith(f"{ROOT}.") and not inside(imported, [*allowed, package])
            ]
        )


class LibrariesContract(Listing):
    """The packages import the standard library and the allowed libraries, nothing else from outside."""

    type_name = "libraries"
    packages = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField())
    except_modules = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        packages, exempt = listed(self.packages), listed(self.except_modules)
        list(descendants(graph, exempt))
        known = {*listed(self.allowed), *sys.stdlib_module_names, ROOT}
        return verdict(
            [
                line
                for module in descendants(graph, packages)
                if not inside(module, exempt)
                for imported, line in imports_of(graph, module)
                if imported.partition(".")[0] not in known
            ]
        )


class NeverContract(Listing):
    """The packages never import these libraries, or modules of the standard library.

    `except_modules` may, and `except_statements` may stand anywhere, letter for letter.
    """

    type_name = "never"
    packages = fields.ListField(subfield=fields.StringField())
    forbidden = fields.ListField(subfield=fields.StringField())
    except_modules = fields.ListField(subfield=fields.ModuleExpressionField(), required=False)
    except_statements = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        exempt = matching(graph, listed(self.except_modules))
        forbidden = set(listed(self.forbidden))
        return verdict(
            [
                line
                for module in descendants(graph, listed(self.packages))
                if not inside(module, exempt)
                for imported, line in imports_of(graph, module, listed(self.except_statements))
                if imported.partition(".")[0] in forbidden
            ]
        )


class ReachesContract(Listing):
    """The modules, without what lies below them, never reach these libraries by any chain of imports."""

    type_name = "never_reaches"
    modules = fields.ListField(subfield=fields.ModuleExpressionField())
    forbidden = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        present = [name for name in listed(self.forbidden) if name in graph.modules]
        chains = (
            graph.find_shortest_chain(importer=module, imported=library)
            for module in sorted(matching(graph, listed(self.modules)))
            for library in present
        )
        return verdict([" -> ".join(chain) for chain in chains if chain])


class StrictProtectedContract(ProtectedContract):
    """`protected`, where a wildcard that matches nothing is an error."""

    type_name = "strict_protected"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        matching(graph, [*listed(self.protected_modules), *listed(self.allowed_importers)])
        return super().check(graph, verbose)

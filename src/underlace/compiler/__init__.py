"""From resources to fragments: resolve, compile, merge, check against what devices can do; and explain."""

from underlace.compiler.capability import check_budget, check_capabilities, limited
from underlace.compiler.device import check_device
from underlace.compiler.explain import Reason, Why, explain
from underlace.compiler.fragment import Compiled, Fragment, Merge, compile_facts, compile_fragments, merged
from underlace.compiler.resolve import dangling, still_referred, taken

__all__ = [
    "Compiled",
    "Fragment",
    "Merge",
    "Reason",
    "Why",
    "check_budget",
    "check_capabilities",
    "check_device",
    "compile_facts",
    "compile_fragments",
    "dangling",
    "explain",
    "limited",
    "merged",
    "still_referred",
    "taken",
]

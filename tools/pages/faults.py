"""docs/reference/faults.md, from the faults that a lab can be given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tools.pages import NOTICE
from tools.pages.table import table
from underlace.lab.faults.base import Agent, Fault

INTRO = """# Faults of a lab

What `underlace lab fault inject NAME TARGET...` breaks in a lab, on purpose:
[how](../how-to/break-the-lab.md). A fault is in the lab when its proof shows: something that was read or tried, not
what was commanded. It is undone when nothing shows it any more.

"""

AGENT = {
    Agent.MENDS: "owns what this changes, and would put it back within a minute. While the fault lasts it does not "
    "look for drift; it reports, answers and applies as ever. With `--until-mended` it is left to mend.",
    Agent.DISTURBS: "would put this back again and again, and end nothing. While the fault lasts it does not "
    "look for drift; it reports, answers and applies as ever.",
    Agent.LEAVES: "owns nothing of this, and leaves it alone.",
    Agent.GONE: "is, or loses, what this takes away.",
}


def pages(faults: Mapping[str, Fault]) -> Iterator[tuple[str, str]]:
    rows = [(f"[{name}](#{name})", fault.summary) for name, fault in faults.items()]
    text = NOTICE.format(source="src/underlace/lab/faults/") + INTRO + table(("fault", "what is broken"), rows)
    yield "faults.md", text + "".join(f"\n## {name}\n\n{section(fault)}" for name, fault in faults.items())


def section(fault: Fault) -> str:
    text = f"{fault.summary}\n\n    underlace lab fault inject {fault.usage}\n\n"
    if fault.parameters:
        rows = [(f"`{p.name}`", p.help, "" if p.default is None else f"`{p.default}`") for p in fault.parameters]
        text += table(("word", "meaning", "if left out"), rows) + "\n"
    text += f"**What shows.** {fault.shows}\n\n**The agent** {AGENT[fault.agent]}\n"
    if fault.elsewhere:
        text += f"\nKnown elsewhere as: {', '.join(fault.elsewhere)}.\n"
    return text

"""Which resources are behind what a device holds. Nothing of it is stored: facts are stated again."""

from __future__ import annotations

from underlace import compiler
from underlace.access import Actor, Use
from underlace.compiler import Why, compile_facts
from underlace.controller.devices import no_device, require
from underlace.controller.run import Engine
from underlace.model.diagnostic import Refused
from underlace.store import devices, fragments, rows


def explain(engine: Engine, actor: Actor, name: str, text: str) -> list[Why]:
    """Which resources are behind the objects of a device in which the text occurs.

    A line of native configuration is no part of an object: then the objects count that share most words with it.
    """
    require(actor, Use.READ_FABRIC, "explain what devices hold")
    with engine.store.read() as c:
        if devices.one(c, name) is None:
            raise Refused([no_device(name)])
        view = engine.view(c)
        members = [view.parse(s) for s in rows.by_id(c, fragments.on_device(c, name))]
        view.load(x.target for r in members for x in engine.kinds[r.ref.kind].refs(r))
        facts = list(compile_facts(members, view, frozenset((name,))))
    found = compiler.explain(facts, text)
    return found or _closest(compiler.explain(facts), text)


def _closest(found: list[Why], text: str) -> list[Why]:
    words = {w for w in text.casefold().split() if len(w) > 1}
    scores = [(sum(w in _words(why) for w in words), why) for why in found]
    best = max((score for score, _ in scores), default=0)
    return [why for score, why in scores if score == best] if best else []


def _words(why: Why) -> set[str]:
    text = " ".join((*why.key, why.scope, why.text, *(r.resource for r in why.reasons)))
    for sign in ('":', *'"[]{},'):  # the colon of JSON, not that of an address
        text = text.replace(sign, " ")
    return set(text.casefold().split())

"""A controller on a store of its own, with an admin, a driver that shows device objects as they are, and devices
that say what they are told to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support import databases
from underlace.access import Actor, Role, device_actor
from underlace.compiler import compile_fragments
from underlace.controller.controller import Controller
from underlace.controller.document import Document, Request
from underlace.controller.plan import Applied, Plan
from underlace.drivers.protocol import Driver, Items
from underlace.kinds.registry import KINDS
from underlace.model.capability import Capabilities
from underlace.model.change import Change, Disruption
from underlace.model.device import DeviceObject, Model, encode_fragment
from underlace.model.document import read_paths
from underlace.model.ids import NO_TENANT, Ref
from underlace.model.wire import Manifest, Outcome, Receipt, Report
from underlace.store import fragments, rows
from underlace.store.store import Store
from underlace.store.view import StoreView

ADMIN = Actor("admin", Role.ADMIN)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


class PlainDriver:
    """Native state is the device objects themselves, a line each."""

    name = "linux"

    def __init__(self, capabilities: Capabilities | None = None) -> None:
        self._capabilities = capabilities or Capabilities("linux", tagged_ports=True, lags=True)

    def capabilities(self, version: str = "") -> Capabilities:
        return self._capabilities

    def items(self, objects: Iterable[DeviceObject]) -> Items:
        return {item.key: item for item in objects}

    def model(self, items: Items) -> Model:
        return dict(items)  # type: ignore[arg-type]

    def normalise(self, objects: Iterable[DeviceObject]) -> Model:
        return {item.key: item for item in objects}

    def text(self, items: Items) -> list[str]:
        return [encode_fragment([items[key]]).decode()[1:-1] for key in sorted(items)]  # type: ignore[list-item]

    def disruption(self, change: Change[DeviceObject]) -> Disruption:
        return Disruption.OUTAGE if change.key[0] == "system" else Disruption.HITLESS

    def not_carried(self) -> frozenset[tuple[str, str]]:
        return frozenset()


def doc(kind: str, name: str, tenant: str = NO_TENANT, /, **spec: Any) -> Document:
    """A document: doc("vpc", "red", "acme", vni=100)."""
    return Document(Ref(kind, tenant, name), spec)


@dataclass
class Rig:
    """`with rig(tmp_path) as r`; or call close."""

    path: Path
    controller: Controller
    store: Store
    said: dict[str, Manifest] = field(default_factory=dict)

    def put(
        self, *documents: Document, delete: Iterable[Ref] = (), actor: Actor = ADMIN, expect: str = ""
    ) -> Applied:
        return self.controller.apply(actor, Request(documents, tuple(delete), expect=expect))

    def plan(self, *documents: Document, delete: Iterable[Ref] = (), actor: Actor = ADMIN) -> Plan:
        return self.controller.plan(actor, Request(documents, tuple(delete)))

    def delete(self, *refs: Ref, actor: Actor = ADMIN) -> Applied:
        return self.controller.apply(actor, Request(delete=refs))

    def fetch(self, device: str) -> Manifest | None:
        """What an agent does first: it is offered its manifest, and gets the fragments that it lacks."""
        before = self.said.get(device)
        manifest = self.controller.desired(device_actor(device), before.digest if before else "")
        if manifest is not None:
            bodies = self.controller.fragments(device_actor(device), manifest.scopes.values()).bodies
            assert bodies.keys() == set(manifest.scopes.values())
            self.said[device] = manifest
        return manifest

    def say(self, device: str, outcome: Outcome = Outcome.HELD, manifest: Manifest | None = None) -> Receipt:
        """A report about the manifest that was fetched last, or another."""
        m = manifest or self.said[device]
        return self.controller.report(device_actor(device), report(m, outcome))

    def hold(self, *devices: str) -> None:
        """These devices do all that is desired of them, and say so."""
        for device in devices:
            self.fetch(device)
            self.say(device, Outcome.APPLIED)
            self.say(device, Outcome.HELD)

    def hold_all(self) -> None:
        self.hold(*(d.name for d in self.controller.devices(ADMIN)))

    def state(self, kind: str, name: str, tenant: str = NO_TENANT) -> str:
        return self.controller.get(ADMIN, Ref(kind, tenant, name)).status.state

    def number(self, slot: str, kind: str, name: str, tenant: str = NO_TENANT) -> int:
        return self.controller.get(ADMIN, Ref(kind, tenant, name)).status.allocated[slot]

    def hashes(self) -> Mapping[Any, str]:
        with self.store.read() as c:
            return fragments.every_key(c)

    def check_derived(self) -> None:
        """What is stored is what a look at intent from nothing gives: fragments, touches, claims, marks, watches."""
        with self.store.read() as c:
            view = StoreView(c, KINDS)
            resources = {r.id: r for r in map(view.parse, list(rows.every(c)))}
            compiled = compile_fragments(resources.values(), view).fragments
            assert {key: f.hash for key, f in compiled.items()} == fragments.every_key(c)
            ids = {r.ref: i for i, r in resources.items()}
            touches = {(key, ids[ref]) for key, f in compiled.items() for ref in f.touches}
            assert touches == fragments.every_touch(c) == fragments.touches(c, resources)
            view.hide_waiting = True
            stored = rows.derived(c, list(resources))
            for i, r in resources.items():
                kind = KINDS[r.ref.kind]
                assert {(x.space, x.low, x.high) for x in kind.claims(r, view)} == stored[i].claims, r.ref
                assert frozenset(kind.marks(r, view)) == stored[i].marks, r.ref
                assert frozenset(kind.watches(r, view)) == stored[i].watches, r.ref

    def close(self) -> None:
        self.controller.close()


def rig(path: Path, driver: Driver | None = None, clock: Callable[[], datetime] = lambda: NOW) -> Rig:
    store = Store.open(databases.migrated(path))
    return Rig(path, Controller(store, {"linux": driver or PlainDriver()}, clock=clock), store)


def closing_rig(path: Path) -> closing[Rig]:
    return closing(rig(path))


def report(manifest: Manifest, outcome: Outcome, rejected: str = "") -> Report:
    m = manifest
    return Report(m.device, outcome, m.revision, m.digest, m.scopes, "0.1.0", "linux", "8.4.4", rejected)


def quickstart() -> tuple[Document, ...]:
    reading = read_paths([QUICKSTART])
    assert not reading.diagnostics
    return tuple(Document(Ref(d.kind, d.tenant, d.name), d.spec, d.labels, d.file, d.line) for d in reading.documents)

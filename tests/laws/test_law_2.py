"""Law 2: what flows where. The store cannot hold an operational state, a counter or a rate.

Its tables are intent, allocations and the controller's own bookkeeping of what was delivered; a live answer has no
column to go to. `device` holds what the last report said of delivery: the exception that the law names.
"""

from __future__ import annotations

import re

import pytest

from underlace.model import device as objects
from underlace.model.wire import Report
from underlace.store import identity
from underlace.store.schema import audit, contact, device, metadata

LIVE = re.compile(
    r"state|status|up|down|oper|session|peer|rate|bytes|packets|counter|errors|drops|flaps|uptime|mac|neighbou?r|"
    r"answer|result|route|latency|load"
)
DELIVERY = frozenset(
    {"name", "desired", "offered", "confirmed", "reported", "digest", "outcome", "rejected", "drift"}
)
AGENT = frozenset({"last_seen", "agent_version", "driver", "os_version", "diagnostics", "simulated"})


def live(column: str) -> bool:
    return any(LIVE.fullmatch(word) for word in column.split("_"))


def test_no_column_of_the_store_is_for_live_state() -> None:
    tables = [*metadata.tables.values(), identity.tokens, identity.enrolments, identity.certificates]
    found = {f"{t.name}.{c.name}" for t in tables for c in t.columns if live(c.name)}
    assert found == set()


def test_of_devices_only_delivery_is_kept() -> None:
    assert {c.name for c in device.columns} == DELIVERY | AGENT
    assert {c.name for c in contact.columns} == {"device", "at"}
    assert {f for f in Report.__struct_fields__ if live(f)} == set()


def test_the_audit_has_no_place_for_an_answer() -> None:
    assert {c.name for c in audit.columns} == {"id", "at", "actor", "action", "target", "detail"}


def test_device_objects_are_configuration_only() -> None:
    """`maximum_prefixes` is a limit, `icmp_rate` a limit too; nothing is what a device measured."""
    fields = {
        f"{name}.{field}"
        for name in objects.__all__
        if isinstance(kind := getattr(objects, name), type) and issubclass(kind, objects.DeviceObject)
        for field in kind.__struct_fields__
        if live(field)
    }
    limits = {"Protection.icmp_rate"}
    names_of_others = {"BgpNeighbor.peer", "EvpnPeer.peer", "Leak.peer"}
    addresses = {"System.mac", "Svi.mac"}
    assert fields == limits | names_of_others | addresses


@pytest.mark.parametrize("column", ["oper_state", "rx_bytes", "session_up", "flaps", "prefix_counter"])
def test_a_planted_column_is_seen(column: str) -> None:
    assert live(column)

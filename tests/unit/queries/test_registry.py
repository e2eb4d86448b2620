"""Every query is whole: described, bounded, answered by a probe of every device OS."""

from __future__ import annotations

import typing
from pathlib import Path

import msgspec
import pytest

from support.captures import CASES, VERSIONS, capture
from underlace.drivers.linux.probes import probes
from underlace.main import drivers
from underlace.queries.base import Query
from underlace.queries.registry import QUERIES

QUERY = pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())

PROBES = {"linux": probes}
"""Where each device OS has its probes; a new OS is added here."""


def test_every_file_is_a_query_of_its_name() -> None:
    folder = Path(typing.cast(str, __import__("underlace.queries").queries.__file__)).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "base", "registry"}
    assert {name.replace("-", "_") for name in QUERIES} == files


def test_the_drivers_are_all_here() -> None:
    assert PROBES.keys() == drivers().keys()


@pytest.mark.parametrize("os", PROBES)
@QUERY
def test_every_device_os_answers_it(os: str, query: Query) -> None:
    assert query.by_agent or query.asked in PROBES[os]()


@QUERY
def test_there_is_an_answer_of_a_real_device(query: Query) -> None:
    cases = [case for case in CASES if case.probe == query.asked]
    assert query.by_agent or query.active or cases
    for case in cases:
        for version in VERSIONS:
            assert capture(version, case).said


@QUERY
def test_every_parameter_and_field_is_described(query: Query) -> None:
    for kind in (query.parameters, query.row):
        (schema,) = msgspec.json.schema_components([kind])[1].values()
        for name, part in schema.get("properties", {}).items():
            assert part.get("description"), f"{query.name}: {name}"


@QUERY
def test_every_parameter_is_bounded(query: Query) -> None:
    (schema,) = msgspec.json.schema_components([query.parameters])[1].values()
    for name, part in schema.get("properties", {}).items():
        bounded = {
            "string": "maxLength" in part or "pattern" in part,
            "integer": {"minimum", "maximum"} <= part.keys(),
            "boolean": True,
        }
        assert bounded.get(part.get("type"), "enum" in part), f"{query.name}: {name}"


@QUERY
def test_a_vpc_is_told_by_a_vrf(query: Query) -> None:
    """`vpc` is the controller's word, `vrf` the device's."""
    names = {f.name for f in msgspec.structs.fields(query.parameters)}
    assert not names & {"vpc", "vrf", "device"}
    assert query.active or query.seconds <= 2.0


@QUERY
def test_metrics_speak_of_fields_that_there_are(query: Query) -> None:
    fields = {f.name for f in msgspec.structs.fields(query.row)}
    for metric in query.metrics:
        assert {metric.value, *metric.labels} <= fields
        assert metric.help.endswith(".")

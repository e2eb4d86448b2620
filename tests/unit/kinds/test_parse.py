"""From documents to drafts, or to everything that is wrong."""

from __future__ import annotations

import pytest

from underlace.kinds.membership import Member, VnetSpec
from underlace.kinds.parse import examine, parse, parse_all
from underlace.model.diagnostic import Refused
from underlace.model.document import Document, read_text
from underlace.model.ids import Ref


def _document(text: str) -> Document:
    (document,) = read_text(text, "x.yaml").documents
    return document


def test_draft() -> None:
    draft = parse(
        _document(
            "{kind: vnet, tenant: acme, name: web, labels: {a.b/c: x}, spec: {vpc: red, ports: [{port: swp1@leaf1}]}}"
        )
    )
    assert draft.ref == Ref("vnet", "acme", "web")
    assert draft.labels == {"a.b/c": "x"}
    assert draft.spec == VnetSpec(vpc="red", ports=(Member(port="swp1@leaf1"),))


def test_all_faults_of_a_document_at_once() -> None:
    text = """
kind: vnet
name: "a;b"
labels: {"": x}
spec:
  gatway: []
  mtu: 7
  ports:
    - {vlan: 5000}
"""
    with pytest.raises(Refused) as caught:
        parse(_document(text))
    found = {(d.code, d.where.pointer, d.where.line) for d in caught.value.diagnostics}
    assert found == {
        ("bad-name", "/name", 3),
        ("tenant-missing", "", 2),
        ("bad-label", "/labels/", 4),
        ("unknown-field", "/spec/gatway", 6),
        ("bad-value", "/spec/mtu", 7),
        ("missing-field", "/spec/vpc", 5),
        ("missing-field", "/spec/ports/0/port", 9),
        ("bad-value", "/spec/ports/0/vlan", 9),
    }
    assert all(d.remedy and d.detail and d.where.file == "x.yaml" for d in caught.value.diagnostics)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("{kind: vnt, tenant: a, name: b}", "Did you mean vnet?"),
        ("{kind: router, name: b}", "Choose one of them."),
        ("{kind: vnet, tenant: a, name: b, spec: {vpc: red, gatways: []}}", "Did you mean gateways?"),
        ("{kind: profile, name: b, spec: {underlay: {bdf: {}}}}", "Did you mean bfd?"),
        ("{kind: profile, name: b, spec: {underlay: {bfd: {zzz: 1}}}}", "Remove it, or choose one of these."),
    ],
)
def test_close_matches_are_offered(text: str, remedy: str) -> None:
    assert [d.remedy for d in examine(_document(text))[1]] == [remedy]


def test_unknown_fields_name_the_known_ones() -> None:
    (found,) = examine(_document("{kind: profile, name: b, spec: {underlay: {bfd: {zzz: 1}}}}"))[1]
    assert "it has transmit, receive, multiplier" in found.detail


@pytest.mark.parametrize("spec", ["[]", "7", "text", "true"])
def test_specs_are_mappings(spec: str) -> None:
    (found,) = examine(_document(f"{{kind: vpc, tenant: a, name: b, spec: {spec}}}"))[1]
    assert (found.code, found.where.pointer) == ("bad-value", "/spec")


def test_ranges_are_told() -> None:
    (found,) = examine(_document("{kind: vpc, tenant: a, name: b, spec: {vni: 0}}"))[1]
    assert found.detail == "vni of vpc b is 0: it must be a number from 1 to 16777215."


def test_tenants_are_named_where_and_only_where_they_belong() -> None:
    assert [d.code for d in examine(_document("{kind: vpc, name: b}"))[1]] == ["tenant-missing"]
    assert [d.code for d in examine(_document("{kind: site, tenant: a, name: b}"))[1]] == ["tenant-forbidden"]
    assert [d.code for d in examine(_document("{kind: vpc, tenant: a/b, name: b}"))[1]] == ["bad-name"]
    assert examine(_document('{kind: site, tenant: "-", name: b}'))[1] == []


def test_two_documents_of_one_name() -> None:
    text = "{kind: site, name: b}\n---\n{kind: tenant, name: b}\n---\n{kind: site, name: b}\n"
    drafts, found = parse_all(read_text(text, "x.yaml").documents)
    assert [d.ref.kind for d in drafts] == ["site", "tenant"]
    assert [(d.code, d.where.line) for d in found] == [("duplicate-document", 5)]
    assert "x.yaml:1" in found[0].detail

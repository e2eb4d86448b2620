"""Diagnostics as values, and as people read them."""

from __future__ import annotations

from underlace.model.diagnostic import (
    Diagnostic,
    Refused,
    Severity,
    Where,
    errors,
    pointer_step,
    printable,
    shortened,
)


def test_words() -> None:
    found = Diagnostic(Where("vnet/acme/web", "/spec/vni", "x.yaml", 3), "bad", "It is bad", "Why.", "Do this.")
    assert str(found) == "error[bad]: It is bad\n  at x.yaml:3 vnet/acme/web /spec/vni\n  Why.\n  remedy: Do this."
    assert str(Where()) == "-"
    assert str(Where(device="leaf1")) == "leaf1"


def test_refusal_holds_each_reason_once_in_order() -> None:
    one, other = Diagnostic(Where("a"), "x", "X"), Diagnostic(Where("b"), "y", "Y", severity=Severity.WARNING)
    assert Refused([other, one, other]).diagnostics == (one, other)
    assert errors([one, other]) == [one]


def test_text_of_others_is_shown_on_one_short_line() -> None:
    assert printable("a\nb\x1b[31m") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m"
    assert len(shortened("x" * 1_000)) == 60
    assert pointer_step("a/b~c") == "a~1b~0c"

"""Text of devices is text: nothing in it moves a cursor, hides, or fills a screen."""

from __future__ import annotations

import msgspec
import pytest

from underlace.live.shape import ITEMS_MAX, TEXT_MAX, cleaned, plain, shaped
from underlace.queries.base import Row


class Sample(Row, frozen=True):
    name: str
    count: int = 0


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("spine1", "spine1"),
        ("Zürich, 東京", "Zürich, 東京"),
        ("\x1b[31mred\x1b]0;title\x07", "[31mred]0;title"),
        ("a\r\nb\tc\x00", "abc"),
        ("safe\u202etxt.exe", "safetxt.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("\u2028line", "line"),
        ("\x9b2J", "2J"),
        ("\ud800", ""),
    ],
)
def test_what_nobody_sees_goes(given: str, wanted: str) -> None:
    assert cleaned(given) == wanted


def test_text_is_capped() -> None:
    assert len(cleaned("x" * 100_000)) == TEXT_MAX
    assert cleaned("x" * TEXT_MAX) == "x" * TEXT_MAX
    assert cleaned("\x00" * 100_000 + "y") == ""


def test_everything_in_a_row_is_cleaned_and_bounded() -> None:
    deep: object = "x"
    for _ in range(10):
        deep = [deep]
    assert plain(deep) == [[[[None]]]]
    assert plain({"a\x1b": ["b\x07", 1, True, None]}) == {"a": ["b", 1, True, None]}
    assert len(plain(["x"] * 5_000)) == ITEMS_MAX  # type: ignore[arg-type]


def test_rows_are_of_the_query() -> None:
    assert shaped(Sample, [{"name": "a\x1b", "count": 2, "more": 3}]) == (Sample("a", 2),)
    for wrong in ({"name": 1}, {"count": 1}, {"name": "x", "count": "2\x1b[2J"}):
        with pytest.raises(msgspec.ValidationError) as raised:
            shaped(Sample, [wrong])
        assert "\x1b" not in str(raised.value)

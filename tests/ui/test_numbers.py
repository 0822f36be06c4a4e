"""Numbers as people write them."""

from __future__ import annotations

import pytest

from vigie.ui.numbers import number, percent


@pytest.mark.parametrize(
    ("language", "value", "digits", "written"),
    [
        ("en", 1234567, 0, "1,234,567"),
        ("fr", 1234567, 0, "1\u202f234\u202f567"),
        ("en", -1234.5678, 2, "-1,234.57"),
        ("fr", -1234.5678, 2, "-1\u202f234,57"),
        ("fr", 0.5, 1, "0,5"),
    ],
)
def test_a_number_is_written_in_the_readers_way(
    language: str, value: float, digits: int, written: str
) -> None:
    """Grouped thousands and decimals, with spaces that do not break."""
    assert number(language, value, digits) == written


def test_a_share_is_written_in_percent() -> None:
    """The sign stands apart in French."""
    assert percent("en", 0.1234) == "12.3%"
    assert percent("fr", 0.1234) == "12,3\u00a0%"

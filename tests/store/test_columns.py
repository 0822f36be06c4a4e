"""Terms and words as they are indexed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.store.columns import STANDARD_ANALYZER, column_values, columns_of, decode_term, encode_term
from vigie.store.mapping import Mapping

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS)
def test_terms_are_decoded_exactly(text: str) -> None:
    """Every keyword comes back from its term."""
    assert decode_term(encode_term(text)) == text


@given(TEXTS, TEXTS)
def test_terms_sort_like_texts(first: str, second: str) -> None:
    """Terms have the order of the texts' code points, which is Lucene's."""
    assert (encode_term(first) < encode_term(second)) == (first < second)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("foo.bar v1.2 ab.1", ["foo.bar", "v1.2", "ab", "1"]),
        ("don't x_y 3,4 a-b", ["don't", "x_y", "3,4", "a", "b"]),
        ("POST /predict/batch - 200", ["post", "predict", "batch", "200"]),
        ("日本 été", ["日", "本", "été"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    """Words break as in Elasticsearch's standard analyzer."""
    assert STANDARD_ANALYZER.analyze(text) == words


def test_the_smallest_of_several_values_comes_first() -> None:
    """Columns sort by a document's first value, so that is the least; several are marked."""
    columns = columns_of(Mapping({"properties": {"l": {"type": "long"}, "n": {"type": "date_nanos"}}}))
    several = column_values({"l": [7, 3], "n": 5_000_001}, columns)
    assert several == {"f0": [3, 7], "f1": 5_000_001, "f1m": 5, "_several": ["f0"]}

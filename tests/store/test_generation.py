"""One tantivy index, and its panics."""

from __future__ import annotations

import pytest
import tantivy

from vigie.store.generation import Generation, StorePanicError, panics_caught
from vigie.store.mapping import Mapping


def test_a_panic_becomes_an_error_that_names_the_query() -> None:
    """tantivy's PanicException is no Exception; here it is one, and says what was asked."""
    generation = Generation(Mapping({}))
    with pytest.raises(StorePanicError, match="the query"), panics_caught("the query"):
        generation.searcher.search(tantivy.Query.all_query(), limit=0)


def test_other_errors_pass() -> None:
    """Errors and interrupts go through as they are."""
    for kind in (ValueError, KeyboardInterrupt):
        with pytest.raises(kind), panics_caught("x"):
            raise kind


def test_an_empty_generation_finds_nothing() -> None:
    """Look-ups in an index without documents are empty, not errors."""
    generation = Generation(Mapping({}))
    assert generation.locate(["a"]) == {}
    assert generation.versions([]) == {}
    assert generation.get("a") is None
    assert generation.last_sequence() == -1

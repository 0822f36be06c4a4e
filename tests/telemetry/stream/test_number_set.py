"""Sets of event numbers behave as sets of integers do."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vigie.telemetry.stream.number_set import NumberSet, named

numbers = st.sets(st.integers(1, 200))


def of(some: set[int]) -> NumberSet:
    """The packed set of these numbers."""
    return NumberSet.of_numbers(sorted(some))


@given(numbers, numbers)
def test_the_operations_are_those_of_sets(one: set[int], other: set[int]) -> None:
    """Union, intersection and difference, of sets of whatever length."""
    assert set(of(one) | of(other)) == one | other
    assert set(of(one) & of(other)) == one & other
    assert set(of(one) - of(other)) == one - other
    assert (of(one) == of(other)) == (one == other)


@given(numbers, st.integers(1, 210), st.integers(1, 210))
def test_counts_sums_and_parts(some: set[int], first: int, last: int) -> None:
    """How many, their sum, and those between two bounds, both included."""
    packed = of(some)
    assert (len(packed), packed.total(), bool(packed)) == (len(some), sum(some), bool(some))
    assert set(packed.between(first, last)) == {n for n in some if first <= n <= last}
    assert set(packed.upto(last)) == {n for n in some if n <= last}


@given(numbers)
def test_spans_are_the_set(some: set[int]) -> None:
    """The spans make the same set again, and none touches the next."""
    spans = of(some).spans()
    assert NumberSet.of_spans(spans) == of(some)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(spans))


def test_redis_bitmaps_are_read_as_they_are() -> None:
    """Bit 0 of a bitmap is number 1; missing chunks are empty, short ones end early."""
    assert set(NumberSet.of_bytes(b"\x80\x01")) == {1, 16}
    assert set(NumberSet.joined([b"\x80", None, b"\x01"], 16)) == {1, 40}


def test_numbers_are_named_shortly() -> None:
    """Many spans are counted, the first ones named."""
    assert named(of({1, 3, 4, 5})) == "4 (1, 3–5)"
    assert named(of(set(range(1, 20, 2))), most=2) == "10 (1, 3, …)"
    assert repr(of({7})) == "NumberSet(1 (7))"
    assert of({1}) != {1}

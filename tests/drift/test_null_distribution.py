"""The chance of a difference: against scipy, against simulation, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vigie.drift import null_distribution
from vigie.drift.effect_size import population_stability_index
from vigie.drift.null_distribution import chance, shared_chances

COUNTS = st.lists(st.integers(0, 400), min_size=2, max_size=12)


def test_two_cells_are_the_chi_square_test_where_it_holds() -> None:
    """A share of 500 rows against one of 16,000 has Pearson's p-value, less a degree for the finite total."""
    for window in ([240, 260], [200, 300], [218, 282]):
        found = chance([7000, 9000], window)
        expected = stats.chi2_contingency([[7000, 9000], window], correction=False)[0] * 16_499 / 16_500
        assert found.method == "analytic"
        assert found.p_value == pytest.approx(stats.chi2.sf(expected, 1), rel=1e-9)


def test_levels_without_order_are_the_chi_square_test() -> None:
    """Four levels have three degrees of freedom."""
    table = [[400, 300, 200, 100], [90, 120, 60, 30]]
    statistic = stats.chi2_contingency(table)[0] * 1299 / 1300
    assert chance(*table).p_value == pytest.approx(stats.chi2.sf(statistic, 3), rel=1e-9)


def test_few_rows_in_two_cells_are_judged_exactly() -> None:
    """Below 100 rows a share has the p-value of Fisher's exact test, wherever both call the same counts far."""
    for window in ([30, 20], [20, 30], [9, 41], [45, 5]):
        found = chance([8000, 8000], window)
        assert found.method == "exact"
        expected = stats.fisher_exact([[8000, 8000], window])[1]
        assert found.p_value == pytest.approx(expected, rel=1e-6)


def test_the_trend_is_the_mann_whitney_test_over_grouped_values() -> None:
    """A shift of grouped values has the p-value of the rank test with ties, twice looked at."""
    reference, window = [100, 200, 300, 200, 100], [10, 30, 60, 60, 40]
    ranks = stats.mannwhitneyu(
        np.repeat(range(5), reference), np.repeat(range(5), window), use_continuity=False, method="asymptotic"
    )
    found = chance(reference, window, ordered=5).p_value
    assert found == pytest.approx(1 - (1 - ranks.pvalue) ** 2, rel=1e-6)


def test_permutations_agree_with_the_approximation_where_both_hold() -> None:
    """One row fewer changes the way of computing it, and hardly the p-value."""
    reference = [1600] * 10
    for window in (
        [10, 10, 10, 10, 10, 10, 10, 10, 10, 9],
        [7, 8, 9, 10, 10, 10, 10, 11, 12, 12],
        [5, 7, 9, 10, 10, 10, 10, 12, 13, 13],
    ):
        few = chance(reference, window, ordered=10)
        many = chance(reference, [*window[:5], window[5] + 1, *window[6:]], ordered=10)
        assert (few.method, many.method) == ("permutation", "analytic")
        assert few.p_value == pytest.approx(many.p_value, abs=0.05)


def test_a_change_of_shape_is_seen_without_a_shift() -> None:
    """Values that gather in the middle have the same mean rank and are named all the same."""
    window = [20, 35, 50, 65, 80, 80, 65, 50, 35, 20]
    assert chance([1600] * 10, window, ordered=10).p_value < 1e-9


@pytest.mark.parametrize("rows", [50, 200, 1000, 5000])
def test_the_p_value_is_right_without_a_change(rows: int) -> None:
    """Over pairs of samples of the same distribution one in twenty is below 0.05, whatever the sizes."""
    draw = np.random.default_rng(7)
    shares = np.array([0.3, 0.06, *[0.08] * 8])
    pairs = 60 if rows < 100 else 1500
    found = [
        chance(draw.multinomial(4000, shares).tolist(), draw.multinomial(rows, shares).tolist(), ordered=10)
        for _ in range(pairs)
    ]
    low = sum(one.p_value < 0.05 for one in found)
    assert stats.binomtest(low, pairs, 0.05).pvalue > 0.001


def test_a_value_never_seen_in_training_is_named() -> None:
    """A handful of unseen levels among 500 rows is no accident."""
    assert chance([8000, 8000, 0, 0], [250, 245, 0, 5]).p_value < 1e-4


@settings(deadline=None, max_examples=50)
@given(COUNTS, st.data())
def test_a_p_value_is_one_and_always_the_same(reference: list[int], data: st.DataObject) -> None:
    """Any counts give a number in (0, 1], the same each time, and about 1 for two equal distributions."""
    cells = st.lists(st.integers(0, 40), min_size=len(reference), max_size=len(reference))
    window = data.draw(cells)
    ordered = data.draw(st.sampled_from([0, len(reference)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(null_distribution, "PERMUTATIONS", (199, 399))
        one, again = (chance(reference, window, ordered=ordered) for _ in range(2))
        same = chance(reference, [2 * count for count in reference], ordered=ordered)
    assert one == again
    assert 0 <= one.p_value <= 1
    assert same.p_value > 0.9


@given(COUNTS, COUNTS)
def test_psi_is_a_size(reference: list[int], window: list[int]) -> None:
    """It is never negative, 0 for the same counts, and finite with empty cells."""
    size = min(len(reference), len(window))
    found = population_stability_index(reference[:size], window[:size])
    assert 0 <= found < 50
    assert population_stability_index(reference, reference) == 0


def test_psi_has_its_textbook_value() -> None:
    """Half and half to three quarters: 0.25 ln 3."""
    assert population_stability_index([50_000, 50_000], [75_000, 25_000]) == pytest.approx(
        0.25 * np.log(3), rel=1e-3
    )
    assert population_stability_index([0, 0], [1, 2]) == 0


def test_p_values_are_adjusted_by_benjamini_and_hochberg() -> None:
    """The example of the original paper's method: the k-th smallest times m over k, made monotonous."""
    assert shared_chances([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert shared_chances([]) == []

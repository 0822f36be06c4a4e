"""From probabilities to the class given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.model.decision import given_positions
from vigie.model.golden import GoldenRows
from vigie.model.parity import compare


@given(
    ps=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    threshold=st.floats(0, 1, exclude_min=True, exclude_max=True),
)
def test_of_two_classes_the_threshold_decides(ps: list[float], threshold: float) -> None:
    """The positive class is given from the threshold on, itself included."""
    probabilities = np.array([[1 - p, p] for p in [*ps, threshold]])
    assert given_positions(probabilities, threshold).tolist() == [*(int(p >= threshold) for p in ps), 1]


def test_of_more_classes_the_most_probable_is_given() -> None:
    """A threshold has no meaning there."""
    probabilities = np.array([[0.2, 0.7, 0.1], [0.4, 0.25, 0.35], [0.1, 0.2, 0.7]])
    assert given_positions(probabilities, 0.9).tolist() == [1, 0, 2]


class Fixed:
    """A runtime that answers 0.3 plus a difference."""

    name = "onnx"

    def __init__(self, difference: float) -> None:
        self.p = 0.3 + difference

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        return np.tile([1 - self.p, self.p], (len(matrix), 1))


@pytest.mark.parametrize(("threshold", "flips"), [(0.5, 0), (0.3, 3)])
def test_a_label_flips_at_the_threshold(threshold: float, flips: int) -> None:
    """Runtimes that agree on every label at 0.5 may differ at the model's own threshold, and golden rows too."""
    below, above = Fixed(-1e-7), Fixed(1e-7)
    rows = np.zeros((3, 2))
    assert compare(below, above, rows, threshold).label_flips == flips  # type: ignore[arg-type]
    golden = GoldenRows([{}] * 3, above.predict_proba(rows))
    assert golden.agree(below.predict_proba(rows), threshold) is (flips == 0)

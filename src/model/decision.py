"""From probabilities to the class given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vigie.model.feature_engineering import FloatArray

EVEN_THRESHOLD: Final = 0.5


def given_positions(probabilities: FloatArray, threshold: float = EVEN_THRESHOLD) -> npt.NDArray[np.int64]:
    """Return the position of the class given for each row of `probabilities` (n, classes): shape (n,).

    Of two classes it is the positive one, which stands second, where its probability is at least
    `threshold` (`target.threshold` of the schema); of more, the most probable one.
    """
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    positions: npt.NDArray[np.int64] = probabilities.argmax(axis=1)
    return positions

"""What an event says of drift: the verdict on one feature of one window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypedDict

from annotated_doc import Doc


class DistributionPart(TypedDict):
    """One bin or level of a feature."""

    part: Annotated[str, Doc("Its name, behind a number that keeps them in order")]
    reference_share: Annotated[float, Doc("Share of the training rows that are in it")]
    window_share: Annotated[float, Doc("Share of the window's predictions")]


class DriftFigures(TypedDict, total=False):
    """One feature, or the prediction, of one window of predictions, against the training data."""

    feature: Annotated[str, Doc("Name of the input, or `prediction`")]
    compared: Annotated[Literal["input", "prediction"], Doc("What it is")]
    verdict: Annotated[
        Literal["stable", "drift"],
        Doc("`drift`: further from training than chance makes it, at a false discovery rate of 5 %"),
    ]
    alarm: Annotated[
        bool, Doc("Whether it is an alarm: the second verdict running, or a p-value below 0.0001")
    ]
    psi: Annotated[float, Doc("Population stability index: the size of the difference, no verdict")]
    p_value: Annotated[float, Doc("Chance of a difference as large without a change")]
    adjusted_p_value: Annotated[float, Doc("The same, adjusted for the number of features looked at")]
    reference_mean: Annotated[float, Doc("Mean in training; of a 0/1 feature the share of 1")]
    window_mean: Annotated[float, Doc("The same in the window")]
    reference_share: Annotated[
        float, Doc("Of the prediction: share of the positive class in the answers to the held-out rows")
    ]
    rows: Annotated[int, Doc("Predictions in the window")]
    reference_rows: Annotated[int, Doc("Rows that it is compared with")]
    window: Annotated[int, Doc("1, 2, 3 … per model version: every prediction is in one window")]
    window_first: Annotated[str, Doc("Time of the window's first prediction")]
    window_last: Annotated[str, Doc("Time of its last one, which is the event's own time")]
    parts: Annotated[
        Sequence[DistributionPart], Doc("The distribution, bin by bin or level by level, in training and now")
    ]
    window_end: Annotated[str, Doc("Time, producer and number of its last one, which tell it from any other")]

"""What an event says of quality: outcomes and predictions of some days, as known when it was written."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from annotated_doc import Doc


class QualityFigures(TypedDict, total=False):
    """Quality of one model version's predictions of the last days."""

    verdict: Annotated[
        Literal["fine", "below training", "concept drift", "inputs drifted", "disagreement", "not enough"],
        Doc("What was concluded, in a word"),
    ]
    conclusion: Annotated[str, Doc("The same in a sentence")]
    alarm: Annotated[bool, Doc("Whether quality is below training, or outcomes are not as foretold")]
    predictions: Annotated[int, Doc("Predictions of that time")]
    outcomes: Annotated[int, Doc("Predictions among them whose outcome is known")]
    coverage: Annotated[float, Doc("The part that they are")]
    training_accuracy: Annotated[float, Doc("Accuracy on the held-out rows of training")]
    accuracy: Annotated[float, Doc("Realised: part of the outcomes that were foretold rightly")]
    accuracy_low: Annotated[float, Doc("Lower end of its 95 % interval")]
    accuracy_high: Annotated[float, Doc("Upper end of it")]
    expected_accuracy: Annotated[float, Doc("What the probabilities of the same predictions let expect")]
    expected_low: Annotated[float, Doc("Lower end of its 95 % interval")]
    expected_high: Annotated[float, Doc("Upper end of it")]
    expected_of_all: Annotated[float, Doc("What the probabilities of all predictions let expect")]
    lag_median_ms: Annotated[float, Doc("Half of the outcomes were known so long after their prediction")]
    lag_p90_ms: Annotated[float, Doc("Nine in ten were")]
    since: Annotated[str, Doc("Predictions from this time on")]
    until: Annotated[str, Doc("Predictions before this time")]

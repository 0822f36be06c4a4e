"""The verdict on a window: which inputs, and whether the predictions, are distributed as in training no more.

A *verdict* is one window's: the p-value, adjusted for how many features were looked at, is at most FDR. Of
windows in which nothing has changed about one in twenty has one. An *alarm* needs more: the same feature in
two windows running, or a p-value below ALARM_P.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vigie.drift.effect_size import population_stability_index
from vigie.drift.null_distribution import Method, chance, shared_chances
from vigie.model.reference_profile import Profile, ReferenceProfile

FDR: Final = 0.05
"""False discovery rate of the verdicts of a window (Benjamini and Hochberg)."""
ALARM_P: Final = 1e-4
"""p-value below which a single window is an alarm."""
MINIMUM_ROWS: Final = 50
"""Fewest rows of a window that is judged."""
PREDICTION: Final = "prediction"
"""Name of the prediction among the features."""

Verdict = Literal["stable", "drift", "not enough"]
Compared = Literal["input", "prediction"]


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows of a window, counted over the reference's frozen bins and levels."""

    rows: int
    features: Mapping[str, Profile]
    labels: Profile
    """Rows per label given."""
    probability: Profile | None
    """P(positive class); None with more than two classes."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One feature, or the prediction, of one window against the reference."""

    feature: str
    compared: Compared
    reference: Profile
    window: Profile
    psi: float
    """Effect size."""
    p_value: float
    adjusted: float
    """p-value adjusted for the number of features: at most FDR is a verdict."""
    method: Method
    verdict: Verdict
    alarm: bool

    @property
    def words(self) -> str:
        """The verdict in words."""
        if self.verdict == "not enough":
            return f"not enough rows ({self.window.rows} of {MINIMUM_ROWS})"
        if self.alarm:
            return "DRIFT"
        return "drift, new" if self.verdict == "drift" else "stable"


def judge(
    reference: ReferenceProfile, counted: Counted, named_before: Collection[str] = ()
) -> tuple[Judgement, ...]:
    """Return the judgement on every feature, then on the prediction.

    `named_before` are the features with a verdict in the window before. With fewer than MINIMUM_ROWS rows
    nothing is judged. Two classes are compared by P(positive class), more by the labels given.
    """
    pairs: list[tuple[str, Compared, Profile, Profile]] = [
        (name, "input", profile, counted.features[name]) for name, profile in reference.features.items()
    ]
    answers = reference.prediction
    if answers.probability is not None and counted.probability is not None:
        pairs.append((PREDICTION, "prediction", answers.probability, counted.probability))
    else:
        pairs.append((PREDICTION, "prediction", answers.labels, counted.labels))
    chances = [chance(before.cells, now.cells, ordered=_ordered(before)) for _, _, before, now in pairs]
    adjusted = shared_chances([one.p_value for one in chances])
    enough = counted.rows >= MINIMUM_ROWS
    found = []
    for (name, compared, before, now), one, shared in zip(pairs, chances, adjusted, strict=True):
        drifted = enough and shared <= FDR
        found.append(
            Judgement(
                feature=name,
                compared=compared,
                reference=before,
                window=now,
                psi=population_stability_index(before.cells, now.cells),
                p_value=one.p_value,
                adjusted=shared,
                method=one.method,
                verdict="not enough" if not enough else "drift" if drifted else "stable",
                alarm=drifted and (one.p_value < ALARM_P or name in named_before),
            )
        )
    return tuple(found)


def named(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    """Return the features that have a verdict of drift."""
    return tuple(one.feature for one in judgements if one.verdict == "drift")


def alarmed(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    """Return the features that raise the alarm."""
    return tuple(one.feature for one in judgements if one.alarm)


def _ordered(profile: Profile) -> int:
    return len(profile.counts) if profile.kind == "bins" else 0

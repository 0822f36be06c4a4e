"""The verdict on quality: whether it is what training promised and what the probabilities foretell.

Accuracy, precision and recall are looked at together, so that each is judged at a third of the error wanted
(Bonferroni): of sound models looked at once, fewer than one in twenty is found fault with. Who looks again
and again has to want less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vigie.quality.estimate import Estimate
from vigie.quality.intervals import Interval, Proportion, difference

MINIMUM_OUTCOMES: Final = 50
"""Fewest outcomes that are judged."""
ERROR: Final = 0.05
"""Share of sound models that one look may find fault with."""
Verdict = Literal["fine", "below training", "concept drift", "inputs drifted", "disagreement", "not enough"]


@dataclass(frozen=True, slots=True)
class Drifted:
    """What the drift check says of the inputs of the same time."""

    judged: bool
    inputs: tuple[str, ...]
    """Inputs with an alarm."""


@dataclass(frozen=True, slots=True)
class Found:
    """One figure: as it turned out, as training had it, and as the probabilities foretold."""

    name: str
    realised: float
    training: float
    expected: Interval | None
    below_training: bool
    disagrees: bool
    """Realised and expected lie outside each other's intervals."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and why."""

    verdict: Verdict
    found: tuple[Found, ...]
    words: tuple[str, ...]
    """The conclusion first."""


def judge(
    realised: Mapping[str, Proportion],
    training: Mapping[str, Proportion],
    expected: Estimate,
    drifted: Drifted,
    error: float = ERROR,
) -> Judgement:
    """Return the verdict on figures that are so many of so many, of the same predictions as `expected`.

    `error` is the share of sound models that may be found fault with.
    """
    outcomes = realised["accuracy"].whole
    if outcomes < MINIMUM_OUTCOMES:
        said = f"cannot be judged: fewer than {MINIMUM_OUTCOMES} outcomes"
        return Judgement("not enough", (), (said, f"  {outcomes} outcomes are known"))
    confidence = 1 - error / len(realised)
    found = tuple(_compared(name, realised[name], training[name], expected, confidence) for name in realised)
    worse = [one for one in found if one.below_training]
    apart = [one for one in found if one.disagrees]
    verdict: Verdict = "below training" if worse else "fine"
    if apart:
        verdict = (
            "disagreement" if not drifted.judged else "inputs drifted" if drifted.inputs else "concept drift"
        )
    return Judgement(verdict, found, tuple(_words(verdict, worse, apart, drifted)))


def _compared(
    name: str, realised: Proportion, training: Proportion, expected: Estimate, confidence: float
) -> Found:
    value = realised.value
    within, foretold = expected.interval(name, confidence), expected.values.get(name)
    apart = (
        value is not None
        and foretold is not None
        and within is not None
        and value not in within
        and foretold not in realised.interval(confidence)
    )
    return Found(
        name=name,
        realised=value or 0.0,
        training=training.value or 0.0,
        expected=within,
        below_training=difference(realised, training, confidence).high < 0,
        disagrees=apart,
    )


def _words(
    verdict: Verdict, worse: Sequence[Found], apart: Sequence[Found], drifted: Drifted
) -> Iterator[str]:
    match verdict:
        case "concept drift":
            yield "ALARM: outcomes changed while inputs did not: concept drift"
        case "inputs drifted":
            yield (
                f"ALARM: inputs drifted ({', '.join(drifted.inputs)}), and outcomes are not what the "
                "probabilities foretell: the model is asked what it did not learn"
            )
        case "disagreement":
            yield "ALARM: outcomes are not what the probabilities foretell; drift cannot be judged"
        case "below training":
            yield "ALARM: quality is below what training promised, as the probabilities foretell"
        case "fine":
            yield "quality is what training promised and what the probabilities foretell"
        case "not enough":
            pass
    for one in apart:
        if one.expected is not None:
            yield (
                f"  {one.name} {one.realised:.1%}, expected {one.expected.low:.1%}–{one.expected.high:.1%}"
                f"{'' if one.realised < one.expected.low else ': better than expected'}"
            )
    for one in worse:
        yield f"  {one.name} {one.realised:.1%}, in training {one.training:.1%}"

"""What moved an answer most, in words and bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from vigie.schema import FeatureSchema, Value
from vigie.ui.feature_words import value_words
from vigie.ui.language import Language
from vigie.ui.numbers import number, percent
from vigie.ui.texts import Texts

MOST_SHOWN: Final = 5
"""Inputs that are named; the rest is summed up."""
NOTHING: Final = 0.0005
"""An effect that is shown as 0.0 points."""
MINUS: Final = "\u2212"


class Contribution(BaseModel):
    """What one input did to the probability."""

    feature: str
    value: Value
    effect: float
    standard_error: float


class Explained(BaseModel):
    """The API's answer to POST /explain, as far as the page shows it."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    label: str
    probability: float
    baseline: float
    contributions: tuple[Contribution, ...]
    rows: int


@dataclass(frozen=True)
class Move:
    """One line: what was moved by what, how far, and its bar."""

    verb: str
    """Key of a text."""
    what: str
    points: str
    effect: float
    width: float
    """Length of the bar in percent of the longest."""
    rest: bool
    """Whether it is the sum of what is not named."""


@dataclass(frozen=True)
class Moves:
    """What the template `predict/moves.html` shows."""

    target: str
    label: str
    baseline: str
    probability: str
    rows: str
    margin: str
    """How far the sampling may be off, in points: twice the largest standard error of what is named."""
    moves: Sequence[Move]


def moves(explained: Explained, schema: FeatureSchema, texts: Texts, language: Language) -> Moves:
    """Return what moved the answer, the largest effects first and what is left in one line."""
    named, rest = explained.contributions[:MOST_SHOWN], explained.contributions[MOST_SHOWN:]
    lines = [(_what(one, schema, texts, language), one.effect) for one in named]
    if rest:
        words = texts.say(language, "predict.the_rest", count=len(rest))
        lines.append((words, sum(one.effect for one in rest)))
    longest = max((abs(effect) for _, effect in lines), default=0) or 1
    margin = 2 * max((one.standard_error for one in named), default=0)
    return Moves(
        target=schema.target.title.in_language(language),
        label=explained.label,
        baseline=percent(language, explained.baseline),
        probability=percent(language, explained.probability),
        rows=number(language, explained.rows),
        margin=number(language, 100 * margin, 1),
        moves=[
            Move(
                verb=_verb(effect),
                what=what,
                points=points(effect, language),
                effect=effect,
                width=100 * abs(effect) / longest,
                rest=position == len(named),
            )
            for position, (what, effect) in enumerate(lines)
        ],
    )


def points(effect: float, language: Language) -> str:
    """Return an effect in percentage points with its sign: +10.5."""
    written = number(language, 100 * abs(effect), 1)
    if abs(effect) < NOTHING:
        return written
    return f"{'+' if effect > 0 else MINUS}{written}"


def _verb(effect: float) -> str:
    if abs(effect) < NOTHING:
        return "predict.not_moved_by"
    return "predict.raised_by" if effect > 0 else "predict.lowered_by"


def _what(one: Contribution, schema: FeatureSchema, texts: Texts, language: Language) -> str:
    feature = schema.by_name.get(one.feature)
    if feature is None:  # another model is served by now
        return f"{one.feature}: {one.value}"
    label, value = feature.label.in_language(language), value_words(texts, language, feature, one.value)
    return texts.say(language, "predict.feature_value", label=label, value=value)

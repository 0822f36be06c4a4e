"""Records to begin with: the form's defaults, the training data's usual values, rows that were held out.

Each has a name that says where it comes from and what is in it, and nothing of what anybody thinks of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vigie.model.held_out_rows import held_out_records
from vigie.model.package import HOLDOUT, PackageError
from vigie.model.reference_profile import Profile, read_reference
from vigie.schema import Feature, FeatureSchema, Text, Value
from vigie.ui.feature_words import value_words
from vigie.ui.language import Language
from vigie.ui.predict.form import is_tick
from vigie.ui.texts import Texts

HELD_OUT_EXAMPLES: Final = 4
NAMED_VALUES: Final = 2
"""Values that the name of a row shows, beside the count of its ticks."""


@dataclass(frozen=True)
class Example:
    """A valid record with its name."""

    name: Text
    record: Mapping[str, Value]


def examples_of(schema: FeatureSchema, package: Path, texts: Texts) -> list[Example]:
    """Return the examples; of a model that is not trained yet, the defaults alone."""
    found = [Example(_text(texts, "predict.example_defaults"), schema.example())]
    try:
        profiles = read_reference(package).features
        rows = list(enumerate(held_out_records(package / HOLDOUT, schema), start=1))
    except (PackageError, OSError):
        return found
    usual = {feature.name: _usual(feature, profiles[feature.name]) for feature in schema.features}
    found.append(Example(_text(texts, "predict.example_usual"), usual))
    apart = max(1, len(rows) // HELD_OUT_EXAMPLES)
    for number, record in rows[apart // 2 :: apart][:HELD_OUT_EXAMPLES]:
        found.append(Example(_row_name(schema, texts, number, record), record))
    return found


def _text(texts: Texts, key: str) -> Text:
    return Text(**texts.both(key))


def _usual(feature: Feature, profile: Profile) -> Value:
    """Return the most frequent level, or the mean of a number, rounded to what the form can show."""
    if profile.kind == "levels":
        return profile.levels[max(range(len(profile.counts)), key=profile.counts.__getitem__)]
    mean = feature.example if profile.mean is None else profile.mean
    step = feature.step or (1.0 if feature.type == "integer" else None)
    near = float(mean) if step is None else round(float(mean) / step) * step
    return round(near) if feature.type == "integer" else float(f"{near:.4g}")


def _row_name(schema: FeatureSchema, texts: Texts, number: int, record: Mapping[str, Value]) -> Text:
    def name(language: Language) -> str:
        parts = [
            f"{one.label.in_language(language)} {value_words(texts, language, one, record[one.name])}"
            for one in [one for one in schema.features if not is_tick(one)][:NAMED_VALUES]
        ]
        ticks = [feature for feature in schema.features if is_tick(feature)]
        if ticks:
            count = sum(record[feature.name] == 1 for feature in ticks)
            parts.append(texts.say(language, "predict.ticked", count=count, all=len(ticks)))
        return texts.say(language, "predict.example_row", number=number, content=", ".join(parts))

    return Text(en=name("en"), fr=name("fr"))

"""Features and their values as people read them."""

from __future__ import annotations

from vigie.schema import Feature, Value
from vigie.ui.language import Language
from vigie.ui.texts import Texts


def plain(language: Language, value: float) -> str:
    """Return a feature's number with the digits it has, and the language's decimal sign."""
    written = f"{value:.12g}"
    return written.replace(".", ",") if language == "fr" else written


def value_words(texts: Texts, language: Language, feature: Feature, value: Value) -> str:
    """Return a valid `value` of `feature`: yes and no for a tick, the number with its unit, the category."""
    if isinstance(value, str):
        return value
    if feature.type == "binary":
        named = feature.values.get(int(value))
        if named is not None:
            return named.in_language(language)
        return texts.say(language, "predict.value_yes" if value else "predict.value_no")
    unit = f" {feature.unit.in_language(language)}" if feature.unit else ""
    return f"{plain(language, value)}{unit}"


def label_with_unit(language: Language, feature: Feature) -> str:
    """Return the label of `feature`, with its unit if it has one: Age (years)."""
    label = feature.label.in_language(language)
    return f"{label} ({feature.unit.in_language(language)})" if feature.unit else label


def span(texts: Texts, language: Language, feature: Feature) -> str:
    """Return the range of an integer or number: 1000 to 20000."""
    low, high = feature.bounds
    return texts.say(
        language, "predict.span", low=plain(language, low or 0.0), high=plain(language, high or 0.0)
    )


def expectation(texts: Texts, language: Language, feature: Feature) -> str:
    """Return what a value of `feature` has to be: a whole number, 0 to 120."""
    if feature.categories:
        return texts.say(language, "predict.one_of", names=", ".join(feature.categories))
    if feature.type == "binary":
        return texts.say(language, "predict.zero_or_one")
    kind = "predict.whole_number" if feature.type == "integer" else "predict.any_number"
    return texts.say(language, kind, span=span(texts, language, feature))

"""What the visitor entered → the record that the API takes; what the API refused → the fields of the form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from vigie.schema import Feature, FeatureSchema, Value
from vigie.ui.feature_words import expectation
from vigie.ui.language import Language
from vigie.ui.outcome import Failure, Fault
from vigie.ui.texts import Texts

LONGEST_ECHO: Final = 40
"""Characters of a wrong value that a reason repeats."""

Entered = bool | int | float | str | None
"""A form value as it arrives: JSON, None where a field was left empty."""


def record_from(schema: FeatureSchema, entered: Sequence[Entered]) -> dict[str, Value]:
    """Return the record for `entered`, one value per feature in the schema's order.

    An empty field is left out, so that the API names it; nothing is rounded, clipped or checked here.
    """
    pairs = zip(schema.features, entered, strict=True)
    return {
        feature.name: _value(feature, value) for feature, value in pairs if value is not None and value != ""
    }


def entered_from(schema: FeatureSchema, record: Mapping[str, Value]) -> list[Entered]:
    """Return what the form shows for a valid `record`, one value per feature in the schema's order."""
    return [
        record[feature.name] == 1 if feature.type == "binary" and not feature.values else record[feature.name]
        for feature in schema.features
    ]


def _value(feature: Feature, entered: bool | int | float | str) -> Value:
    """Browsers know one kind of number, and a checkbox is true or false; the API is strict about both."""
    if isinstance(entered, str):
        return entered
    if feature.type == "number":
        return float(entered)
    if float(entered).is_integer():
        return int(entered)
    return entered


def in_the_forms_words(
    failure: Failure, schema: FeatureSchema, record: Mapping[str, Value], texts: Texts, language: Language
) -> Failure:
    """Return the `failure` of sending `record` with its reasons as the form names things, in `language`."""

    def told(fault: Fault) -> Fault:
        feature = _feature(schema, fault.field)
        if feature is None:
            return fault
        label = feature.label.in_language(language)
        if feature.name not in record:
            reason = texts.say(language, "predict.required")
        else:
            wanted = expectation(texts, language, feature)
            given = str(record[feature.name])[:LONGEST_ECHO]
            reason = texts.say(language, "predict.must_be", wanted=wanted, given=given)
        return Fault(field=feature.name, reason=reason, label=label)

    return replace(failure, faults=tuple(map(told, failure.faults)))


def _feature(schema: FeatureSchema, field: str) -> Feature | None:
    return schema.by_name.get(field) or {one.spaced_name: one for one in schema.features}.get(field)

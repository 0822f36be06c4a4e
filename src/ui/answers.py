"""What the visitor entered → the record that the API takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vigie.schema import Feature, FeatureSchema, Value

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


def _value(feature: Feature, entered: bool | int | float | str) -> Value:
    """Browsers know one kind of number, and a checkbox is true or false; the API is strict about both."""
    if isinstance(entered, str):
        return entered
    if feature.type == "number":
        return float(entered)
    if float(entered).is_integer():
        return int(entered)
    return entered


def field_label(schema: FeatureSchema, field: str, language: str) -> str:
    """Return the label of the API's `field` (either spelling), or `field` itself when it is not an input."""
    by_spelling: Mapping[str, Feature] = {f.spaced_name: f for f in schema.features} | dict(schema.by_name)
    feature = by_spelling.get(field)
    return field if feature is None else feature.label.in_language(language)

"""The form, built from the schema alone: one field per feature, one titled section per group."""

from __future__ import annotations

from html import escape
from typing import Final

import gradio as gr

from vigie.schema import Feature, FeatureSchema

SLIDER_POSITIONS: Final = 200
"""Beyond so many positions a slider cannot be set precisely by hand; a number is typed instead."""
RADIO_CHOICES: Final = 4
"""Up to so many categories are all shown; more go into a list."""


def build_form(schema: FeatureSchema, language: str = "en") -> list[gr.components.Component]:
    """Add the form to the Blocks in context; return its fields in the schema's order."""
    fields: dict[str, gr.components.Component] = {}
    for group in schema.groups:
        members = [feature for feature in schema.features if feature.group == group.name]
        if not members:
            continue
        heading = f"form-section-{group.name}"
        with gr.Column(elem_classes="form-section"):
            gr.HTML(f'<h2 id="{escape(heading)}">{escape(group.title.in_language(language))}</h2>')
            for feature in sorted(members, key=_is_checkbox):
                fields[feature.name] = _field(feature, language)
    return [fields[name] for name in schema.names]


def _is_checkbox(feature: Feature) -> bool:
    """Whether the feature is answered by a tick: no and yes need no names."""
    return feature.type == "binary" and not feature.values


def _field(feature: Feature, language: str) -> gr.components.Component:
    label = feature.label.in_language(language)
    info = feature.help.in_language(language) if feature.help else None
    if _is_checkbox(feature):
        return gr.Checkbox(value=feature.default == 1, label=label, info=info, elem_classes="tick")
    if feature.type == "binary":
        words = {value: text.in_language(language) for value, text in feature.values.items()}
        choices = [(words.get(value, str(value)), value) for value in (0, 1)]
        return gr.Radio(choices, value=feature.default, label=label, info=info)
    if feature.type == "category":
        many = len(feature.categories) > RADIO_CHOICES
        kind = gr.Dropdown if many else gr.Radio
        return kind(list(feature.categories), value=feature.default, label=label, info=info)
    return _number(feature, label, info, language)


def _number(feature: Feature, label: str, info: str | None, language: str) -> gr.components.Component:
    low, high = feature.bounds
    if low is None or high is None:  # the schema demands both of an integer and a number
        raise ValueError(f"{feature.name} has no range")
    unit = feature.unit.in_language(language) if feature.unit else ""
    named = f"{label} ({unit})" if unit else label
    step = slider_step(feature)
    if step is not None:
        return gr.Slider(
            low,
            high,
            value=float(feature.example),
            step=step,
            label=named,
            info=info,
            buttons=[],
            elem_classes="wide",
        )
    span = f"{low:g} to {high:g}"
    return gr.Number(
        value=float(feature.example),
        label=named,
        info=f"{info} ({span})" if info else span,
        step=feature.step or (1.0 if feature.type == "integer" else (high - low) / SLIDER_POSITIONS),
        elem_classes="typed",
    )


def slider_step(feature: Feature) -> float | None:
    """Return the step of a slider for the integer or number `feature`; None when it has to be typed.

    A number without a declared step is continuous: a slider would hide values that the model can take.
    """
    low, high = feature.bounds
    step = feature.step or (1.0 if feature.type == "integer" else None)
    if step is None or low is None or high is None or (high - low) / step > SLIDER_POSITIONS:
        return None
    return step

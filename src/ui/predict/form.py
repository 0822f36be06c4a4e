"""The form, built from the schema alone: one field per feature, one titled section per group."""

from __future__ import annotations

from functools import partial
from typing import Final

import gradio as gr
from gradio.i18n import I18nData

from vigie.schema import Feature
from vigie.ui.feature_words import label_with_unit, span
from vigie.ui.language import Language
from vigie.ui.site import Site

SLIDER_POSITIONS: Final = 200
"""Beyond so many positions a slider cannot be set precisely by hand; a number is typed instead."""
RADIO_CHOICES: Final = 4
"""Up to so many categories are all shown; more go into a list."""


def build_form(site: Site) -> list[gr.components.Component]:
    """Add the form to the Blocks in context; return its fields in the schema's order."""
    fields: dict[str, gr.components.Component] = {}
    for group in site.schema.groups:
        members = [feature for feature in site.schema.features if feature.group == group.name]
        if not members:
            continue
        with gr.Column(elem_classes="form-section"):
            gr.HTML(site.html("predict/section.html", group=group))
            for feature in sorted(members, key=is_tick):
                fields[feature.name] = _field(site, feature)
    return [fields[name] for name in site.schema.names]


def is_tick(feature: Feature) -> bool:
    """Whether the feature is answered by a tick: no and yes need no names."""
    return feature.type == "binary" and not feature.values


def field_id(name: str) -> str:
    """Return the id in the page of the field for the feature `name`."""
    return f"field-{name}"


def _field(site: Site, feature: Feature) -> gr.components.Component:
    of, where = site.texts.of, field_id(feature.name)
    label = of(feature.label)
    info = of(feature.help) if feature.help else None
    if is_tick(feature):
        ticked = feature.default == 1
        return gr.Checkbox(value=ticked, label=label, info=info, elem_classes="tick", elem_id=where)
    if feature.type == "binary":
        words = {value: of(text) for value, text in feature.values.items()}
        choices = [(words.get(value, str(value)), value) for value in (0, 1)]
        return gr.Radio(choices, value=feature.default, label=label, info=info, elem_id=where)
    if feature.type == "category":
        many = len(feature.categories) > RADIO_CHOICES
        kind = gr.Dropdown if many else gr.Radio
        return kind(list(feature.categories), value=feature.default, label=label, info=info, elem_id=where)
    return _number(site, feature, info)


def _number(site: Site, feature: Feature, info: I18nData | None) -> gr.components.Component:
    low, high = feature.bounds
    if low is None or high is None:  # the schema demands both of an integer and a number
        raise ValueError(f"{feature.name} has no range")
    label = site.texts.made(partial(label_with_unit, feature=feature))
    step = slider_step(feature)
    if step is not None:
        return gr.Slider(
            low,
            high,
            value=float(feature.example),
            step=step,
            label=label,
            info=info,
            buttons=[],
            elem_classes="wide",
            elem_id=field_id(feature.name),
        )
    return gr.Number(
        value=float(feature.example),
        label=label,
        info=site.texts.made(partial(_help_with_span, site, feature)),
        step=feature.step or (1.0 if feature.type == "integer" else (high - low) / SLIDER_POSITIONS),
        elem_classes="typed",
        elem_id=field_id(feature.name),
    )


def _help_with_span(site: Site, feature: Feature, language: Language) -> str:
    allowed = span(site.texts, language, feature)
    return f"{feature.help.in_language(language)} ({allowed})" if feature.help else allowed


def slider_step(feature: Feature) -> float | None:
    """Return the step of a slider for the integer or number `feature`; None when it has to be typed.

    A number without a declared step is continuous: a slider would hide values that the model can take.
    """
    low, high = feature.bounds
    step = feature.step or (1.0 if feature.type == "integer" else None)
    if step is None or low is None or high is None or (high - low) / step > SLIDER_POSITIONS:
        return None
    return step

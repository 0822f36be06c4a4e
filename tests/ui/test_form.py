"""The form comes from the schema alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from tests.servers import ROOT
from tests.ui.sites import site_of

from vigie.schema import Feature, FeatureSchema, load_schema
from vigie.ui.language import Language
from vigie.ui.predict.form import build_form, slider_step


class Form:
    """The form of a schema as a visitor of one language gets it."""

    def __init__(self, schema: FeatureSchema, language: Language = "en") -> None:
        site = site_of(schema, Path("nowhere"))
        with gr.Blocks(analytics_enabled=False) as page:
            fields = build_form(site)
        self.fields = dict(zip(schema.names, fields, strict=True))
        self.headings = [
            self.said(site, language, one.value) for one in page.blocks.values() if isinstance(one, gr.HTML)
        ]
        self.words: dict[str, tuple[Any, Any]] = {
            name: (self.said(site, language, field.label), self.said(site, language, field.info))
            for name, field in self.fields.items()
        }
        self.choices = {
            name: [(self.said(site, language, text), value) for text, value in field.choices]
            for name, field in self.fields.items()
            if hasattr(field, "choices")
        }

    @staticmethod
    def said(site: Any, language: Language, text: Any) -> Any:
        """Return a text for components in `language`."""
        return None if text is None else site.texts.resolve(language, str(text)).strip()


def test_the_reference_form(schema: FeatureSchema) -> None:
    """Age slides, gender is chosen by name, everything else is ticked; defaults and help are there."""
    form = Form(schema)
    kinds = {name: type(field).__name__ for name, field in form.fields.items()}
    assert kinds.pop("AGE") == "Slider"
    assert kinds.pop("GENDER") == "Radio"
    assert set(kinds.values()) == {"Checkbox"}
    assert len(kinds) == 12
    age = form.fields["AGE"]
    assert (age.minimum, age.maximum, age.step, age.value) == (0, 120, 1, 60)
    assert form.words["AGE"] == ("Age (years)", "Age in whole years")
    assert (form.choices["GENDER"], form.fields["GENDER"].value) == ([("Female", 0), ("Male", 1)], 0)
    assert form.words["CHEST_PAIN"][1] == "Pain or pressure in the chest"
    assert {field.elem_id for field in form.fields.values()} == {f"field-{name}" for name in schema.names}


def test_every_type_of_feature_has_its_field(mixed_schema: FeatureSchema) -> None:
    """Slider, typed number, named choice, tick, short and long list; defaults are set."""
    form = Form(mixed_schema)
    assert {name: (type(field).__name__, field.value) for name, field in form.fields.items()} == {
        "OVERTIME": ("Checkbox", True),
        "AGE": ("Slider", 40),
        "INCOME": ("Number", 10500),
        "MOOD": ("Slider", 2.5),
        "DISTANCE": ("Number", 50),
        "CONTRACT": ("Radio", None),
        "TRAVEL": ("Radio", "none"),
        "ROLE": ("Dropdown", None),
    }
    assert form.words["INCOME"][1] == "Before tax (1000 to 20000)"
    assert form.words["DISTANCE"][1] == "0 to 100"
    assert form.choices["CONTRACT"] == [("Fixed term", 0), ("Permanent", 1)]


def test_groups_are_titled_sections_and_their_titles_are_escaped(mixed_schema: FeatureSchema) -> None:
    """Each group with features has one heading; an empty one has none."""
    assert Form(mixed_schema).headings == ['<h2 id="form-section-work">Work &amp; pay</h2>']


def test_the_form_speaks_french(schema: FeatureSchema, mixed_schema: FeatureSchema) -> None:
    """Labels, help, units, choices, headings and ranges follow the language."""
    form = Form(schema, "fr")
    assert form.words["AGE"] == ("Âge (ans)", "Âge en années révolues")
    assert form.choices["GENDER"] == [("Femme", 0), ("Homme", 1)]
    assert '<h2 id="form-section-person">Personne</h2>' in form.headings
    assert Form(mixed_schema, "fr").words["DISTANCE"][1] == "de 0 à 100"


def test_thirty_measures_are_typed_not_slid() -> None:
    """A model of continuous measures has number fields with their typical values."""
    form = Form(load_schema(ROOT / "examples" / "breast_cancer"))
    assert len(form.fields) == 30
    assert {type(field).__name__ for field in form.fields.values()} == {"Number"}
    assert all(field.value is not None for field in form.fields.values())


@pytest.mark.parametrize(
    ("kind", "high", "step", "expected"),
    [
        ("integer", 200, None, 1.0),
        ("integer", 201, None, None),
        ("integer", 1000, 10, 10.0),
        ("number", 1, None, None),
        ("number", 1, 0.01, 0.01),
        ("number", 1, 0.001, None),
    ],
)
def test_a_slider_has_positions_that_a_hand_can_set(
    kind: str, high: float, step: float | None, expected: float | None
) -> None:
    """Up to 200 positions slide; a finer or continuous range is typed."""
    declared = {"name": "X", "type": kind, "group": "g", "label": "X", "minimum": 0, "maximum": high}
    assert slider_step(Feature.model_validate(declared | {"step": step})) == expected

"""The form comes from the schema alone."""

from __future__ import annotations

import gradio as gr
import pytest
from tests.servers import ROOT

from vigie.schema import Feature, FeatureSchema, load_schema
from vigie.ui.form import build_form, slider_step


def form_of(schema: FeatureSchema, language: str = "en") -> dict[str, gr.components.Component]:
    """The fields of the form by their feature."""
    with gr.Blocks(analytics_enabled=False):
        fields = build_form(schema, language)
    return dict(zip(schema.names, fields, strict=True))


def test_the_reference_form(schema: FeatureSchema) -> None:
    """Age slides, gender is chosen by name, everything else is ticked; defaults and help are there."""
    fields = form_of(schema)
    kinds = {name: type(field).__name__ for name, field in fields.items()}
    assert kinds.pop("AGE") == "Slider"
    assert kinds.pop("GENDER") == "Radio"
    assert set(kinds.values()) == {"Checkbox"}
    assert len(kinds) == 12
    age, gender = fields["AGE"], fields["GENDER"]
    assert (age.minimum, age.maximum, age.step, age.value) == (0, 120, 1, 60)
    assert (age.label, age.info) == ("Age (years)", "Age in whole years")
    assert (gender.choices, gender.value) == ([("Female", 0), ("Male", 1)], 0)
    assert fields["CHEST_PAIN"].info == "Pain or pressure in the chest"


def test_every_type_of_feature_has_its_field(mixed_schema: FeatureSchema) -> None:
    """Slider, typed number, named choice, tick, short and long list; defaults are set."""
    fields = form_of(mixed_schema)
    assert {name: (type(field).__name__, field.value) for name, field in fields.items()} == {
        "OVERTIME": ("Checkbox", True),
        "AGE": ("Slider", 40),
        "INCOME": ("Number", 10500),
        "MOOD": ("Slider", 2.5),
        "DISTANCE": ("Number", 50),
        "CONTRACT": ("Radio", None),
        "TRAVEL": ("Radio", "none"),
        "ROLE": ("Dropdown", None),
    }
    assert fields["INCOME"].info == "Before tax (1000 to 20000)"
    assert fields["DISTANCE"].info == "0 to 100"
    assert fields["CONTRACT"].choices == [("Fixed term", 0), ("Permanent", 1)]


def test_groups_are_titled_sections_and_their_titles_are_escaped(mixed_schema: FeatureSchema) -> None:
    """Each group with features has one heading; an empty one has none."""
    with gr.Blocks(analytics_enabled=False) as page:
        build_form(mixed_schema)
    headings = [block.value for block in page.blocks.values() if isinstance(block, gr.HTML)]
    assert headings == ['<h2 id="form-section-work">Work &amp; pay</h2>']


def test_the_form_speaks_french(schema: FeatureSchema) -> None:
    """Labels, help, units and choices follow the language."""
    fields = form_of(schema, "fr")
    assert (fields["AGE"].label, fields["AGE"].info) == ("Âge (ans)", "Âge en années révolues")
    assert fields["GENDER"].choices == [("Femme", 0), ("Homme", 1)]


def test_thirty_measures_are_typed_not_slid() -> None:
    """A model of continuous measures has number fields with their typical values."""
    fields = form_of(load_schema(ROOT / "examples" / "breast_cancer"))
    assert len(fields) == 30
    assert {type(field).__name__ for field in fields.values()} == {"Number"}
    assert all(field.value is not None for field in fields.values())


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

"""Panels on inputs and metrics per class come from the schema."""

from __future__ import annotations

from typing import Any

import pytest
from tests.servers import ROOT

from vigie.dashboards.templates import expanded
from vigie.schema import FeatureSchema, load_schema


def written_out(schema: FeatureSchema, *panels: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a specification that has only these."""
    found: list[dict[str, Any]] = expanded({"dashboards": [{"panels": list(panels)}]}, schema)["dashboards"][
        0
    ]["panels"]
    return found


def with_features(schema: FeatureSchema, *features: dict[str, Any]) -> FeatureSchema:
    """Return the schema with other features, of a known data set instead of a simulated one."""
    content = schema.model_dump(mode="json")
    content |= {"features": list(features), "simulation": None, "data": "module:function"}
    return FeatureSchema.model_validate(content)


def feature(name: str, **about: Any) -> dict[str, Any]:
    """A feature of the group that the reference model has."""
    return {"name": name, "label": f"the {name}", "group": "person", **about}


def test_one_panel_per_input_of_the_kind(schema: FeatureSchema) -> None:
    """Binary inputs get the template of binary inputs, named after them, and so on."""
    other = with_features(
        schema,
        feature("AGE", type="integer", minimum=0, maximum=100),
        feature("CITY", type="category", categories=["a", "b"]),
        feature("SMOKER", type="binary"),
        feature("MALE", type="binary", values={1: "Male", 0: "Female"}),
    )
    panels = written_out(
        other,
        {"id": "share_{id}", "for_each": "binary inputs", "title": "{label} is {meaning}", "field": "{name}"},
        {"id": "edges_{id}", "for_each": "numeric inputs", "edges": "{edges}"},
        {"id": "{id}", "for_each": "category inputs"},
    )
    assert panels == [
        {"id": "share_smoker", "title": "the SMOKER is yes", "field": "SMOKER", "metrics": []},
        {"id": "share_male", "title": "the MALE is male", "field": "MALE", "metrics": []},
        {"id": "edges_age", "edges": [0, 10, 20, 30, 40, 50, 60, 70, 80, 90], "metrics": []},
        {"id": "city", "metrics": []},
    ]


@pytest.mark.parametrize(
    ("low", "high", "edges"),
    [
        (0, 120, [float(edge) for edge in range(0, 120, 10)]),
        (-1, 1, [-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8]),
        (0, 0.3, [0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.225, 0.25, 0.275]),
        (7, 4250, [0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000]),
    ],
)
def test_ranges_are_round_and_hold_the_bounds(
    schema: FeatureSchema, low: float, high: float, edges: list[float]
) -> None:
    """A numeric input's ranges begin at or below its minimum, and the last one takes its maximum."""
    other = with_features(schema, feature("X", type="number", minimum=low, maximum=high))
    (panel,) = written_out(other, {"id": "{id}", "for_each": "numeric inputs", "edges": "{edges}"})
    assert panel["edges"] == pytest.approx(edges)


def test_one_metric_per_class(schema: FeatureSchema) -> None:
    """Each class of the target has a metric of its own, with its own colour."""
    metric = {"for_each": "classes", "id": "class_{number}", "label": "{label}", "colour": "{colour}"}
    (panel,) = written_out(schema, {"id": "share", "metrics": [metric, {"id": "all"}]})
    assert panel["metrics"] == [
        {"id": "class_0", "label": "NO", "colour": "class_0"},
        {"id": "class_1", "label": "YES", "colour": "class_1"},
        {"id": "all"},
    ]


def test_the_reference_is_what_the_cohort_was_drawn_from(schema: FeatureSchema) -> None:
    """Of a simulated cohort the expected mean is known: 0.86 · 0.55 + 0.14 · 0.5 smoke."""
    template = {
        "id": "{id}", "for_each": "binary inputs", "reference": {"value": "{reference}", "label": "Cohort"}
    }  # fmt: skip
    panels = {panel["id"]: panel for panel in written_out(schema, template)}
    assert panels["smoking"]["reference"]["value"] == pytest.approx(0.86 * 0.55 + 0.14 * 0.5)
    numeric = {**template, "for_each": "numeric inputs"}
    assert written_out(schema, numeric)[0]["reference"]["value"] == pytest.approx(0.86 * 63.3 + 0.14 * 60.7)
    whole = {"id": "share", "reference": {"value": "{reference}", "label": "Cohort"}}
    assert written_out(schema, whole)[0]["reference"]["value"] == 0.86


def test_without_a_simulated_cohort_there_is_no_reference() -> None:
    """A model on a known data set gets the same panels without the dashed line."""
    example = load_schema(next(iter(sorted((ROOT / "examples").iterdir()))))
    template = {"id": "share", "reference": {"value": "{reference}", "label": "Cohort"}}
    (panel,) = written_out(example, template)
    assert "reference" not in panel

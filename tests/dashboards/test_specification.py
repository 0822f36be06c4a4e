"""The specification is read strictly, and its faults name panel and field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.servers import ROOT

from vigie.dashboards.specification import (
    Specification,
    SpecificationError,
    load_specification,
    parse_specification,
)
from vigie.schema import FeatureSchema

SMALL: dict[str, Any] = {
    "colours": {"mean": "#404040"},
    "dashboards": [
        {
            "id": "board", "title": "Board", "description": "What it shows.", "time_from": "now-1h",
            "refresh_seconds": 30, "controls": [{"field": "status", "title": "Status", "index": "ml-api-logs"}],
            "panels": [
                {
                    "id": "latency", "title": "How long", "description": "Latency.", "index": "ml-api-perfs",
                    "where": [{"field": "doc_type", "is": "request"}], "chart": "line",
                    "buckets": [{"by": "time"}, {"by": "terms", "field": "path", "label": "Path", "size": 3}],
                    "metrics": [
                        {"id": "mean", "label": "Mean", "operation": "average", "field": "latency_ms",
                         "unit": "ms", "colour": "mean"}
                    ],
                    "axis": "Latency (ms)", "width": 24, "height": 10,
                }
            ],
        }
    ],
}  # fmt: skip

Change = Callable[[dict[str, Any]], Any]


def panel(content: dict[str, Any]) -> dict[str, Any]:
    """The only panel of the small specification."""
    found: dict[str, Any] = content["dashboards"][0]["panels"][0]
    return found


def changed(change: Change) -> dict[str, Any]:
    """Return the small specification with a change."""
    content = copy.deepcopy(SMALL)
    change(content)
    return content


def test_the_small_specification_fits(schema: FeatureSchema) -> None:
    """What the faults below are changes of is itself without fault."""
    (found,) = parse_specification(SMALL, schema, "here").panels
    assert found[1].metrics[0].title == "Mean (ms)"
    assert found[1].where[0].one_of == ("request",)


FAULTS: list[tuple[Change, list[str]]] = [
    (lambda c: panel(c).update(color="red"), ["dashboard board", "panel latency", "color", "not permitted"]),
    (lambda c: panel(c).pop("title"), ["panel latency", "title", "required"]),
    (lambda c: panel(c).update(chart="pie"), ["panel latency", "chart"]),
    (lambda c: panel(c).update(chart="metric"), ["panel latency", "a metric takes 0 to 0, not 2"]),
    (lambda c: panel(c).update(chart="heatmap", metrics=panel(c)["metrics"] * 2), ["panel latency", "shows one"]),
    (lambda c: panel(c).update(chart="table"), ["panel latency", "axis"]),
    (lambda c: panel(c).update(chart="table", axis="", axis_bounds=[0, 1]), ["panel latency", "axis_bounds"]),
    (lambda c: panel(c).update(axis=""), ["panel latency", "axis"]),
    (lambda c: panel(c).update(width=50), ["panel latency", "width"]),
    (lambda c: panel(c).update(metrics=panel(c)["metrics"] * 2), ["panel latency", "mean twice"]),
    (lambda c: panel(c)["metrics"][0].pop("field"), ["panel latency", "metric mean", "takes one"]),
    (lambda c: panel(c)["metrics"][0].update(operation="percentile"), ["metric mean", "percentile"]),
    (lambda c: panel(c)["metrics"][0].update(operation="share", field=None), ["metric mean", "needs where"]),
    (
        lambda c: panel(c)["metrics"][0].update(operation="counter_rate", where=panel(c)["where"]),
        ["metric mean", "no where"],
    ),
    (
        lambda c: (panel(c)["metrics"][0].update(operation="counter_rate"), panel(c)["buckets"].pop(0)),
        ["panel latency", "buckets by time"],
    ),
    (lambda c: panel(c)["metrics"][0].update(colour="nice"), ["panel latency", "no colour means nice"]),
    (lambda c: panel(c)["buckets"][1].update(order="median"), ["panel latency", "path", "median"]),
    (lambda c: panel(c)["buckets"][0].update(interval="soon"), ["panel latency", "interval"]),
    (
        lambda c: panel(c)["buckets"].append({"by": "ranges", "field": "x", "label": "x", "edges": [2, 1]}),
        ["panel latency", "ascend"],
    ),
    (lambda c: panel(c)["where"].append({"field": "status"}), ["panel latency", "where", "exactly one of"]),
    (lambda c: c["dashboards"][0]["panels"].append(panel(c)), ["declared twice: latency"]),
    (lambda c: c["dashboards"][0].update(time_from="today"), ["dashboard board", "time_from"]),
    (lambda c: panel(c).update(for_each="inputs"), ["panel latency", "for_each", "binary inputs"]),
    (lambda c: panel(c).update(title="Of {nothing}"), ["panel latency", "{nothing}", "{positive}"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "named"), FAULTS)
def test_a_fault_is_named(schema: FeatureSchema, change: Change, named: list[str]) -> None:
    """What does not fit is refused with the file, the panel, the field and the reason."""
    with pytest.raises(SpecificationError) as caught:
        parse_specification(changed(change), schema, "kibana/panels.yaml")
    assert [part for part in ["kibana/panels.yaml", *named] if part not in str(caught.value)] == []


@pytest.mark.parametrize(
    "content",
    [None, [], {"dashboards": 3}, {"colours": {}, "dashboards": [1]}, {"dashboards": [{"panels": [1]}]}],
)
def test_what_is_no_specification_is_refused(schema: FeatureSchema, content: object) -> None:
    """Any other YAML is a SpecificationError, never a crash."""
    with pytest.raises(SpecificationError, match="here"):
        parse_specification(content, schema, "here")


def test_a_file_that_cannot_be_read_is_named(schema: FeatureSchema, tmp_path: Path) -> None:
    """A missing file and broken YAML say which file."""
    with pytest.raises(SpecificationError, match=r"absent\.yaml: cannot be read"):
        load_specification(tmp_path / "absent.yaml", schema)
    broken = tmp_path / "broken.yaml"
    broken.write_text("dashboards: [")
    with pytest.raises(SpecificationError, match=r"broken\.yaml: not valid YAML"):
        load_specification(broken, schema)


def test_each_panel_says_what_the_reader_learns(specification: Specification) -> None:
    """Titles and descriptions are there, are unlike one another, and end as a sentence does."""
    titles = [panel.title for _, panel in specification.panels]
    assert len(set(titles)) == len(titles)
    assert [one.id for _, one in specification.panels if not one.description.endswith(".")] == []


def test_each_panel_is_a_number_or_has_units_and_decimals(specification: Specification) -> None:
    """A metric on a field of milliseconds or MB says so."""
    lacking = [
        f"{panel.id}.{metric.id}"
        for _, panel in specification.panels
        for metric in panel.metrics
        if (metric.field or "").endswith(("_ms", "_mb")) and metric.unit not in ("ms", "MB")
    ]
    assert lacking == []


def test_features_are_named_by_the_schema_alone(schema: FeatureSchema) -> None:
    """The specification itself names no input and no class of the model."""
    text = (ROOT / "kibana" / "panels.yaml").read_text(encoding="utf-8")
    words = set(yaml.safe_load(text)["colours"])
    named = [name for name in (*schema.names, *schema.target.classes) if f" {name}" in text]
    assert named == []
    assert "reference" in words


# Colour vision: matrices of Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
TOLD_APART = 15.0
"""Distance in CIE Lab; from about 2.3 on two neighbouring patches look different."""


def lab(colour: str, deficiency: str) -> np.ndarray:
    """Return the CIE Lab coordinates of a colour as somebody with that deficiency sees it."""
    srgb = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(DEFICIENCIES[deficiency] @ linear, 0, 1)
    relative = RGB_TO_XYZ @ seen / np.array([0.9505, 1.0, 1.089])
    root = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colours_of_a_panel_are_told_apart(specification: Specification, deficiency: str) -> None:
    """No two series of a panel look alike, whichever kind of colour vision the reader has."""
    alike = []
    for _, one in specification.panels:
        meanings = sorted({str(metric.colour) for metric in one.metrics if metric.colour is not None})
        for first, second in combinations(meanings, 2):
            colours = [lab(specification.colours[name], deficiency) for name in (first, second)]
            distance = float(np.linalg.norm(colours[0] - colours[1]))
            if distance < TOLD_APART:
                alike.append(f"{one.id}: {first} and {second} ({distance:.1f})")
    assert alike == []


def test_a_colour_has_one_meaning(specification: Specification) -> None:
    """No two meanings share a colour, so a colour means the same on every panel."""
    assert len(set(specification.colours.values())) == len(specification.colours)

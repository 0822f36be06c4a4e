"""Kibana's saved objects: what an import checks, and what it would only show when a panel is opened."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.servers import ROOT
from typer.testing import CliRunner

from vigie.cli import app
from vigie.dashboards.fields import FieldTypes
from vigie.dashboards.kibana import LEVELS, as_ndjson, object_id, placed, saved_objects, write
from vigie.dashboards.lens import RECORDS
from vigie.dashboards.specification import Panel, Specification, load_specification
from vigie.indices.mappings import DEAD, INDICES
from vigie.schema import FeatureSchema

Json = dict[str, Any]
FILE = ROOT / "kibana" / "dashboards.ndjson"
CHART_IDS = {"lnsXY", "lnsDatatable", "lnsMetric", "lnsHeatmap"}


def unpacked(value: Any) -> Any:
    """Return the object with its JSON texts read."""
    if isinstance(value, dict):
        return {
            name: json.loads(part) if name.endswith("JSON") else unpacked(part)
            for name, part in value.items()
        }
    return value


@pytest.fixture(scope="module")
def objects() -> list[Json]:
    """The committed objects, JSON in JSON read."""
    return [unpacked(json.loads(line)) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def dashboards(objects: list[Json]) -> list[Json]:
    """The dashboards among them."""
    return [one for one in objects if one["type"] == "dashboard"]


def lens_panels(dashboards: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Yield each Lens panel with its dashboard."""
    for dashboard in dashboards:
        for panel in dashboard["attributes"]["panelsJSON"]:
            if panel["type"] == "lens":
                yield dashboard, panel


def columns_of(panel: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield layer, id and column of each column of a panel."""
    layers = panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["indexpattern"]["layers"]
    for layer, content in layers.items():
        for name, column in content["columns"].items():
            yield layer, name, column


def panels_of(content: bytes) -> dict[str, Any]:
    """Return panels by dashboard and id, data views by title."""
    found: dict[str, Any] = {}
    for line in content.splitlines():
        one = unpacked(json.loads(line))
        attributes = one["attributes"]
        for panel in attributes.pop("panelsJSON", []):
            found[f"panel {panel['panelIndex']} of {attributes['title']}"] = panel
        found[f"{one['type']} {attributes['title']}"] = one
    return found


def test_the_committed_file_is_fresh(specification: Specification, types: FieldTypes) -> None:
    """What is committed is what the panels and the schema say; each panel that is not is named."""
    fresh = as_ndjson(saved_objects(specification, types))
    wanted, held = panels_of(fresh), panels_of(FILE.read_bytes())
    stale = sorted(name for name in wanted.keys() | held.keys() if wanted.get(name) != held.get(name))
    assert stale == [], "run `make dashboards`"
    assert FILE.read_bytes() == fresh


def test_a_renamed_feature_makes_its_panel_stale(schema: FeatureSchema, types: FieldTypes) -> None:
    """After a feature is renamed in the schema, the freshness test names the panel of the old name."""
    content = schema.model_dump(mode="json")
    content["features"][2]["name"] = "SMOKES"
    renamed = FeatureSchema.model_validate(content)
    specification = load_specification(ROOT / "kibana" / "panels.yaml", renamed)
    more = {**types, "ml-api-message": {**types["ml-api-message"], "input_data.SMOKES": "integer"}}
    found = panels_of(as_ndjson(saved_objects(specification, more)))
    gone = panels_of(FILE.read_bytes()).keys() - found.keys()
    assert gone == {"panel share_smoking of Vigie: Drift and quality"}


def test_there_are_four_dashboards_with_every_panel(
    dashboards: list[Json], specification: Specification
) -> None:
    """Each panel of the specification is on its dashboard, under its title and description."""
    assert [one["attributes"]["title"] for one in dashboards] == [
        "Vigie: ML overview",
        "Vigie: Performance",
        "Vigie: Drift and quality",
        "Vigie: Pipeline",
    ]
    for dashboard, declared in zip(dashboards, specification.dashboards, strict=True):
        panels = {panel["panelIndex"]: panel for panel in dashboard["attributes"]["panelsJSON"]}
        assert set(panels) == {"navigation", *(panel.id for panel in declared.panels)}
        for panel in declared.panels:
            attributes = panels[panel.id]["embeddableConfig"]["attributes"]
            assert (attributes["title"], attributes["description"]) == (panel.title, panel.description)


def test_ids_are_unique_and_levels_those_of_8_3(objects: list[Json]) -> None:
    """An older Kibana refuses a newer level, and migrates nothing backward."""
    assert len({one["id"] for one in objects}) == len(objects)
    for one in objects:
        assert one["migrationVersion"] == {one["type"]: LEVELS[one["type"]]}
        assert one["coreMigrationVersion"] == "8.3.3"


def test_references_are_complete(objects: list[Json], dashboards: list[Json]) -> None:
    """Every object that one refers to is in the file; every layer and control has its reference."""
    ids = {(one["type"], one["id"]) for one in objects}
    for one in objects:
        assert {(reference["type"], reference["id"]) for reference in one["references"]} <= ids
        names = [reference["name"] for reference in one["references"]]
        assert len(set(names)) == len(names)
    for dashboard, panel in lens_panels(dashboards):
        own = panel["embeddableConfig"]["attributes"]["references"]
        layers = {layer for layer, _, _ in columns_of(panel)}
        assert {one["name"] for one in own} == {
            "indexpattern-datasource-current-indexpattern",
            *(f"indexpattern-datasource-layer-{layer}" for layer in layers),
        }
        on_dashboard = {(one["name"], one["id"]) for one in dashboard["references"]}
        assert {(f"{panel['panelIndex']}:{one['name']}", one["id"]) for one in own} <= on_dashboard


def test_every_column_is_sound(dashboards: list[Json], objects: list[Json], types: FieldTypes) -> None:
    """Fields exist in the index of the layer's data view; columns and accessors that are named are there."""
    indices = {
        one["id"]: one["attributes"]["title"].rstrip("*") for one in objects if one["type"] == "index-pattern"
    }
    for _, panel in lens_panels(dashboards):
        attributes = panel["embeddableConfig"]["attributes"]
        fields = types[indices[attributes["references"][0]["id"]]]
        found = {name: column for _, name, column in columns_of(panel)}
        for _, name, column in columns_of(panel):
            if "sourceField" in column:
                assert column["sourceField"] in {RECORDS, *fields}, (panel["panelIndex"], name)
            else:
                assert column["operationType"] in {"formula", "math", "counter_rate", "static_value"}
            assert set(column.get("references", ())) <= set(found)
            order = column.get("params", {}).get("orderBy", {})
            assert order.get("columnId", name) in found
        for layer in attributes["state"]["datasourceStates"]["indexpattern"]["layers"].values():
            assert sorted(layer["columnOrder"]) == sorted(layer["columns"])
        assert attributes["visualizationType"] in CHART_IDS
        assert accessors(attributes["state"]["visualization"]) <= set(found)


def accessors(visualization: Json) -> set[str]:
    """Return every column id that a visualisation names."""
    found: set[str] = set()
    for name, value in visualization.items():
        if name == "accessors":
            found |= set(value)
        elif name in {"columnId", "forAccessor"} or name.lower().endswith("accessor"):
            found.add(value)
        elif isinstance(value, list):
            found |= set().union(*(accessors(part) for part in value if isinstance(part, dict)))
    return found


def test_charts_have_axis_titles_and_colours_by_meaning(
    dashboards: list[Json], specification: Specification
) -> None:
    """A chart of one split has a colour per metric, taken from the specification's meanings."""
    declared = {panel.id: panel for _, panel in specification.panels}
    for _, panel in lens_panels(dashboards):
        state = panel["embeddableConfig"]["attributes"]["state"]["visualization"]
        if "layers" not in state:
            continue
        one = declared[panel["panelIndex"]]
        assert state["yTitle"] == one.axis
        data = state["layers"][0]
        if "splitAccessor" not in data:
            colours = {part["forAccessor"]: part["color"] for part in data["yConfig"]}
            assert colours == {m.id: specification.colours[str(m.colour)] for m in one.metrics}


def test_numbers_have_decimals_and_percentages_are_formatted(
    dashboards: list[Json], specification: Specification
) -> None:
    """The column of each metric carries the unit in its label and the decimals in its format."""
    declared = {panel.id: panel for _, panel in specification.panels}
    for _, panel in lens_panels(dashboards):
        found = {name: column for _, name, column in columns_of(panel)}
        for metric in declared[panel["panelIndex"]].metrics:
            column = found[metric.id]
            assert column["label"] == metric.title
            assert column["params"]["format"] == {
                "id": "percent" if metric.unit == "%" else "number",
                "params": {"decimals": metric.decimals},
            }


def test_a_share_is_a_formula_of_two_counts(dashboards: list[Json]) -> None:
    """Kibana computes the share from the counts that the store query has too."""
    panel = next(panel for _, panel in lens_panels(dashboards) if panel["panelIndex"] == "error_rate")
    found = {name: column for _, name, column in columns_of(panel)}
    assert found["share"]["params"]["formula"] == 'count(kql=\'status: ("failed" or "shed")\') / count()'
    assert found["shareX0"]["filter"]["query"] == 'status: ("failed" or "shed")'
    assert "filter" not in found["shareX1"]
    assert found["shareX2"]["params"]["tinymathAst"]["args"] == ["shareX0", "shareX1"]


def test_each_dashboard_has_its_controls(dashboards: list[Json], specification: Specification) -> None:
    """Model version, status and path can be chosen everywhere, each with its data view."""
    for dashboard, declared in zip(dashboards, specification.dashboards, strict=True):
        group = dashboard["attributes"]["controlGroupInput"]
        fields = [panel["explicitInput"]["fieldName"] for panel in group["panelsJSON"].values()]
        assert {"model.version", "status", "path"} <= set(fields)
        views = {reference["name"]: reference["id"] for reference in dashboard["references"]}
        by_field = {control.field: control for control in declared.controls}
        for name, panel in group["panelsJSON"].items():
            assert panel["type"] == "optionsListControl"
            assert panel["explicitInput"]["id"] == name
            index = by_field[panel["explicitInput"]["fieldName"]].index
            view = views[f"controlGroup_{name}:optionsListDataView"]
            assert view == object_id("index-pattern", index)
        orders = sorted(panel["order"] for panel in group["panelsJSON"].values())
        assert orders == list(range(len(fields)))


def test_dashboards_link_to_each_other(dashboards: list[Json]) -> None:
    """From each dashboard the three others are one click away, and stay in the same space."""
    ids = {dashboard["id"] for dashboard in dashboards}
    for dashboard in dashboards:
        panel = dashboard["attributes"]["panelsJSON"][0]
        markdown = panel["embeddableConfig"]["savedVis"]["params"]["markdown"]
        assert set(re.findall(r"\]\(#/view/([0-9a-f-]+)\)", markdown)) == ids - {dashboard["id"]}


def test_dashboards_restore_their_time_and_refresh(dashboards: list[Json]) -> None:
    """Opened, a dashboard shows its own range and keeps itself fresh."""
    for dashboard in dashboards:
        attributes = dashboard["attributes"]
        assert attributes["timeRestore"] is True
        assert re.fullmatch(r"now-\d+[hd]", attributes["timeFrom"])
        assert attributes["refreshInterval"]["pause"] is False
        assert attributes["refreshInterval"]["value"] >= 5000


def test_panels_do_not_overlap(dashboards: list[Json]) -> None:
    """Every panel has its own place within 48 columns."""
    for dashboard in dashboards:
        places = [panel["gridData"] for panel in dashboard["attributes"]["panelsJSON"]]
        assert all(place["x"] + place["w"] <= 48 for place in places)
        for one, other in combinations(places, 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or below, (one["i"], other["i"])


def test_rows_are_filled_from_left_to_right(specification: Specification) -> None:
    """A panel that does not fit begins the next row, below the highest of the last."""
    places = {panel.id: place for panel, place in placed(specification.dashboards[0])}
    assert (places["predictions_answered"]["x"], places["positive_share"]["x"]) == (0, 12)
    assert places["predictions_per_hour"] == {"x": 0, "y": 11, "w": 24, "h": 12, "i": "predictions_per_hour"}


def test_data_views_are_those_of_the_events(objects: list[Json]) -> None:
    """Wildcards over the dated indices and those of the dead letters, by their time field."""
    views = [one["attributes"] for one in objects if one["type"] == "index-pattern"]
    assert {view["title"] for view in views} == {f"{index}*" for index in (*INDICES, DEAD)}
    assert {view["timeFieldName"] for view in views} == {"@timestamp"}
    assert not any("name" in view for view in views)


def test_a_prefix_has_objects_of_its_own(specification: Specification, types: FieldTypes) -> None:
    """Two installations in one Kibana do not overwrite each other."""
    plain = saved_objects(specification, types)
    mine = saved_objects(specification, types, "mine-")
    assert not {one["id"] for one in plain} & {one["id"] for one in mine}
    titles = [one["attributes"]["title"] for one in mine]
    assert "mine-ml-api-logs*" in titles
    assert "Vigie: Pipeline (mine)" in titles


def test_time_of_a_split_comes_second(dashboards: list[Json]) -> None:
    """Lens nests by the order of columns: series first, as the store query does."""
    panel = next(panel for _, panel in lens_panels(dashboards) if panel["panelIndex"] == "throughput")
    state = panel["embeddableConfig"]["attributes"]["state"]
    layer = state["datasourceStates"]["indexpattern"]["layers"]["layer"]
    assert layer["columnOrder"] == ["by_1", "by_0", "indexed", "indexed_counter"]
    assert layer["columns"]["indexed"]["timeScale"] == "m"
    assert layer["columns"]["indexed_counter"]["operationType"] == "max"


def test_the_reference_is_a_line_of_its_own(dashboards: list[Json]) -> None:
    """The dashed line is a second layer with a fixed value."""
    panel = next(panel for _, panel in lens_panels(dashboards) if panel["panelIndex"] == "share_smoking")
    state = panel["embeddableConfig"]["attributes"]["state"]
    line = state["visualization"]["layers"][1]
    assert line["layerType"] == "referenceLine"
    assert line["yConfig"][0]["lineStyle"] == "dashed"
    columns = state["datasourceStates"]["indexpattern"]["layers"]["reference"]["columns"]
    assert columns["value"]["params"]["value"] == "0.543"


def test_a_category_and_a_flag_have_their_data_type(specification: Specification, types: FieldTypes) -> None:
    """Terms of keywords are strings, of numbers numbers."""
    content = next(panel for _, panel in specification.panels if panel.id == "processes").model_dump()
    content["buckets"][0]["field"] = "batch_size"
    panel = Panel.model_validate({**content, "where": []})
    dashboard = specification.dashboards[3].model_copy(update={"panels": (panel,)})
    other = specification.model_copy(update={"dashboards": (dashboard,)})
    board = unpacked(saved_objects(other, types)[-1])
    ((_, _, column), *_) = columns_of(board["attributes"]["panelsJSON"][1])
    assert column["dataType"] == "number"


def test_the_command_writes_what_changed(tmp_path: Path) -> None:
    """`vigie dashboards` writes the file once, and leaves one that is fresh alone."""
    (tmp_path / "panels.yaml").write_bytes((ROOT / "kibana" / "panels.yaml").read_bytes())
    runner = CliRunner()
    first = runner.invoke(app, ["dashboards", "--folder", str(tmp_path)])
    assert first.exit_code == 0, first.output
    assert "written, 8 objects" in first.output
    assert (tmp_path / "dashboards.ndjson").read_bytes() == FILE.read_bytes()
    assert "unchanged" in runner.invoke(app, ["dashboards", "--folder", str(tmp_path)]).output
    assert write(tmp_path / "dashboards.ndjson", b"x")

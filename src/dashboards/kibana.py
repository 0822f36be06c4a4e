"""From the specification to Kibana's saved objects, written at the level of Kibana 8.3.

Ids come from names (UUID version 5), so that an import with `overwrite` updates in place.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from vigie.dashboards.fields import FieldTypes
from vigie.dashboards.lens import lens_attributes
from vigie.dashboards.specification import (
    GRID_COLUMNS,
    Control,
    Dashboard,
    Panel,
    Specification,
)

CORE_LEVEL: Final = "8.3.3"
LEVELS: Final = {"dashboard": "8.3.0", "index-pattern": "8.0.0"}
"""Type → `migrationVersion`: no newer than 8.3 knows, since Kibana migrates only forward."""
DASHBOARDS_FILE: Final = "dashboards.ndjson"
NAVIGATION: Final = "navigation"
_NAVIGATION_HEIGHT: Final = 5
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://vigie/kibana")

Json = dict[str, Any]


def object_id(kind: str, name: str, prefix: str = "") -> str:
    """Return the stable id of the data view (`index-pattern`) or dashboard of that name."""
    return str(uuid.uuid5(_NAMESPACE, f"{prefix}/{kind}/{name}"))


def saved_objects(specification: Specification, types: FieldTypes, prefix: str = "") -> list[Json]:
    """Return the data views and dashboards, referenced ones first.

    `prefix` is that of the indices (ES_INDEX_PREFIX): each has objects of its own.
    """
    used = {panel.index for _, panel in specification.panels}
    used |= {control.index for one in specification.dashboards for control in one.controls}
    views = [_data_view(index, prefix) for index in sorted(used)]
    boards = [_dashboard(one, specification, types, prefix) for one in specification.dashboards]
    return [*views, *boards]


def as_ndjson(objects: Iterable[Json]) -> bytes:
    """Return saved objects in the form that Kibana imports: one JSON object per line."""
    return b"".join(orjson.dumps(one, option=orjson.OPT_SORT_KEYS) + b"\n" for one in objects)


def write(path: Path, content: bytes) -> bool:
    """Write `content` when the file does not hold it yet; return whether it was written."""
    if path.exists() and path.read_bytes() == content:
        return False
    path.write_bytes(content)
    return True


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _saved(kind: str, name: str, prefix: str, attributes: Json, references: list[Json]) -> Json:
    return {
        "type": kind,
        "id": object_id(kind, name, prefix),
        "attributes": attributes,
        "references": references,
        "migrationVersion": {kind: LEVELS[kind]},
        "coreMigrationVersion": CORE_LEVEL,
    }


def _data_view(index: str, prefix: str) -> Json:
    empty_list, empty = "[]", "{}"
    attributes = {
        "title": f"{prefix}{index}*",
        "timeFieldName": "@timestamp",
        "fields": empty_list,
        "fieldAttrs": empty,
        "runtimeFieldMap": empty,
        "fieldFormatMap": empty,
        "sourceFilters": empty_list,
        "typeMeta": empty,
    }
    return _saved("index-pattern", index, prefix, attributes, [])


def _dashboard(dashboard: Dashboard, specification: Specification, types: FieldTypes, prefix: str) -> Json:
    panels = [_navigation(dashboard, specification, prefix)]
    references: list[Json] = []
    for panel, place in placed(dashboard):
        view = object_id("index-pattern", panel.index, prefix)
        lens = lens_attributes(panel, specification, view, dict(types[panel.index]))
        references += [{**one, "name": f"{panel.id}:{one['name']}"} for one in lens["references"]]
        panels.append(
            {
                "version": CORE_LEVEL,
                "type": "lens",
                "gridData": place,
                "panelIndex": panel.id,
                "title": panel.title,
                "embeddableConfig": {"attributes": lens, "enhancements": {}},
            }
        )
    for control in dashboard.controls:
        view = object_id("index-pattern", control.index, prefix)
        name = f"controlGroup_{_control_id(dashboard, control)}:optionsListDataView"
        references.append({"type": "index-pattern", "id": view, "name": name})
    attributes = {
        "title": _title(dashboard, prefix),
        "description": dashboard.description,
        "hits": 0,
        "panelsJSON": _json(panels),
        "optionsJSON": _json({"useMargins": True, "syncColors": False, "hidePanelTitles": False}),
        "controlGroupInput": _controls(dashboard),
        "timeRestore": True,
        "timeFrom": dashboard.time_from,
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": dashboard.refresh_seconds * 1000},
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": _json({"query": {"query": "", "language": "kuery"}, "filter": []})
        },
        "version": 1,
    }
    return _saved("dashboard", dashboard.id, prefix, attributes, references)


def _title(dashboard: Dashboard, prefix: str) -> str:
    return f"Vigie: {dashboard.title}" + (f" ({prefix.rstrip('-')})" if prefix else "")


def placed(dashboard: Dashboard) -> Iterator[tuple[Panel, Json]]:
    """Yield each panel with its place in the grid: left to right, a new row when the next does not fit."""
    x, y, height = 0, _NAVIGATION_HEIGHT, 0
    for panel in dashboard.panels:
        if x + panel.width > GRID_COLUMNS:
            x, y, height = 0, y + height, 0
        yield panel, {"x": x, "y": y, "w": panel.width, "h": panel.height, "i": panel.id}
        x, height = x + panel.width, max(height, panel.height)


def _navigation(dashboard: Dashboard, specification: Specification, prefix: str) -> Json:
    """Return the panel of links; relative to the page, so that they stay in the space they are opened in."""
    links = [
        f"**{one.title}**"
        if one is dashboard
        else f"[{one.title}](#/view/{object_id('dashboard', one.id, prefix)})"
        for one in specification.dashboards
    ]
    markdown = " · ".join(links) + "\n\n" + " ".join(filter(None, (dashboard.description, dashboard.note)))
    search = {"query": {"query": "", "language": "kuery"}, "filter": []}
    visualization = {
        "title": "Dashboards",
        "description": "",
        "type": "markdown",
        "params": {"fontSize": 12, "openLinksInNewTab": False, "markdown": markdown},
        "uiState": {},
        "data": {"aggs": [], "searchSource": search},
    }
    return {
        "version": CORE_LEVEL,
        "type": "visualization",
        "gridData": {"x": 0, "y": 0, "w": GRID_COLUMNS, "h": _NAVIGATION_HEIGHT, "i": NAVIGATION},
        "panelIndex": NAVIGATION,
        "embeddableConfig": {"savedVis": visualization, "hidePanelTitles": True, "enhancements": {}},
    }


def _control_id(dashboard: Dashboard, control: Control) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"control/{dashboard.id}/{control.field}"))


def _controls(dashboard: Dashboard) -> Json:
    panels = {}
    for position, control in enumerate(dashboard.controls):
        own = _control_id(dashboard, control)
        panels[own] = {
            "order": position,
            "width": "medium",
            "type": "optionsListControl",
            "explicitInput": {
                "id": own,
                "title": control.title,
                "fieldName": control.field,
                "selectedOptions": [],
                "enhancements": {},
            },
        }
    ignored = ("ignoreFilters", "ignoreQuery", "ignoreTimerange", "ignoreValidations")
    return {
        "controlStyle": "oneLine",
        "chainingSystem": "HIERARCHICAL",
        "panelsJSON": _json(panels),
        "ignoreParentSettingsJSON": _json(dict.fromkeys(ignored, False)),
    }

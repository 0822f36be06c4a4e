"""From a panel to a Lens visualisation by value, at the level of Kibana 8.3.

Later Kibanas migrate it forward by themselves; a newer level is refused by an older Kibana. Checked
against objects that a Kibana 8.3 accepted and drew.
"""

from __future__ import annotations

from typing import Any, Final

from vigie.dashboards.kql import kql
from vigie.dashboards.specification import (
    XY_CHARTS,
    Buckets,
    Metric,
    Panel,
    RangeBuckets,
    Reference,
    Specification,
    TermsBuckets,
    TimeBuckets,
)

LAYER: Final = "layer"
REFERENCE_LAYER: Final = "reference"
RECORDS: Final = "___records___"
"""What a column that counts documents has for a field."""
_OPERATIONS: Final = {"minimum": "min", "maximum": "max", "counter_rate": "max"}
"""The specification's name → Lens's, where they differ."""
_VISUALIZATIONS: Final = {"metric": "lnsMetric", "table": "lnsDatatable", "heatmap": "lnsHeatmap"}
_HEAT: Final = ("#E6F0F7", "#B3D3E8", "#74AFD3", "#2F86B9", "#0B4F7D")
"""One hue from light to dark, which any colour vision reads as more."""
_EVERYWHERE: Final = {"x": True, "yLeft": True, "yRight": True}

Json = dict[str, Any]


def lens_attributes(
    panel: Panel, specification: Specification, data_view: str, types: dict[str, str]
) -> Json:
    """Return the attributes of the panel's Lens object, references to the data view's id included.

    `types` has the type of each field of the panel's index.
    """
    layers = {LAYER: _layer(panel, types)}
    if panel.reference is not None:
        layers[REFERENCE_LAYER] = _reference_layer(panel.reference, panel.metrics[0].unit)
    names = [
        "indexpattern-datasource-current-indexpattern",
        *(f"indexpattern-datasource-layer-{name}" for name in layers),
    ]
    return {
        "title": panel.title,
        "description": panel.description,
        "visualizationType": _VISUALIZATIONS.get(panel.chart, "lnsXY"),
        "type": "lens",
        "references": [{"type": "index-pattern", "id": data_view, "name": name} for name in names],
        "state": {
            "visualization": _visualization(panel, specification),
            "query": {"query": kql(panel.where), "language": "kuery"},
            "filters": [],
            "datasourceStates": {"indexpattern": {"layers": layers}},
        },
    }


def bucket_id(number: int) -> str:
    """Return the id of the column of the panel's bucket at that position."""
    return f"by_{number}"


def _layer(panel: Panel, types: dict[str, str]) -> Json:
    columns: Json = {}
    for number, buckets in enumerate(panel.buckets):
        columns[bucket_id(number)] = _bucket_column(buckets, types[buckets.field])
    order = list(columns)
    if panel.time is not None and len(order) > 1:
        order.reverse()
    for metric in panel.metrics:
        columns |= _metric_columns(metric)
    order += [name for name in columns if name not in order]
    return {"columns": columns, "columnOrder": order, "incompleteColumns": {}}


def _bucket_column(buckets: Buckets, field_type: str) -> Json:
    column = {
        "label": buckets.label,
        "customLabel": True,
        "sourceField": buckets.field,
        "isBucketed": True,
    }
    match buckets:
        case TimeBuckets():
            own = {
                "dataType": "date",
                "operationType": "date_histogram",
                "scale": "interval",
                "params": {"interval": buckets.interval, "includeEmptyRows": True, "dropPartials": False},
            }
        case TermsBuckets():
            by_key = buckets.order == "key"
            own = {
                "dataType": {"keyword": "string", "boolean": "boolean"}.get(field_type, "number"),
                "operationType": "terms",
                "scale": "ordinal",
                "params": {
                    "size": buckets.size,
                    "orderBy": {"type": "alphabetical", "fallback": False}
                    if by_key
                    else {"type": "column", "columnId": buckets.order},
                    "orderDirection": "desc" if buckets.descending else "asc",
                    "otherBucket": False,
                    "missingBucket": False,
                    "parentFormat": {"id": "terms"},
                },
            }
        case RangeBuckets(edges=edges):
            ends: list[float | None] = [*edges[1:], None]
            ranges = [{"from": low, "to": high, "label": ""} for low, high in zip(edges, ends, strict=True)]
            own = {
                "dataType": "string",
                "operationType": "range",
                "scale": "ordinal",
                "params": {
                    "type": "range",
                    "ranges": ranges,
                    "maxBars": "auto",
                    "parentFormat": {
                        "id": "range",
                        "params": {"template": "arrow_right", "replaceInfinity": True},
                    },
                },
            }
    return {**column, **own}


def _metric_columns(metric: Metric) -> Json:
    """Return the column of `metric`, and the columns it is computed from."""
    column: Json = {"label": metric.title, "customLabel": True, **_numeric()}
    number_format = {
        "id": "percent" if metric.unit == "%" else "number",
        "params": {"decimals": metric.decimals},
    }
    if metric.operation == "share":
        return _share_columns(metric, column, number_format)
    own: Json = {
        "operationType": _OPERATIONS.get(metric.operation, metric.operation),
        "sourceField": metric.field or RECORDS,
    }
    if metric.where:
        own["filter"] = {"query": kql(metric.where), "language": "kuery"}
    if metric.operation == "counter_rate":
        counter = f"{metric.id}_counter"
        rate = {"operationType": "counter_rate", "references": [counter], "timeScale": "m"}
        return {
            metric.id: {**column, **rate, "params": {"format": number_format}},
            counter: {**column, **own, "label": f"Largest {metric.field}"},
        }
    parameters: Json = {"format": number_format}
    if metric.percentile is not None:
        parameters["percentile"] = metric.percentile
    return {metric.id: {**column, **own, "params": parameters}}


def _share_columns(metric: Metric, column: Json, number_format: Json) -> Json:
    condition, among = kql([*metric.among, *metric.where]), kql(metric.among)
    formula = f"count({_quoted(condition)}) / count({_quoted(among)})"
    part, whole, ratio = (f"{metric.id}X{number}" for number in range(3))
    inner = {**column, "label": f"Part of {metric.title}"}
    count = {**inner, "operationType": "count", "sourceField": RECORDS}
    of_which = {**count, "filter": {"query": among, "language": "kuery"}} if among else count
    division = {
        "type": "function",
        "name": "divide",
        "args": [part, whole],
        "location": {"min": 0, "max": len(formula)},
        "text": formula,
    }
    return {
        metric.id: {
            **column,
            "operationType": "formula",
            "params": {"formula": formula, "isFormulaBroken": False, "format": number_format},
            "references": [ratio],
        },
        part: {**count, "filter": {"query": condition, "language": "kuery"}},
        whole: of_which,
        ratio: {
            **inner,
            "operationType": "math",
            "params": {"tinymathAst": division},
            "references": [part, whole],
        },
    }


def _quoted(condition: str) -> str:
    """Return a condition as the argument of a formula's function; nothing for none."""
    escaped = condition.replace("\\", "\\\\").replace("'", "\\'")
    return f"kql='{escaped}'" if condition else ""


def _reference_layer(reference: Reference, unit: str) -> Json:
    column = {
        "label": reference.label,
        "customLabel": True,
        **_numeric(),
        "operationType": "static_value",
        "isStaticValue": True,
        "references": [],
        "params": {
            "value": str(reference.value),
            "format": {"id": "percent" if unit == "%" else "number", "params": {"decimals": 1}},
        },
    }
    return {"columns": {"value": column}, "columnOrder": ["value"], "incompleteColumns": {}}


def _numeric() -> Json:
    return {"dataType": "number", "isBucketed": False, "scale": "ratio"}


def _visualization(panel: Panel, specification: Specification) -> Json:
    base: Json = {"layerId": LAYER, "layerType": "data"}
    first = panel.metrics[0].id
    if panel.chart in XY_CHARTS:
        return _xy(panel, specification)
    if panel.chart == "metric":
        return {**base, "accessor": first}
    if panel.chart == "table":
        shown = [bucket_id(number) for number in range(len(panel.buckets))]
        return {**base, "columns": [{"columnId": name} for name in [*shown, *(m.id for m in panel.metrics)]]}
    stops = [{"color": colour, "stop": number * 20} for number, colour in enumerate(_HEAT)]
    return {
        **base,
        "shape": "heatmap",
        "xAccessor": bucket_id(0),
        "yAccessor": bucket_id(1),
        "valueAccessor": first,
        "legend": {"isVisible": True, "position": "right", "type": "heatmap_legend"},
        "gridConfig": {
            "type": "heatmap_grid",
            "isCellLabelVisible": False,
            "isYAxisLabelVisible": True,
            "isXAxisLabelVisible": True,
            "isYAxisTitleVisible": True,
            "isXAxisTitleVisible": True,
        },
        "palette": {
            "type": "palette",
            "name": "custom",
            "accessor": first,
            "params": {
                "name": "custom",
                "steps": len(stops),
                "continuity": "above",
                "reverse": False,
                "rangeType": "percent",
                "rangeMin": 0,
                "rangeMax": None,
                "stops": stops,
                "colorStops": stops,
            },
        },
    }


def _xy(panel: Panel, specification: Specification) -> Json:
    colours = specification.colours
    data: Json = {
        "layerId": LAYER,
        "layerType": "data",
        "seriesType": panel.chart,
        "xAccessor": bucket_id(0),
        "accessors": [metric.id for metric in panel.metrics],
    }
    if len(panel.buckets) > 1:
        data |= {"splitAccessor": bucket_id(1), "palette": {"type": "palette", "name": "default"}}
    else:
        coloured = [metric for metric in panel.metrics if metric.colour is not None]
        data["yConfig"] = [{"forAccessor": one.id, "color": colours[str(one.colour)]} for one in coloured]
    layers = [data]
    if panel.reference is not None:
        line = {
            "forAccessor": "value",
            "axisMode": "left",
            "color": colours["reference"],
            "lineStyle": "dashed",
            "lineWidth": 2,
            "fill": "none",
            "textVisibility": True,
        }
        layers.append(
            {
                "layerId": REFERENCE_LAYER,
                "layerType": "referenceLine",
                "accessors": ["value"],
                "yConfig": [line],
            }
        )
    chart: Json = {
        "preferredSeriesType": panel.chart,
        "legend": {"isVisible": True, "position": "bottom"},
        "valueLabels": "hide",
        "fittingFunction": "None",
        "xTitle": panel.buckets[0].label,
        "yTitle": panel.axis,
        "axisTitlesVisibilitySettings": _EVERYWHERE,
        "tickLabelsVisibilitySettings": _EVERYWHERE,
        "gridlinesVisibilitySettings": _EVERYWHERE,
        "layers": layers,
    }
    if panel.axis_bounds is not None:
        low, high = panel.axis_bounds
        chart["yLeftExtent"] = {"mode": "custom", "lowerBound": low, "upperBound": high}
    return chart

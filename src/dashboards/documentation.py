"""The page of the dashboards: each panel with the question it answers, its query and its chart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from vigie.dashboards.kql import kql
from vigie.dashboards.query import panel_query
from vigie.dashboards.specification import (
    Buckets,
    Dashboard,
    Metric,
    Panel,
    RangeBuckets,
    Specification,
    TermsBuckets,
    TimeBuckets,
)

INTRODUCTION: Final = """# Dashboards

Each panel is declared once, in [kibana/panels.yaml](../kibana/panels.yaml). From there come Kibana's saved
objects ([kibana/dashboards.ndjson](../kibana/dashboards.ndjson), written by `make dashboards`), the store
query that the tests run on the embedded store and on Elasticsearch, the charts of the built-in pages, and
this page (`make reference`).

The built-in pages draw the dashboards at `/dashboards` of the front end, in English and, by
[kibana/panels.fr.yaml](../kibana/panels.fr.yaml), in French. What is shown stands in the address, to be kept
or sent: `name=performance`, `last=24h` or `since=` and `until=` (ISO 8601; without an offset the wall clock
of DISPLAY_TIMEZONE), choices such as `model.version=1.0.0&status=ok`, `refresh=off`. Marking a part of a
chart over time narrows the time; under each chart are its numbers.

Import the saved objects in Kibana 8.3 or newer under *Stack Management → Saved objects → Import*, or let
`make provision` do it when KIBANA_URL is set. Ids are stable: a second import updates in place. Each
dashboard links to the others, restores its time range, refreshes by itself, and has lists to choose from;
a choice narrows every panel of the dashboard. Panels on the model's inputs and answers are written out from
the served model's `schema.yaml`; this page shows those of the reference model.
"""

ADDING: Final = """
## How to add a panel

1. Declare it in `kibana/panels.yaml`, under its dashboard, where it is to be read: panels are laid out from
   left to right on 48 columns. The title says what the reader learns, the description how to read it.
   `index`, `where`, `buckets` and `metrics` make the query; `chart` is one of metric, table, line, area, bar,
   bar_stacked, bar_percentage_stacked, bar_horizontal, heatmap. A colour is a meaning of `colours`, never a
   value. With `for_each: binary inputs` (numeric inputs, category inputs) a panel is written out for each
   such input of the model. Its French is in `kibana/panels.fr.yaml`: title and description by the panel's id,
   labels by their English words; a text that is missing or left over is refused.
2. Run `make dashboards`. A mistake is refused with panel and field named; so is a field that the mappings do
   not have, or have with a type the operation does not take.
3. Say in `tests/dashboards/expected.py` what the right answer is, in plain Python over the events. The tests
   refuse a panel without one.
4. Run `make reference`, then `make test` and `make test-elastic`.
"""

_UNTIL: Final = datetime(2026, 11, 20, tzinfo=UTC)
"""An end for the searches shown; any will do, but it must not change."""

OPERATIONS: Final = {
    "count": "number of documents",
    "average": "mean of `{field}`",
    "sum": "sum of `{field}`",
    "minimum": "smallest `{field}`",
    "maximum": "largest `{field}`",
    "percentile": "percentile {percentile:g} of `{field}`",
    "unique_count": "number of different `{field}`",
    "share": "part of the documents",
    "counter_rate": "growth per minute of the counter `{field}`",
}


def dashboards_page(specification: Specification) -> str:
    """Return the page in Markdown."""
    return "".join([INTRODUCTION, *map(_dashboard, specification.dashboards), ADDING])


def _dashboard(dashboard: Dashboard) -> str:
    controls = ", ".join(f"{control.title} (`{control.field}`)" for control in dashboard.controls)
    head = (
        f"\n## {dashboard.title}\n\n{dashboard.description} {dashboard.note}".rstrip()
        + f"\n\nShows `{dashboard.time_from}` to `now`, refreshes every {dashboard.refresh_seconds} s. "
        f"To choose from: {controls}.\n"
    )
    return head + "".join(map(_panel, dashboard.panels))


def _panel(panel: Panel) -> str:
    lines = [f"- Documents: `{panel.index}`" + (f" where `{kql(panel.where)}`" if panel.where else "")]
    if panel.buckets:
        lines.append(f"- By: {'; '.join(map(_bucket, panel.buckets))}")
    lines.append(f"- Shows: {'; '.join(_metrics(panel.metrics))} ({panel.chart.replace('_', ' ')})")
    if panel.reference is not None:
        lines.append(f"- Compared with: {panel.reference.label.lower()}, {panel.reference.value:g}")
    head = f"\n### {panel.title}\n\n`{panel.id}`. {panel.description}\n\n"
    return head + "\n".join(lines) + "\n" + _search(panel)


def _bucket(buckets: Buckets) -> str:
    match buckets:
        case TimeBuckets():
            length = "as fits the range" if buckets.interval == "auto" else f"{buckets.interval} or longer"
            return f"`{buckets.field}`, {length}"
        case TermsBuckets():
            by = "its own value" if buckets.order == "key" else buckets.order
            way = ", largest first" if buckets.descending else ""
            return f"`{buckets.field}`, the first {buckets.size} ordered by {by}{way}"
        case RangeBuckets(edges=edges):
            return f"`{buckets.field}` in ranges from {', '.join(f'{edge:g}' for edge in edges)}"


def _metrics(metrics: Iterable[Metric]) -> Iterator[str]:
    for metric in metrics:
        what = OPERATIONS[metric.operation].format(field=metric.field, percentile=metric.percentile or 0)
        condition = f" of `{kql(metric.among)}`" if metric.among else ""
        condition += f" where `{kql(metric.where)}`" if metric.where else ""
        unit = f", in {metric.unit}" if metric.unit else ""
        yield f"{metric.label}: {what}{condition}{unit}"


def _search(panel: Panel) -> str:
    """Return the panel's search over a day, folded away."""
    query = panel_query(panel, _UNTIL - timedelta(days=1), _UNTIL)
    body = orjson.dumps(query.body, option=orjson.OPT_INDENT_2).decode()
    return (
        f"\n<details><summary>Its search over a day</summary>\n\n"
        f"```\nPOST /{query.index}/_search\n{body}\n```\n\n</details>\n"
    )

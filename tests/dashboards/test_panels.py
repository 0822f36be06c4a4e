"""Each panel's query, run on the store, against answers computed from the events in plain Python."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.dashboards.conftest import Seeded
from tests.dashboards.expected import Asked, Number, Percentile, expected_answers
from tests.dashboards.seed import DAYS, FROM_SERVICES, START
from tests.servers import ROOT

from vigie.dashboards.query import panel_query
from vigie.dashboards.result import panel_rows
from vigie.dashboards.specification import Condition, Panel, Specification, load_specification
from vigie.schema import FeatureSchema, load_schema

SCHEMA = load_schema(ROOT / "model" / "lung_cancer")
PANELS = {panel.id: panel for _, panel in load_specification(ROOT / "kibana" / "panels.yaml", SCHEMA).panels}
ANSWERS = expected_answers(SCHEMA)
WINDOWS = {
    "both days": (START, START + timedelta(days=DAYS)),
    "an hour": (FROM_SERVICES + timedelta(minutes=15), FROM_SERVICES + timedelta(minutes=75)),
    "a time without events": (START - timedelta(days=20), START - timedelta(days=19)),
}
UNORDERED = {"throughput", "retries"}
"""Panels whose series have no order of their own."""


def same(answer: float | None, wanted: Number) -> bool:
    """Whether a store's number is the right one."""
    if isinstance(wanted, Percentile):
        return wanted.accepts(answer)
    return answer == (None if wanted is None else pytest.approx(wanted, rel=1e-9, abs=1e-9))


def test_each_panel_has_a_right_answer() -> None:
    """A new panel needs its expected answer, and none is left over."""
    assert set(ANSWERS) == set(PANELS)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("panel", PANELS.values(), ids=lambda panel: panel.id)
def test_the_store_gives_the_right_answer(seeded: Seeded, panel: Panel, window: str) -> None:
    """The panel's query finds what plain Python finds: the same buckets, the same numbers."""
    since, until = WINDOWS[window]
    query = panel_query(panel, since, until, seeded.prefix)
    answer = seeded.client.search(index=query.index, body=query.body)
    rows = panel_rows(panel, query, answer.body)
    wanted = ANSWERS[panel.id](Asked.of(seeded.events, since, until, query.interval_seconds))
    keys = [row.keys for row in rows]
    if panel.id in UNORDERED:
        assert sorted(keys) == sorted(wanted)
    else:
        assert keys == list(wanted)
    wrong = [
        f"{row.keys} {name}: {value}, not {wanted[row.keys][name]}"
        for row in rows
        for name, value in row.values.items()
        if not same(value, wanted[row.keys][name])
    ]
    assert wrong == []
    assert all(row.values.keys() == wanted[row.keys].keys() for row in rows)


def test_every_panel_shows_data_of_the_hour(seeded: Seeded, specification: Specification) -> None:
    """No panel stays empty where there was traffic, so no answer above was right by being empty."""
    since, until = WINDOWS["an hour"]
    empty = []
    for _, panel in specification.panels:
        query = panel_query(panel, since, until, seeded.prefix)
        rows = panel_rows(panel, query, seeded.client.search(index=query.index, body=query.body).body)
        if not any(value for row in rows for value in row.values.values()):
            empty.append(panel.id)
    assert empty == []


def test_a_choice_narrows_the_panel(seeded: Seeded, specification: Specification) -> None:
    """A condition from a dashboard's control leaves the documents that fulfil it."""
    since, until = WINDOWS["both days"]
    panel = PANELS["predictions_answered"]
    chosen = Condition.model_validate({"field": "model.version", "is": "1.1.0"})
    query = panel_query(panel, since, until, seeded.prefix, [chosen])
    (row,) = panel_rows(panel, query, seeded.client.search(index=query.index, body=query.body).body)
    events = Asked.of(seeded.events, since, until, None).answered
    assert row.values == {
        "predictions": sum(event["data"]["model"]["version"] == "1.1.0" for event in events)
    }


def test_another_model_has_its_panels_written_out(seeded: Seeded, schema: FeatureSchema) -> None:
    """Every example's panels are answered too: without documents, empty, but never refused."""
    since, until = WINDOWS["both days"]
    for example in sorted((ROOT / "examples").iterdir()):
        other = load_specification(ROOT / "kibana" / "panels.yaml", load_schema(example))
        for _, panel in other.panels:
            if panel.id not in PANELS:
                query = panel_query(panel, since, until, seeded.prefix)
                answer = seeded.client.search(index=query.index, body=query.body)
                rows = panel_rows(panel, query, answer.body)
                assert not any(value for row in rows for value in row.values.values()), panel.id

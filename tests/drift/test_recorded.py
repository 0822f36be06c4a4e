"""The scheduled check's verdicts, read again: window by window, and since when a feature drifts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.drift.traffic import events, older_and_more_tired, refresh, rows, store

from vigie.drift.check import Served, predictions_of
from vigie.drift.effect_size import index_by_chance, population_stability_index
from vigie.drift.recorded import RecordedWindow, recorded, report_of, running
from vigie.drift.window import Place
from vigie.indices.mappings import MESSAGE
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.drift_watch import DriftWatch
from vigie.logs_pipeline.pipeline import run_once
from vigie.schema import FeatureSchema
from vigie.settings import Settings

BEGIN = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)


def figures(settings: Settings, window: int) -> dict[str, dict[str, Any]]:
    """What the documents of one window say, by feature."""
    with connect_store(settings.store) as client:
        hits = client.search(
            index=f"{settings.store.es_index_prefix}{MESSAGE}",
            size=100,
            query={"bool": {"filter": [{"term": {"doc_type": "drift"}}, {"term": {"drift.window": window}}]}},
        )["hits"]["hits"]
    return {hit["_source"]["drift"]["feature"]: hit["_source"]["drift"] for hit in hits}


def test_the_newest_window_is_judged_again_as_it_was_recorded(
    settings: Settings, package_path: Path, schema: FeatureSchema, served: Served
) -> None:
    """Same rows, same effect sizes, p-values, verdicts and alarms, though windows share instants at their ends."""
    records = [*rows(schema, 100, 1), *rows(schema, 120, 2, older_and_more_tired)]
    store(settings, events(package_path, records, BEGIN, tied=7))
    with predictions_of(settings, served) as predictions:
        assert recorded(predictions) == []
        assert DriftWatch(settings, grace_seconds=0, rows=50).look() == 4
        run_once(settings)
        refresh(settings)
        windows = recorded(predictions)
        report = report_of(predictions, served, windows)
        first = report_of(predictions, served, windows[-1:])
    assert [one.number for one in windows] == [4, 3, 2, 1]
    assert {one.rows for one in windows} == {50}
    written = figures(settings, 4)
    assert report.rows == 50
    for one in report.judgements:
        was = written[one.feature]
        assert (one.psi, one.p_value, one.verdict, one.alarm) == (
            was["psi"], was["p_value"], was["verdict"], was["alarm"],
        ), one.feature  # fmt: skip
    assert {one.feature for one in report.judgements} == set(written)
    assert "AGE" in report.alarmed
    assert [one.number for one in running(windows, "AGE")] == [4, 3]
    assert running(windows, "SMOKING") == []
    assert (first.rows, first.quality_before) == (50, None)


@pytest.mark.parametrize(
    ("numbers", "drifted", "expected"),
    [
        ([5, 4, 3], [True, True, False], [5, 4]),
        ([5, 4, 3], [False, True, True], []),
        ([5, 3], [True, True], [5]),
        ([], [], []),
    ],
)
def test_only_windows_in_a_row_count(numbers: list[int], drifted: list[bool], expected: list[int]) -> None:
    """A window between that is not known may have had no verdict: nothing is said beyond it."""
    place = Place("2026-11-20T22:00:00.000000Z", "p", 1)
    windows = [
        RecordedWindow(number, place.timestamp, place, 500, ("AGE",) if there else (), ())
        for number, there in zip(numbers, drifted, strict=True)
    ]
    assert [one.number for one in running(windows, "AGE")] == expected


def test_the_index_by_chance_is_passed_by_one_window_in_twenty() -> None:
    """Of windows drawn like the reference, 95 of 100 stay below it, at small and at large sizes alike."""
    chance = np.random.default_rng(3)
    shares = np.full(10, 0.1)
    for rows_of_window in (60, 500):
        passed = 0
        for _ in range(200):
            reference = chance.multinomial(16_000, shares).tolist()
            window = chance.multinomial(rows_of_window, shares).tolist()
            bound = index_by_chance(reference, window, draws=400)
            passed += population_stability_index(reference, window) > bound
        assert 2 <= passed <= 22, (rows_of_window, passed)
    assert index_by_chance([1, 2], [0, 0]) == 0.0


def test_a_window_that_was_cut_while_reading_is_left_out(
    settings: Settings,
    package_path: Path,
    schema: FeatureSchema,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a history longer than is read, the oldest window may lack verdicts: it is not shown as stable."""
    store(
        settings, events(package_path, rows(schema, 160, 5, older_and_more_tired), BEGIN + timedelta(hours=1))
    )
    assert DriftWatch(settings, grace_seconds=0, rows=50).look() == 3
    run_once(settings)
    refresh(settings)
    monkeypatch.setattr("vigie.drift.recorded.MOST_READ", 33)
    with predictions_of(settings, served) as predictions:
        windows = recorded(predictions)
    assert [one.number for one in windows] == [3, 2]

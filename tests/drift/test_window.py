"""Windows of predictions in the store: their ends, and what the store counts in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.drift.traffic import events, refused, rows, store, window_of
from tests.model.schemas import mixed_schema
from tests.servers import free_port

from vigie.drift.check import Period, Served, check, predictions_of
from vigie.drift.data_quality import Refusals, classify, refusals
from vigie.drift.window import DriftError, Place, Window, instant
from vigie.schema import FeatureSchema
from vigie.settings import Settings

BEGIN = datetime(2026, 11, 20, 23, 59, 59, 500_000, tzinfo=UTC)
"""Windows cross midnight, and so two indices."""


@pytest.mark.every_store
def test_each_prediction_is_in_one_window_and_counted_exactly(
    settings: Settings, served: Served, package_path: Path, schema: FeatureSchema
) -> None:
    """Windows of ten among predictions of the same instants: their counts are those of their own rows."""
    records = rows(schema, 73, 5)
    found = events(package_path, records, BEGIN)
    store(settings, found)
    ordered = sorted(
        zip(found, records, strict=True), key=lambda one: (one[0][2]["timestamp"], one[0][0], one[0][1])
    )
    with predictions_of(settings, served) as predictions:
        after: Place | None = None
        for start in range(0, 70, 10):
            last = predictions.following(after, skip=9)
            producer, number, event = ordered[start + 9][0]
            assert last == Place(event["timestamp"], producer, number)
            counted = predictions.count(Window.between(after, last))
            expected = window_of(package_path, [row for _, row in ordered[start : start + 10]])
            assert counted.rows == 10
            for name, profile in expected.features.items():
                assert counted.features[name].cells == profile.cells
            assert counted.features["AGE"].mean == pytest.approx(expected.features["AGE"].mean)
            assert counted.labels.cells == expected.labels.cells
            assert counted.probability is not None
            assert expected.probability is not None
            assert counted.probability.cells == expected.probability.cells
            after = last
        assert predictions.following(after, skip=3) is None, "three are left, which fill no window"
        newest = predictions.newest()
        assert newest is not None
        assert predictions.newest(Window.between(None, newest), skip=72) == predictions.following(None, 0)
        assert predictions.newest(skip=73) is None


def test_only_answered_predictions_of_the_version_count(
    settings: Settings, served: Served, package_path: Path, schema: FeatureSchema
) -> None:
    """A window by time holds neither refused requests nor another version's predictions."""
    found = events(package_path, rows(schema, 60, 6), BEGIN)
    other = events(package_path, rows(schema, 5, 7), BEGIN, numbers=100)
    for _, _, event in other:
        event["data"]["model"] = {**event["data"]["model"], "version": "2.0.0"}
    store(settings, [*found, *other, refused(200, BEGIN, {"field": "AGE", "reason": "is required"})])
    period = Period(BEGIN, BEGIN + timedelta(seconds=1))
    with predictions_of(settings, served) as predictions:
        report = check(predictions, served, period)
    assert (report.rows, report.quality.requests, report.quality.refused) == (60, 61, 1)
    assert report.first is not None
    assert report.first.timestamp == instant(BEGIN)
    with predictions_of(settings, served, "2.0.0") as predictions:
        assert check(predictions, served, period).rows == 5
        assert check(predictions, served, period).judged is False
        assert check(predictions, served, period.before).rows == 0


@pytest.mark.every_store
def test_refused_requests_are_told_by_field_and_reason(
    settings: Settings, served: Served, package_path: Path, schema: FeatureSchema
) -> None:
    """The share has its interval, each reason its count, and a change from the window before is told."""
    at = BEGIN + timedelta(milliseconds=3)
    age = {"field": "AGE", "reason": "must be a whole number from 0 to 120; got 130"}
    wrong = [refused(100 + n, at, age, {"field": "GENDER", "reason": "is required"}) for n in range(12)]
    whole = refused(200, at, {"field": "", "reason": "is not valid JSON: line 1"})
    unknown = refused(201, at, {"field": "AGEE", "reason": "is not a feature of this model"})
    store(settings, [*events(package_path, rows(schema, 80, 8), BEGIN), *wrong, whole, unknown])
    with predictions_of(settings, served) as predictions:
        found = refusals(predictions, Period(BEGIN, BEGIN + timedelta(seconds=1)).window, schema)
    assert (found.requests, found.refused, found.read) == (94, 14, 14)
    assert found.reasons == {
        "": {"not readable": 1, "unknown field": 1},
        "AGE": {"out of range": 12},
        "GENDER": {"missing": 12},
    }
    low, high = found.interval()
    assert (low, high) == pytest.approx((0.0908, 0.2345), abs=1e-3)
    assert found.changed_from(Refusals(94, 1, {}, 1)) < 0.001
    assert found.changed_from(Refusals(94, 13, {}, 13)) > 0.5


@pytest.mark.parametrize(
    ("feature", "reason", "expected"),
    [
        ("YEARS", "must be a whole number from 0 to 40; got 41", "out of range"),
        ("YEARS", "must be a whole number from 0 to 40; got 12.5", "wrong type"),
        ("YEARS", "must be a whole number from 0 to 40; got true", "wrong type"),
        ("YEARS", 'must be a whole number from 0 to 40; got "12"', "wrong type"),
        ("YEARS", "must be a whole number from 0 to 40; got null", "missing"),
        ("YEARS", "must be a whole number from 0 to 40; got an object", "wrong type"),
        ("YEARS", "is given twice, in both spellings", "not readable"),
        ("monthly_spend", "must be a finite number from 0 to 500; got -1e300", "out of range"),
        ("ONLINE", "must be 0 or 1; got 2", "out of range"),
        ("ONLINE", "is required", "missing"),
        ("PLAN", 'must be one of Basic, Plus, Pro; got "Gold"', "new category"),
        ("PLAN", 'must be one of Basic, Plus, Pro; got "a very long text that was c…', "new category"),
        ("PLAN", "must be one of Basic, Plus, Pro; got 3", "wrong type"),
        (None, "is not valid JSON: line 1", "not readable"),
    ],
)
def test_a_reason_is_understood(tmp_path: Path, feature: str | None, reason: str, expected: str) -> None:
    """The API's words for a refused value become one of a few kinds."""
    schema = mixed_schema(tmp_path)
    assert classify(schema.by_name[feature] if feature else None, reason) == expected


def test_a_store_that_is_away_is_named(settings: Settings, served: Served) -> None:
    """Whatever was asked, the error says where the store was looked for."""
    away = settings.model_copy(update={"store": settings.store.model_copy(update={"es_port": free_port()})})
    with (
        predictions_of(away, served, timeout=5) as predictions,
        pytest.raises(DriftError, match="does not answer"),
    ):
        check(predictions, served)


def test_a_window_by_count_has_a_bound(settings: Settings, served: Served) -> None:
    """The store looks 10,000 hits ahead; more rows are asked for by time."""
    with predictions_of(settings, served) as predictions, pytest.raises(DriftError, match="by time"):
        check(predictions, served, 10_000)


def test_an_empty_store_has_nothing_to_judge(settings: Settings, served: Served) -> None:
    """Without any prediction there is a report, and it says so."""
    with predictions_of(settings, served) as predictions:
        report = check(predictions, served)
    assert (report.rows, report.judged, report.alarmed) == (0, False, ())
    assert "cannot be judged: 0 predictions" in report.conclusion

"""The scheduled verdicts on quality, read again: the newest of each version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.quality.documents import PRODUCER, store

from vigie.drift.check import Served, predictions_of
from vigie.drift.window import instant
from vigie.quality.recorded import recorded
from vigie.settings import Settings

AT = datetime(2026, 11, 19, 12, 0, tzinfo=UTC)


def verdict(number: int, version: str, at: datetime, outcomes: int) -> dict[str, Any]:
    """The document of a verdict."""
    return {
        "@timestamp": instant(at),
        "doc_type": "quality",
        "producer": PRODUCER,
        "number": number,
        "model": {"name": "lung_cancer", "version": version, "runtime": "onnx"},
        "quality": {
            "verdict": "fine",
            "outcomes": outcomes,
            "predictions": 2 * outcomes,
            "since": instant(at),
            "until": instant(at),
        },
    }


def test_the_newest_verdict_of_each_version_is_found(settings: Settings, served: Served) -> None:
    """Versions that are no longer served are there too, and other models are not."""
    other = verdict(9, "1.0.0", AT + timedelta(hours=9), 900)
    other["model"]["name"] = "somebody_elses"
    store(
        settings,
        [
            verdict(1, "0.9.0", AT, 70),
            verdict(2, "0.9.0", AT + timedelta(minutes=10), 80),
            verdict(3, "1.0.0", AT + timedelta(minutes=20), 50),
            verdict(4, "1.0.0", AT + timedelta(minutes=30), 60),
            other,
        ],
    )
    with predictions_of(settings, served) as predictions:
        found = recorded(predictions)
    assert [(one.version, one.figures["outcomes"]) for one in found] == [("1.0.0", 60), ("0.9.0", 80)]
    assert found[1].at == instant(AT + timedelta(minutes=10))


def test_without_verdicts_there_are_none(settings: Settings, served: Served) -> None:
    """A store that has none yet is no error."""
    with predictions_of(settings, served) as predictions:
        assert recorded(predictions) == []

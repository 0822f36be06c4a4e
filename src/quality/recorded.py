"""The verdicts on quality that the scheduled check has written: the newest of each model version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vigie.drift.window import Predictions
from vigie.quality.outcomes import MOST_VERSIONS, VERSION
from vigie.telemetry.event import QUALITY
from vigie.telemetry.quality_figures import QualityFigures


@dataclass(frozen=True, slots=True)
class RecordedQuality:
    """The newest verdict on one version."""

    version: str
    at: str
    """When it was written."""
    figures: QualityFigures


def recorded(predictions: Predictions) -> list[RecordedQuality]:
    """Return the newest verdict on each version of the model, the newest first. Raises DriftError."""
    conditions: list[dict[str, Any]] = [
        {"term": {"doc_type": QUALITY}},
        {"term": {"model.name": predictions.model.name}},
        {"exists": {"field": "quality.since"}},
    ]
    order = [{"_key": "asc"}]
    answer = predictions.search(
        size=0,
        track_total_hits=False,
        query={"bool": {"filter": conditions}},
        aggs={"versions": {"terms": {"field": VERSION, "size": MOST_VERSIONS, "order": order}}},
    )
    buckets = answer.get("aggregations", {}).get("versions", {}).get("buckets", ())
    found = [_newest(predictions, conditions, str(bucket["key"])) for bucket in buckets]
    return sorted((one for one in found if one is not None), key=lambda one: one.at, reverse=True)


def _newest(
    predictions: Predictions, conditions: list[dict[str, Any]], version: str
) -> RecordedQuality | None:
    hits = predictions.search(
        size=1,
        query={"bool": {"filter": [*conditions, {"term": {VERSION: version}}]}},
        sort=[{"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"}],
        source=["@timestamp", "quality"],
        track_total_hits=False,
    )["hits"]["hits"]
    for hit in hits:
        source: Mapping[str, Any] = hit["_source"]
        return RecordedQuality(version, str(source["@timestamp"]), source["quality"])
    return None

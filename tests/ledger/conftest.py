"""An installation of its own for each test: an empty Redis, a prefix in the store, a home."""

from __future__ import annotations

import orjson
from elasticsearch import Elasticsearch
from tests.logs_pipeline.events import PRODUCER

from vigie.ledger.report import Report, Row
from vigie.settings import Settings


def delete(store: Elasticsearch, settings: Settings, index: str, number: int) -> None:
    """Delete the document of one event from an index."""
    physical = f"{settings.store.es_index_prefix}{index}-2026.11.20"
    operation = orjson.dumps({"delete": {"_index": physical, "_id": f"{PRODUCER}-{number}"}})
    answer = store.bulk(operations=[operation], refresh=True)
    assert answer["items"][0]["delete"]["status"] == 200


OF_THE_PIPELINE = {"pipeline", "drift", "quality"}
"""Roles of the producers that a running pipeline brings along: itself, and its verdicts."""


def only(report: Report) -> Row:
    """The one row of a report, beside a running pipeline's own."""
    (row,) = (found for found in report.rows if found.role not in OF_THE_PIPELINE)
    return row

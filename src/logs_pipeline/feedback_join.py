"""Outcomes and their predictions: what the store has of both, and the joined document."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import orjson
from elasticsearch import ApiError, Elasticsearch, TransportError

from vigie.indices.mappings import MESSAGE
from vigie.logs_pipeline.filter import Document

LENIENT: Final[Mapping[str, Any]] = {"ignore_unavailable": True, "allow_no_indices": True}
MOST_HITS: Final = 10_000
"""Documents that the store gives at once: one prediction and a few outcomes for each id asked for."""
SECONDS: Final = 2.0
"""How long a batch with outcomes waits for the store to name their predictions."""
REST_SECONDS: Final = 30.0
"""How long the store is left alone after it did not."""
_TAKEN: Final = ("input_data", "subject_id")
_SHOWN: Final = ("prediction", "label", "probability")
Source = dict[str, Any]
Hit = Mapping[str, Any]


@dataclass(slots=True)
class Known:
    """What the store has under one transaction id."""

    prediction: Source | None = None
    """The answered prediction."""
    outcomes: list[Hit] = field(default_factory=list)
    """The documents of its outcomes, in the order in which they were recorded."""


def known(
    client: Elasticsearch, prefix: str, transaction_ids: Collection[str], seconds: float
) -> dict[str, Known]:
    """Return what the store has under each id; asked once, for `seconds` at most.

    Raises ApiError or TransportError.
    """
    found: dict[str, Known] = defaultdict(Known)
    clauses = [
        {"terms": {"transaction_id": sorted(transaction_ids)}},
        {"terms": {"doc_type": ["prediction", "feedback"]}},
    ]
    answer = client.options(request_timeout=seconds).search(
        index=f"{prefix}{MESSAGE}",
        query={"bool": {"filter": clauses}},
        size=MOST_HITS,
        seq_no_primary_term=True,
        track_total_hits=False,
        **LENIENT,
    )
    for hit in answer["hits"]["hits"]:
        source = hit["_source"]
        one = found[source["transaction_id"]]
        if source["doc_type"] == "feedback":
            one.outcomes.append(hit)
        elif source.get("status") == "ok":
            one.prediction = source
    for one in found.values():
        one.outcomes.sort(key=lambda hit: _recorded(hit, one.outcomes))
    return found


def _recorded(hit: Hit, others: Iterable[Hit]) -> tuple[str, int]:
    """Return when an outcome was recorded: one producer's numbers say it better than any clock."""
    source = hit["_source"]
    same = len({other["_source"]["producer"] for other in others}) == 1
    return ("" if same else source["@timestamp"], source["number"])


def joined(outcome: Source, prediction: Source) -> Source:
    """Return the document of an outcome with what its prediction's document says."""
    about = outcome["outcome"]
    result = prediction.get("result") or {}
    model = prediction.get("model") or {}
    lag = datetime.fromisoformat(about["at"]) - datetime.fromisoformat(prediction["@timestamp"])
    more = {
        "joined": True,
        "correct": result.get("label") == about["label"],
        "lag_ms": max(0.0, lag.total_seconds() * 1000),
        "predicted_at": prediction["@timestamp"],
    }
    return {
        **outcome,
        "outcome": {**about, **more},
        "model": {name: model[name] for name in ("name", "version") if name in model},
        "result": {name: result[name] for name in _SHOWN if name in result},
        **{name: prediction[name] for name in _TAKEN if name in prediction},
    }


def joined_if_sound(outcome: Source, prediction: Source) -> Source | None:
    """Return the joined document; None for one that a foreign program wrote with a time that is none."""
    try:
        return joined(outcome, prediction)
    except (ValueError, TypeError, KeyError):
        return None


class OutcomeJoiner:
    """Joins the outcomes of a batch before they are indexed, by one request; shared by a worker's threads.

    What it cannot join goes into the store as it is, and is joined by the watch: a store that is slow or away
    is not asked again for a while, so that nothing waits for it.
    """

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._asking_again = 0.0

    def join(self, documents: Sequence[Document]) -> list[Document]:
        """Return the documents, outcomes joined where that is all there is to do.

        A correction, and an outcome that is not the only one of its prediction, change another document too:
        they are left for the watch.
        """
        ids = Counter(document.prediction for document in documents if document.prediction)
        if not ids or time.monotonic() < self._asking_again:
            return list(documents)
        try:
            found = known(self._client, self._prefix, ids, SECONDS)
        except (ApiError, TransportError):
            self._asking_again = time.monotonic() + REST_SECONDS
            return list(documents)
        return [
            _at_once(document, found.get(document.prediction)) if ids[document.prediction] == 1 else document
            for document in documents
        ]


def _at_once(document: Document, found: Known | None) -> Document:
    if found is None or found.prediction is None or found.outcomes:
        return document
    source = orjson.loads(document.source)
    if source["outcome"]["correction"]:
        return document
    whole = joined_if_sound(source, found.prediction)
    return document if whole is None else replace(document, source=orjson.dumps(whole))

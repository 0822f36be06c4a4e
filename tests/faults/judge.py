"""The judge of delivery: the client's own list against what the store holds, and beside it the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import httpx
from tests.faults.client import Load
from tests.faults.place import Place

from vigie.ledger.proof import verify

KINDS: Final = {"ml-api-logs": "prediction", "ml-api-message": "prediction", "ml-api-perfs": "request"}
"""Index → kind of the one document that every answered prediction has there."""
PAGE: Final = 5000
ASKED_AGAIN: Final = 5
NOT_ASKED: Final = "the store's documents were not counted"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the platform says of itself."""

    dropped: int
    unaccounted: int
    """Numbers that are nowhere; where there are none, the number of other disagreements."""
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The client's list beside the store, in events."""

    lost: int
    """Answered, not stored, and not declared dropped."""
    duplicated: int
    """Stored more than once in an index."""
    unknown: int
    """Stored, although no request that may have made it was sent."""
    dropped: int
    """Declared dropped."""


def read_ledger(place: Place) -> Ledger:
    """Have the ledger measured; again when a busy store did not answer in time, which proves nothing."""
    report = verify(place.settings)
    for _ in range(ASKED_AGAIN):
        if not any(NOT_ASKED in problem for problem in report.problems):
            break
        report = verify(place.settings)
    found, problems = report.as_dict(), tuple(report.problems)
    return Ledger(found["totals"]["dropped"], found["totals"]["missing"] or len(problems), problems)


def judge(place: Place, load: Load, dropped: int) -> Judgement:
    """Compare `load`'s list of answers with what each index holds of it; `dropped` events were declared."""
    missing: set[str] = set()
    doubled: set[str] = set()
    unknown: set[str] = set()
    for index, kind in KINDS.items():
        stored = stored_by(place, index, kind, load.label)
        counts = Counter(transaction for transaction, _ in stored)
        missing |= load.answered - counts.keys()
        doubled |= {transaction for transaction, count in counts.items() if count > 1}
        unknown |= {
            transaction
            for transaction, request in stored
            if transaction not in load.answered and request not in load.unanswered
        }
    return Judgement(max(0, len(missing) - dropped), len(doubled), len(unknown), dropped)


def stored_by(place: Place, index: str, kind: str, label: str) -> list[tuple[str, str]]:
    """Return transaction and request id of every document of `kind` whose request's id begins with `label`."""
    name = f"{place.settings.store.es_index_prefix}{index}"
    found: list[tuple[str, str]] = []
    with httpx.Client(base_url=place.store_url, timeout=60) as client:
        client.post(f"/{name}/_refresh").raise_for_status()
        body: dict[str, Any] = {
            "size": PAGE,
            "_source": ["transaction_id", "correlation_id"],
            "query": {
                "bool": {
                    "filter": [{"prefix": {"correlation_id": f"{label}-"}}, {"term": {"doc_type": kind}}]
                }
            },
            "sort": [{"producer": "asc"}, {"number": "asc"}],
            "track_total_hits": True,
        }
        while True:
            answer = client.post(f"/{name}/_search", json=body)
            answer.raise_for_status()
            total, hits = answer.json()["hits"]["total"]["value"], answer.json()["hits"]["hits"]
            found += [(hit["_source"]["transaction_id"], hit["_source"]["correlation_id"]) for hit in hits]
            if len(hits) < PAGE:
                # copies of one document stand side by side in this order: a page must not end between them
                assert len(found) == total, f"{index}: read {len(found)} of {total} documents"
                return found
            body["search_after"] = hits[-1]["sort"]

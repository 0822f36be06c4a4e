"""The judge of delivery: the client's own list against what the store holds, and beside it the ledger.

Where no bound is reached nothing may be dropped, and every answered event that is not stored is lost: the
ledger has no say. Where a disk was full the platform may drop events by declaration, and then the judge can
show less, since an answer does not tell its event's number:

- No event is stored in part: a dropped one is in no index.
- By number: each number of a producer that declared drops is stored or declared, never neither or both. The
  stored ones are read from the store; how many there are, and which are declared, Redis says.
- By count: at least as many are declared as answered events are missing, and hardly more: beside those only
  reports of the services, and the events of requests that were not answered, can have been dropped.

What it cannot show there is an answered event that never had a number and is missing in place of one of
these few others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import httpx
from tests.faults.client import ROWS, Load
from tests.faults.faults import seen
from tests.faults.place import Place

from vigie.ledger.proof import verify
from vigie.telemetry.stream.ledger_state import ProducerState
from vigie.telemetry.stream.number_set import NumberSet

KINDS: Final = {"ml-api-logs": "prediction", "ml-api-message": "prediction", "ml-api-perfs": "request"}
"""Index → kind of the one document that every answered prediction has there."""
LOGS: Final = "ml-api-logs"
PAGE: Final = 5000
FEW_REPORTS: Final = 20
"""More than the services say of themselves while a disk is full, at one report of each in 30 s."""
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
    """Answered and not stored; where drops are allowed, those at least of which no declaration says so."""
    duplicated: int
    """Stored more than once in an index."""
    unknown: int
    """Stored, although no request that may have made it was sent."""
    dropped: int
    """Declared dropped."""
    missing: int = 0
    """Answered and not stored in each of its indices, declared or not: rows, and batches' own events."""


def read_ledger(place: Place) -> Ledger:
    """Have the ledger measured; again when a busy store did not answer in time, which proves nothing."""
    report = verify(place.settings)
    for _ in range(ASKED_AGAIN):
        if not any(NOT_ASKED in problem for problem in report.problems):
            break
        report = verify(place.settings)
    found, problems = report.as_dict(), tuple(report.problems)
    return Ledger(found["totals"]["dropped"], found["totals"]["missing"] or len(problems), problems)


def judge(place: Place, load: Load, dropped: int, *, may_drop: bool = False) -> Judgement:
    """Compare `load`'s list of answers with what each index holds of it; `dropped` events were declared.

    `may_drop`: a bound was reached, so that what is missing may be declared instead of stored.
    """
    absent: Counter[str] = Counter()
    doubled: set[str] = set()
    unknown: set[str] = set()
    for index, kind in KINDS.items():
        stored = stored_by(place, index, kind, load.label)
        counts = Counter(transaction for transaction, _ in stored)
        absent.update(load.answered - counts.keys())
        doubled |= {transaction for transaction, count in counts.items() if count > 1}
        unknown |= {
            transaction
            for transaction, request in stored
            if transaction not in load.answered and request not in load.unanswered
        }
    batches = Counter(request for _, request in stored_by(place, LOGS, "request", load.label))
    doubled |= {request for request, count in batches.items() if count > 1}
    missing = lost = len(absent) + len(load.batches - batches.keys())
    if may_drop:
        partly = sum(count < len(KINDS) for count in absent.values())
        lost = max(missing - dropped, partly, len(misdeclared(place)))
    return Judgement(lost, len(doubled), len(unknown), dropped, missing)


def explained(missing: int, dropped: int, unanswered: int) -> bool:
    """Whether `dropped` declared events are the `missing` ones and the few others that the client knows not of."""
    return missing <= dropped <= missing + FEW_REPORTS + unanswered * (ROWS + 1)


def misdeclared(place: Place) -> list[tuple[str, int]]:
    """Return producer and number of what is neither stored nor declared, or both, of those that dropped.

    A number may be on its way, such as a report's: what is found stays so until the deadline.
    """
    found: list[tuple[str, int]] = []

    def agree() -> bool:
        states = [state for state in place.stream.ledger.producers() if state.gaps]
        found[:] = [
            (state.producer, number)
            for state in states
            for number in disagreement(state, stored_numbers(place, state.producer))
        ]
        return not found

    seen(agree, pause_seconds=0.5)
    return found


def disagreement(state: ProducerState, stored: NumberSet) -> NumberSet:
    """Return the numbers of a producer that are neither `stored` nor declared, or both."""
    declared = NumberSet.of_spans((gap.first, gap.last) for gap in state.gaps)
    return NumberSet.of_spans([(1, state.high)]) - stored - declared | stored & declared


def stored_numbers(place: Place, producer: str) -> NumberSet:
    """Return the numbers of a producer's events in the store: of requests, and of its reports on itself."""
    name = f"{place.settings.store.es_index_prefix}ml-api-"
    found: list[int] = []
    with httpx.Client(base_url=place.store_url, timeout=60) as client:
        for index, only in (("logs", []), ("perfs", [{"term": {"doc_type": "service"}}])):
            client.post(f"/{name}{index}/_refresh").raise_for_status()
            body: dict[str, Any] = {
                "size": PAGE,
                "_source": ["number"],
                "query": {"bool": {"filter": [{"term": {"producer": producer}}, *only]}},
                "sort": [{"number": "asc"}],
            }
            hits = [{}]
            while hits:
                hits = (
                    client.post(f"/{name}{index}/_search", json=body)
                    .raise_for_status()
                    .json()["hits"]["hits"]
                )
                found += [hit["_source"]["number"] for hit in hits]
                body["search_after"] = hits[-1]["sort"] if hits else None
    return NumberSet.of_numbers(found)


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

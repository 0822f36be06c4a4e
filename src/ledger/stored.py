"""The store's side of the ledger: events and documents counted there beside what was settled as indexed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from elasticsearch import ApiError, TransportError

from vigie.indices.mappings import INDICES, LOGS, MESSAGE, PERFS
from vigie.indices.routing import Epochs
from vigie.indices.store_client import connect_store, fault_of
from vigie.ledger.account import Account
from vigie.ledger.counting import Count, CountingError, Question, StoreCounter
from vigie.ledger.naming import (
    Difference,
    differing,
    event_questions,
    events_in,
    of_number,
    of_numbers,
    twins,
)
from vigie.ledger.physical import Documents, Indices, by_alias
from vigie.ledger.remaining import Remaining, compare_remaining
from vigie.ledger.report import StoredDocuments
from vigie.settings import Settings
from vigie.telemetry.stream.expired import Expired, ExpiredRecord
from vigie.telemetry.stream.number_set import NumberSet, named
from vigie.telemetry.stream.stream import Stream

TRIES: Final = 5
"""Countings during which retention may drop an index, or an erasure go on, before it is told."""
EXACT_SUM: Final = 1 << 53
"""Beyond this a sum of numbers is no longer exact in the store's arithmetic, and only counts are compared."""


@dataclass(frozen=True, slots=True)
class StoredEvents:
    """One producer's events as the store has them."""

    stored: int
    expired: int
    removed: int
    lost: int
    """Indexed and in the store no more."""
    doubled: int
    """There more than once, or not meant to be there."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The store's side of the ledger; `events` is empty where the store could not be asked."""

    accounts: Sequence[Account]
    """With the erasures that happened up to the counting."""
    documents: tuple[StoredDocuments, ...]
    events: Mapping[str, StoredEvents]
    problems: Mapping[str, Sequence[str]]
    """Producer → what is wrong; "" for what concerns none."""
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the store could be asked."""
        return "" not in self.problems


def compare(
    settings: Settings,
    stream: Stream,
    accounts: Sequence[Account],
    erased_before: int,
    deadline: float | None = None,
) -> Comparison:
    """Count each producer's events and documents in the store, beside those that were settled as indexed.

    What is pending, dead or erased is left out of the question, so that the numbers are exact while events
    move. `erased_before` is how many events had been erased when the accounts were measured, `deadline` the
    monotonic time after which nothing more is asked. Raises redis.RedisError; a store that is away is a
    problem in the answer.
    """
    epochs = Epochs(stream.client, settings.store).read()
    prefixes = sorted({epoch.prefix for epoch in epochs} | {settings.store.es_index_prefix})
    left = 10.0 if deadline is None else max(0.1, min(10.0, deadline - time.monotonic()))
    with connect_store(settings.store, timeout=left) as client:
        try:
            return _compare(StoreCounter(client, prefixes, deadline), stream, accounts, erased_before)
        except (ApiError, TransportError) as error:
            said = fault_of(error, settings.store.url).text
        except CountingError:
            said = f"the store at {settings.store.url} was too slow"
    unknown = tuple(StoredDocuments(index, 0, 0, 0, 0) for index in INDICES)
    return Comparison(accounts, unknown, {}, {"": [f"the store's documents were not counted: {said}"]})


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the store answered of one producer."""

    account: Account
    events: Count
    documents: Mapping[str, int]


def _compare(
    counter: StoreCounter, stream: Stream, accounts: Sequence[Account], erased_before: int
) -> Comparison:
    for _ in range(TRIES):
        counter.refresh()
        before = counter.physical()
        counted = _count(counter, accounts)
        there = counter.physical()
        erased = stream.ledger.totals().erased
        if set(before.values()) <= set(there.values()) and erased == erased_before:
            break
        erased_before = erased
        accounts = [
            replace(one, bits=stream.ledger.with_erasures(one.producer, one.bits)) for one in accounts
        ]
    # the record is read last: an index is recorded before it is dropped
    living = set(there.values())
    expired: dict[str, list[Expired]] = {}
    for one in ExpiredRecord(stream.client).read():
        if one.uuid not in living:
            expired.setdefault(one.producer, []).append(one)
    indices = Indices(there, expired)
    events: dict[str, StoredEvents] = {}
    problems: dict[str, list[str]] = {}
    for found in counted:
        judged, difference, left = _judge_events(counter, found, indices)
        events[found.account.producer] = judged
        said = [*_event_problems(found.account, judged, difference, left)]
        if left is None:
            said += _document_problems(counter, found, indices, judged)
        if said:
            problems[found.account.producer] = said
    gone = sum((indices.gone(found.account) for found in counted), Documents())
    return Comparison(
        [found.account for found in counted],
        tuple(_by_index(counted, indices)),
        events,
        problems,
        (*_removed(gone), *_still_stored(counter, counted)),
    )


def _count(counter: StoreCounter, accounts: Sequence[Account]) -> list[_Counted]:
    questions: list[Question] = []
    for account in accounts:
        questions += event_questions(account, (1, account.cut), _outside_events(account))
        outside = _outside_documents(account)
        questions += [Question(index, account.producer, 1, account.bits.reach, outside) for index in INDICES]
    each = 2 + len(INDICES)
    answers = counter.ask(questions)
    found = []
    for position, account in enumerate(accounts):
        logs, service, *documents = answers[position * each : (position + 1) * each]
        held = {index: count.documents for index, count in zip(INDICES, documents, strict=True)}
        found.append(_Counted(account, logs.plus(service), held))
    return found


def _outside_events(account: Account) -> NumberSet:
    """Return the numbers whose documents, if there are any, do not make them indexed."""
    waiting = account.pending if account.admitted is None else account.unsettled(account.cut)
    return waiting | account.dead.upto(account.cut) | account.erased


def _outside_documents(account: Account) -> NumberSet:
    """Return the numbers whose documents were not counted when they were accepted, or were erased."""
    return account.unsettled(account.bits.reach) | account.bits.erased.upto(account.bits.reach)


def _judge_events(
    counter: StoreCounter, found: _Counted, indices: Indices
) -> tuple[StoredEvents, Difference, Remaining | None]:
    """Return the events, the numbers that differ, and the comparison index by index where one was needed."""
    account = found.account
    known, unknown = account.known_indexed()
    expired = indices.expired_events(account)
    absent = Count(account.indexed, known.total()).minus(expired).minus(found.events)
    gone = by_alias(indices.gone(account))
    room = gone[LOGS] + gone[PERFS]
    difference = Difference()
    if not room and (absent.documents or (not unknown and known.total() < EXACT_SUM and absent.numbers)):
        recorded = [(one.first, one.last) for one in indices.expired.get(account.producer, ()) if one.events]
        nameable = NumberSet.of_spans([(1, account.cut)]) - NumberSet.of_spans([*unknown, *recorded])
        actual = events_in(counter, account, _outside_events(account))
        difference = differing(nameable.spans(), actual, of_numbers(known))
    by_index = None
    if room or (unknown and not absent.documents):
        outside = _outside_documents(account)
        by_index = compare_remaining(counter, account, indices, found.documents, outside)
    seen = by_index or Remaining()
    removed = min(room, max(0, absent.documents - seen.lost + seen.doubled))
    left = absent.documents - removed
    lost = max(left + seen.doubled, seen.lost, len(difference.fewer))
    doubled = max(seen.lost - left, seen.doubled, len(difference.more))
    judged = StoredEvents(found.events.documents, expired.documents, removed, lost, doubled)
    return judged, difference, by_index


def _event_problems(
    account: Account, judged: StoredEvents, difference: Difference, by_index: Remaining | None
) -> Iterator[str]:
    said = f"producer {account.producer}:"
    if by_index is not None:
        yield from (f"{said} {problem}" for problem in by_index.problems)
        judged = replace(judged, lost=judged.lost - by_index.lost, doubled=judged.doubled - by_index.doubled)
    if judged.lost:
        named_lost = of_number(difference.fewer, judged.lost)
        yield f"{said} {judged.lost:,} indexed events are not in the store{named_lost}"
    known, _ = account.known_indexed()
    strange = [number for number in difference.more if not known.between(number, number)]
    twice = [number for number in difference.more if number not in strange]
    if strange:
        yield f"{said} stored and not indexed{of_number(strange, len(strange))}"
    if judged.doubled > len(strange):
        count = judged.doubled - len(strange)
        yield f"{said} {count:,} events are stored more than once{of_number(twice, count)}"


def _document_problems(
    counter: StoreCounter, found: _Counted, indices: Indices, judged: StoredEvents
) -> Iterator[str]:
    account = found.account
    expected = indices.expected(account)
    told = judged.doubled - judged.lost
    for index in INDICES:
        many = found.documents[index] - expected[index]
        if not many or (index != MESSAGE and many == told):
            told = 0 if many else told
            continue
        if many > 0 and _being_replayed(counter, account, index, expected[index]):
            continue
        difference = Difference()
        if index in (MESSAGE, PERFS) and not (judged.removed or judged.expired or judged.lost):
            difference = twins(counter, account, index, _outside_documents(account))
        numbers = difference.more if many > 0 else difference.fewer
        what = f"holds {many:,} documents too many" if many > 0 else f"lacks {-many:,} documents"
        yield f"producer {account.producer}: {index} {what}{of_number(numbers, abs(many))}"


def _being_replayed(counter: StoreCounter, account: Account, index: str, expected: int) -> bool:
    """Whether documents of dead events explain a surplus: a replay stores them before it is counted."""
    if not account.dead:
        return False
    without = _outside_documents(account) | account.dead
    (alive,) = counter.ask([Question(index, account.producer, 1, account.bits.reach, without)])
    return alive.documents <= expected


def _still_stored(counter: StoreCounter, counted: Sequence[_Counted]) -> Iterator[str]:
    """Yield who has documents of erased events: the erasure was broken off between record and deletion."""
    for found in counted:
        account, bits = found.account, found.account.bits
        if not bits.erased:
            continue
        others = NumberSet.of_spans([(1, bits.reach)]) - bits.erased
        asked = [Question(index, account.producer, 1, bits.reach, others) for index in INDICES]
        if any(count.documents for count in counter.ask(asked)):
            spans = named(bits.erased)
            said = "erased events still have documents, repeat the erasure"
            yield f"producer {account.producer}: {said}: {spans}"


def _by_index(counted: Sequence[_Counted], indices: Indices) -> Iterator[StoredDocuments]:
    expected, expired, erased = Documents(), Documents(), Documents()
    for found in counted:
        expected += indices.expected(found.account)
        expired += by_alias(indices.expired_documents(found.account))
        erased += by_alias(Documents(found.account.bits.erased_documents))
    for index in INDICES:
        stored = sum(found.documents[index] for found in counted)
        yield StoredDocuments(index, expected[index], stored, expired[index], erased[index])


def _removed(gone: Documents) -> Iterator[str]:
    for index, count in sorted(gone.items()):
        yield f"index {index} was removed by somebody else, with {count:,} documents"

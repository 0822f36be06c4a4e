"""Naming the numbers on which store and ledger differ, by halving the spans in which they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vigie.indices.mappings import LOGS, MESSAGE, PERFS
from vigie.ledger.account import Account
from vigie.ledger.counting import SERVICE, Count, Question, StoreCounter
from vigie.telemetry.stream.number_set import NumberSet, named

MOST_NAMED: Final = 6
"""Numbers looked for; a problem names five spans and says "…" for the rest."""

Span = tuple[int, int]
Counter = Callable[[Sequence[Span]], list[Count]]

_PREDICTION: Final[dict[str, Any]] = {"term": {"doc_type": "prediction"}}
Clauses = tuple[dict[str, Any], ...]
TWINS: Final[dict[str, tuple[Clauses, Clauses]]] = {
    MESSAGE: (
        (_PREDICTION,),
        (_PREDICTION, {"terms": {"status": ["ok", "refused"]}}),
    ),
    PERFS: (({"term": {"doc_type": "request"}},), (_PREDICTION, {"term": {"status": "ok"}})),
}
"""Index → its documents of which an event has one, and the events in ml-api-logs that have one there."""


@dataclass(slots=True)
class Difference:
    """Numbers with fewer documents than expected, and with more; not all when there are many."""

    fewer: list[int] = field(default_factory=list)
    more: list[int] = field(default_factory=list)

    @property
    def found(self) -> int:
        """How many were found."""
        return len(self.fewer) + len(self.more)


def differing(spans: Sequence[Span], actual: Counter, expected: Counter) -> Difference:
    """Return the first numbers within `spans` that have not as many documents as expected."""
    found = Difference()
    frontier = _unequal(spans, actual, expected)
    while frontier and found.found < MOST_NAMED:
        halves: list[Span] = []
        for (first, last), difference in frontier:
            if first < last:
                middle = (first + last) // 2
                halves += [(first, middle), (middle + 1, last)]
            else:
                (found.more if difference.documents > 0 else found.fewer).append(first)
        frontier = _unequal(halves, actual, expected)[:MOST_NAMED]
    return found


def _unequal(spans: Sequence[Span], actual: Counter, expected: Counter) -> list[tuple[Span, Count]]:
    if not spans:
        return []
    differences = [there.minus(due) for there, due in zip(actual(spans), expected(spans), strict=True)]
    return [pair for pair in zip(spans, differences, strict=True) if pair[1] != Count()]


def events_in(counter: StoreCounter, account: Account, without: NumberSet) -> Counter:
    """Return how to count a producer's events in the store: by the one document that each event has."""

    def count(spans: Sequence[Span]) -> list[Count]:
        asked = [question for span in spans for question in event_questions(account, span, without)]
        answers = counter.ask(asked)
        return [logs.plus(service) for logs, service in zip(answers[::2], answers[1::2], strict=True)]

    return count


def event_questions(account: Account, span: Span, without: NumberSet) -> tuple[Question, Question]:
    """Return what asks for events: each has a document in ml-api-logs, but a report one in ml-api-perfs."""
    logs = Question(LOGS, account.producer, *span, without)
    return logs, replace(logs, index=PERFS, clauses=(SERVICE,))


def of_numbers(numbers: NumberSet) -> Counter:
    """Return how to count the events that the ledger expects."""

    def count(spans: Sequence[Span]) -> list[Count]:
        within = (numbers.between(*span) for span in spans)
        return [Count(len(some), some.total()) for some in within]

    return count


def twins(
    counter: StoreCounter,
    account: Account,
    index: str,
    without: NumberSet,
    names: tuple[str, str] | None = None,
) -> Difference:
    """Return where an index differs from what ml-api-logs says that it should hold.

    `names` are those under which the two are asked, when not by their aliases. It tells nothing of documents
    of which one event may have several (the costly functions).
    """

    def asked(index: str, clauses: Clauses) -> Counter:
        def count(spans: Sequence[Span]) -> list[Count]:
            return counter.ask([Question(index, account.producer, *span, without, clauses) for span in spans])

        return count

    own, in_logs = TWINS[index]
    name, logs = names or (index, LOGS)
    return differing([(1, account.bits.reach)], asked(name, own), asked(logs, in_logs))


def of_number(numbers: Sequence[int], count: int) -> str:
    """Return ", of number 17" for numbers that were found of `count`."""
    if not numbers:
        return ""
    text = named(NumberSet.of_numbers(numbers)).partition("(")[2][:-1]
    return f", of number {text}{', …' if count > len(numbers) and '…' not in text else ''}"

"""Index by index: what lacks or is too much in the physical indices that are still there.

Once somebody removed an index, nobody knows which numbers went with it, and the sum over all indices says
nothing any more. Each index that is left can still be compared with what it accepted; documents that share
a number are looked for, so that one that lacks and one that is there twice do not make up for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vigie.indices.mappings import INDICES, LOGS, MESSAGE, PERFS
from vigie.indices.routing import alias_of
from vigie.ledger.account import Account
from vigie.ledger.counting import Question, StoreCounter
from vigie.ledger.naming import TWINS, of_number, twins
from vigie.ledger.physical import Indices
from vigie.telemetry.stream.number_set import NumberSet

_SINGLE: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    LOGS: (),
    MESSAGE: TWINS[MESSAGE][0],
    PERFS: ({"terms": {"doc_type": ["service", "request"]}},),
}
"""Index → its documents of which an event has one at most."""


@dataclass(slots=True)
class Remaining:
    """What is wrong in the indices that are left; events are those of ml-api-logs."""

    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Comparer:
    counter: StoreCounter
    """Asks by physical name."""
    account: Account
    without: NumberSet
    expected: Mapping[str, int]

    def stored(self, without: NumberSet) -> dict[str, int]:
        """Return the documents that each index has."""
        counts = self.counter.ask([self.question(name, 1, self.account.bits.reach, without)
                                   for name in self.expected])  # fmt: skip
        return {name: count.documents for name, count in zip(self.expected, counts, strict=True)}

    def question(self, name: str, first: int, last: int, without: NumberSet) -> Question:
        """Return the question for documents of the producer in one index."""
        return Question(name, self.account.producer, first, last, without)

    def lacking(self, name: str, alias: str) -> list[int]:
        """Return numbers that the indices of the same day say should be in one, and that are not."""
        head, _, date = name.rpartition(alias)
        found: set[int] = set()
        for own in TWINS if alias == LOGS else [alias]:
            pair = (f"{head}{own}{date}", f"{head}{LOGS}{date}")
            if all(one in self.expected for one in pair):
                difference = twins(self.counter, self.account, own, self.without, pair)
                found.update(difference.more if alias == LOGS else difference.fewer)
        numbers = sorted(found)
        questions = [self.question(name, number, number, self.without) for number in numbers]
        counts = self.counter.ask(questions)
        return [number for number, count in zip(numbers, counts, strict=True) if not count.documents]


def compare_remaining(
    counter: StoreCounter, account: Account, indices: Indices, held: Mapping[str, int], without: NumberSet
) -> Remaining:
    """Compare each physical index that is there with what it accepted from a producer.

    `held` is what each index has under its alias, `without` the numbers that are not compared.
    """
    plain = StoreCounter(counter.client, [""], counter.deadline)
    compared = _Comparer(plain, account, without, indices.expected_in(account))
    stored = compared.stored(without)
    alive = compared.stored(without | account.dead) if account.dead else stored
    found = Remaining()
    for name, due in compared.expected.items():
        alias = alias_of(name, INDICES)
        if alias is not None:
            # a replay stores the documents of dead events before they are counted
            many = 0 if alive[name] <= due < stored[name] else stored[name] - due
            found.problems += _problems(compared, name, alias, many, found)
    for alias in INDICES:
        known = sum(count for name, count in stored.items() if alias_of(name, INDICES) == alias)
        strays = held[alias] - known
        if strays > 0 and account.dead:
            asked = Question(alias, account.producer, 1, account.bits.reach, without | account.dead)
            (living,) = counter.ask([asked])
            known = sum(count for name, count in alive.items() if alias_of(name, INDICES) == alias)
            strays = living.documents - known
        if strays > 0:
            found.doubled += strays if alias == LOGS else 0
            where = "in indices that accepted none of it"
            found.problems.append(f"{alias} holds {strays:,} documents too many, {where}")
    return found


def _problems(compared: _Comparer, name: str, alias: str, many: int, found: Remaining) -> Iterator[str]:
    account = compared.account
    repeated = compared.counter.repeated(name, account.producer, account.bits.reach, _SINGLE[alias])
    twice = sum(repeated.values())
    other = many - twice
    if alias == LOGS:
        found.lost += max(0, -other)
        found.doubled += twice + max(0, other)
    if twice:
        what = "events are stored more than once in" if alias == LOGS else "documents too many are in"
        yield f"{twice:,} {what} {name}{of_number(sorted(repeated), len(repeated))}"
    if other > 0:
        yield f"{name} holds {other:,} documents too many"
    elif other < 0:
        numbers = of_number(compared.lacking(name, alias), -other)
        lost = f"{-other:,} indexed events are not in {name}"
        yield f"{lost if alias == LOGS else f'{name} lacks {-other:,} documents'}{numbers}"

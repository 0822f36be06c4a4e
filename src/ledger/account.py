"""What the producers' side of the ledger knows: each producer's numbers, and where each of them is.

Everything is measured on a cut, in the order in which events flow: first the producers' highest numbers,
then what waits in the journals and in the stream, then what is settled. An event that moves on meanwhile
is seen where it arrives; a number that is nowhere is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vigie.telemetry.journal.survey import JournalSurvey
from vigie.telemetry.stream.dead_letters import DeadLetters
from vigie.telemetry.stream.ledger_state import Bits, ProducerHead
from vigie.telemetry.stream.number_set import NumberSet, named
from vigie.telemetry.stream.stream import Stream

MOST_HOLES: Final = 3000
"""Holes in a foreign producer's numbers that are left out of the questions to the store one by one."""


@dataclass(frozen=True, slots=True)
class Account:
    """What was measured of one producer."""

    producer: str
    attributes: Mapping[str, str]
    closed: bool
    bits: Bits
    admitted: NumberSet | None
    """A foreign producer's numbers, known before what waits; None for one of the platform."""
    waiting: NumberSet
    """In a journal or in the stream when it was looked at, before the bits."""
    declared: NumberSet
    """Dropped and declared."""
    letters: NumberSet
    """Dead letters that wait, after the bits were read."""
    letters_before: NumberSet
    """Those that waited before: in between, some may have been replayed."""

    @property
    def role(self) -> str:
        """What kind of process it is."""
        return self.attributes.get("role", "")

    @property
    def cut(self) -> int:
        """The number up to which it is measured."""
        return self.bits.upto

    def numbers(self, upto: int) -> NumberSet:
        """Return the numbers that it produced, up to a number; a foreign one has only those admitted."""
        if self.admitted is None:
            return NumberSet.of_spans([(1, upto)])
        return (self.admitted | self.bits.settled | self.declared).upto(upto)

    def unsettled(self, upto: int) -> NumberSet:
        """Return the numbers, up to one, that may be stored by now and were not settled.

        A foreign producer's may come in any order, so all that is not settled is among them; with very many
        holes only what was admitted.
        """
        found = NumberSet.of_spans([(1, upto)]) - self.bits.settled
        if self.bits.admitted is None:
            return found - self.declared
        return found if len(found.spans(MOST_HOLES)) < MOST_HOLES else found & self.bits.admitted

    @property
    def pending(self) -> NumberSet:
        """Numbers on their way: what moved on between two measurements counts where it arrived."""
        return (self.waiting - self.bits.settled - self.declared).upto(self.cut)

    @property
    def dropped(self) -> NumberSet:
        """Numbers declared dropped."""
        return self.declared.upto(self.cut)

    @property
    def missing(self) -> NumberSet:
        """Numbers that are nowhere."""
        return self.numbers(self.cut) - self.bits.settled - self.waiting - self.declared

    @property
    def erased(self) -> NumberSet:
        """Numbers erased on request."""
        return self.bits.erased.upto(self.cut)

    @property
    def dead(self) -> NumberSet:
        """Every number that is dead and can be named; of a folded chunk, those of which a letter was kept."""
        bits = self.bits
        folded = NumberSet.of_spans(bits.chunk(chunk) for chunk in bits.folded)
        return bits.states["dead"] | (self.letters | bits.discarded | bits.erased_dead) & folded

    @property
    def indexed(self) -> int:
        """Events whose bit says that they are indexed, and that were not erased since."""
        return self.bits.counts["indexed"] - len(self.erased - self.bits.erased_dead)

    @property
    def buried(self) -> int:
        """Dead events that were not erased."""
        return self.bits.counts["dead"] - len(self.bits.erased_dead.upto(self.cut))

    def known_indexed(self) -> tuple[NumberSet, list[tuple[int, int]]]:
        """Return the numbers that are indexed and not erased, and the spans of which only counts are left.

        A folded chunk can be named as long as each event of it is indexed, or dead with a letter.
        """
        bits = self.bits
        found, unknown = bits.states["indexed"], []
        for chunk, counts in bits.folded.items():
            first, last = bits.chunk(chunk)
            dead = self.dead.between(first, last)
            if counts["indexed"] + len(dead) == last - first + 1 and counts["dead"] == len(dead):
                found |= NumberSet.of_spans([(first, last)]) - dead
            else:
                unknown.append((first, last))
        return (found - bits.erased).upto(self.cut), unknown

    def problems(self) -> Iterator[str]:
        """Name the numbers that are in no state, in more than one, or dead without a letter."""
        bits, cut = self.bits, self.cut
        if missing := self.missing:
            yield f"producer {self.producer}: missing {named(missing)}"
        once, more = NumberSet(), bits.settled & self.declared
        for numbers in bits.states.values():
            more |= once & numbers
            once |= numbers
        if more := more.upto(cut):
            yield f"producer {self.producer}: in more than one state {named(more)}"
        unstated = bits.settled - once - NumberSet.of_spans(bits.chunk(chunk) for chunk in bits.folded)
        if unstated := unstated.upto(cut):
            yield f"producer {self.producer}: settled in no state {named(unstated)}"
        kept = (self.letters | self.letters_before | (bits.discarded - bits.erased_dead)).upto(cut)
        unlettered = (bits.states["dead"] - bits.erased_dead).upto(cut) - kept
        if unlettered:
            yield f"producer {self.producer}: dead without a letter {named(unlettered)}"
        elif len(kept) < self.buried:
            lost = self.buried - len(kept)
            yield f"producer {self.producer}: {lost:,} dead events of folded chunks have no letter"


def measure(stream: Stream, journals: Mapping[str, JournalSurvey]) -> list[Account]:
    """Measure every producer that a journal of this host or Redis knows, on one cut."""
    heads = stream.ledger.heads()
    cuts = {name: _cut(heads.get(name), journals.get(name)) for name in {*heads, *journals}}
    admitted = {
        name: stream.ledger.bits(name, cuts[name]).admitted
        for name, head in heads.items()
        if head.attributes.get("role") == "foreign"
    }
    letters, waiting = DeadLetters(stream.client), stream.waiting()
    kept_before = letters.numbers() if letters.count() else {}
    all_bits = {name: stream.ledger.bits(name, cuts[name]) for name in sorted(cuts)}
    kept = letters.numbers() if letters.count() else {}
    accounts = []
    for name, bits in all_bits.items():
        journal, head = journals.get(name), heads.get(name)
        unshipped = NumberSet.of_spans(journal.unshipped if journal else ())
        gaps = [*bits.gaps, *(journal.gaps if journal else ())]
        known = head.attributes if head else {}
        accounts.append(
            Account(
                producer=name,
                attributes={**(journal.attributes if journal else {}), **known},
                closed=head is not None and head.closed is not None and not unshipped,
                bits=bits,
                admitted=admitted.get(name),
                waiting=unshipped | waiting.get(name, NumberSet()),
                declared=NumberSet.of_spans((gap.first, gap.last) for gap in gaps),
                letters=NumberSet.of_numbers(kept.get(name, ())),
                letters_before=NumberSet.of_numbers(kept_before.get(name, ())),
            )
        )
    return accounts


def _cut(head: ProducerHead | None, journal: JournalSurvey | None) -> int:
    """Return the highest number known; a closed producer's is what it said itself."""
    written = 0 if head is None else head.high if head.closed is None else head.closed
    return max(written, journal.high if journal else 0)

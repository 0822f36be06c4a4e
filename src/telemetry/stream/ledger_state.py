"""The ledger as Redis holds it: what each producer wrote, declared and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

import redis

from vigie.telemetry.stream import keys
from vigie.telemetry.stream.items import Gap
from vigie.telemetry.stream.keys import CHUNK_SIZE, STATES, Mark, State
from vigie.telemetry.stream.number_set import NumberSet

_MARKS: Final[tuple[Mark, ...]] = ("settled", *STATES, "erased", "erased-dead", "discarded", "admitted")


@dataclass(frozen=True, slots=True)
class Totals:
    """Running sums over all producers; cheap to read, for status lines and flow control."""

    high: int
    declared: int
    written: int
    settled: int
    indexed: int
    filtered: int
    dead: int
    cleared: int
    strays: int
    """Entries without producer or number, written by hand; they are in no producer's ledger."""
    vanished: int
    """Pending entries whose content somebody deleted from the stream."""
    erased: int = 0
    """Events erased on request, each time that any was."""

    @property
    def backlog(self) -> int:
        """Events written to the stream and not settled."""
        return max(0, self.high - self.declared - self.settled)


@dataclass(frozen=True, slots=True)
class ProducerState:
    """One producer as Redis knows it; counts are measured in the bitmaps, state by state."""

    producer: str
    high: int
    closed: int | None
    """Its last number, once it has said so."""
    attributes: Mapping[str, str]
    """host, pid, started, role."""
    gaps: tuple[Gap, ...]
    counts: Mapping[State, int]
    documents: Mapping[str, int]
    """Index → documents expected there."""

    @property
    def declared(self) -> int:
        """Numbers declared dropped."""
        return sum(gap.size for gap in self.gaps)

    @property
    def settled(self) -> int:
        """Events in any state."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class ProducerHead:
    """What a producer's hash says of it."""

    high: int
    closed: int | None
    """Its last number, once it has said so."""
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bits:
    """A producer's numbers at one instant, all that are settled or written."""

    upto: int
    """The number asked for, or the end of the last folded chunk where that is higher."""
    reach: int
    """The highest number that is in the sets: `upto`, or what the producer had written where that is more."""
    settled: NumberSet
    states: Mapping[State, NumberSet]
    """Without the numbers of folded chunks."""
    folded: Mapping[int, Mapping[State, int]]
    """Chunks of which only the counts are left; every number of theirs is settled."""
    erased: NumberSet
    """Erased on request; whatever they were before."""
    erased_dead: NumberSet
    """Those of the erased that were dead."""
    discarded: NumberSet
    """Dead, and the letter was discarded."""
    admitted: NumberSet | None
    """A foreign producer's numbers that came here; None for a producer of the platform."""
    gaps: tuple[Gap, ...]
    documents: Mapping[str, int]
    erased_documents: Mapping[str, int]
    """Physical index → documents that the erased events had there."""

    @property
    def counts(self) -> Mapping[State, int]:
        """Settled events up to `upto` in each state."""
        return {
            state: len(self.states[state].upto(self.upto)) + sum(of[state] for of in self.folded.values())
            for state in STATES
        }

    def chunk(self, chunk: int) -> tuple[int, int]:
        """Return the first and the last number of a chunk."""
        return chunk * CHUNK_SIZE + 1, (chunk + 1) * CHUNK_SIZE


class LedgerState:
    """Reads the ledger; every method asks Redis anew and raises redis.RedisError when it is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def totals(self) -> Totals:
        """Return the running sums."""
        stored: dict[bytes, bytes] = self._client.hgetall(keys.TOTALS)  # type: ignore[assignment]  # sync client
        return Totals(**{one.name: int(stored.get(one.name.encode(), 0)) for one in fields(Totals)})

    def names(self) -> list[str]:
        """Return the ids of all producers, sorted."""
        members: set[bytes] = self._client.smembers(keys.PRODUCERS)  # type: ignore[assignment]  # sync client
        return sorted(member.decode() for member in members)

    def highs(self) -> dict[str, int]:
        """Return the highest number of each producer that reached the stream or was declared."""
        names = self.names()
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(keys.producer_key(name), "high")
            return {name: int(high or 0) for name, high in zip(names, pipe.execute(), strict=True)}

    def producers(self) -> list[ProducerState]:
        """Return every producer's state."""
        return [self.producer(name) for name in self.names()]

    def producer(self, name: str) -> ProducerState:
        """Return one producer's state; an unknown one has high 0 and nothing counted."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.producer_key(name))
            pipe.hgetall(keys.gaps_key(name))
            pipe.hgetall(keys.documents_key(name))
            pipe.hgetall(keys.folded_key(name))
            about, gaps, documents, folded = (_text(answer) for answer in pipe.execute())
        return ProducerState(
            producer=name,
            high=int(about.pop("high", 0)),
            closed=int(about.pop("closed")) if "closed" in about else None,
            attributes=about,
            gaps=_gaps(gaps),
            counts=self._counts(name, folded),
            documents={index: int(count) for index, count in documents.items()},
        )

    def declared(self) -> dict[str, list[Gap]]:
        """Return the declared gaps of each producer that has any, in the order of their numbers."""
        names = self.names()
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.gaps_key(name))
            answers = pipe.execute()
        return {name: list(_gaps(_text(a))) for name, a in zip(names, answers, strict=True) if a}

    def heads(self) -> dict[str, ProducerHead]:
        """Return what each producer's hash says, without measuring its bitmaps."""
        names = self.names()
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.producer_key(name))
            return {name: _head(_text(answer)) for name, answer in zip(names, pipe.execute(), strict=True)}

    def bits(self, producer: str, upto: int) -> Bits:
        """Return which numbers are in which state, as of one instant.

        They reach to what the producer has written at that instant. Where a chunk was folded meanwhile,
        `upto` of the answer reaches to the end of that chunk.
        """
        reach = upto
        while True:
            bits = self._bits(producer, upto, reach)
            if bits.reach <= -(-reach // CHUNK_SIZE) * CHUNK_SIZE:
                return bits
            reach = bits.reach

    def with_erasures(self, producer: str, bits: Bits) -> Bits:
        """Return `bits` with what was erased up to now."""
        chunks = range(-(-bits.reach // CHUNK_SIZE))
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.erased_documents_key(producer))
            for mark in ("erased", "erased-dead"):
                for chunk in chunks:
                    pipe.get(keys.bitmap_key(producer, mark, chunk))
            documents, *bitmaps = pipe.execute()
        return replace(
            bits,
            erased=NumberSet.joined(bitmaps[: len(chunks)], CHUNK_SIZE),
            erased_dead=NumberSet.joined(bitmaps[len(chunks) :], CHUNK_SIZE),
            erased_documents={index: int(count) for index, count in _text(documents).items()},
        )

    def _bits(self, producer: str, upto: int, reach: int) -> Bits:
        chunks = range(-(-reach // CHUNK_SIZE))
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.producer_key(producer))
            pipe.hgetall(keys.folded_key(producer))
            pipe.hgetall(keys.gaps_key(producer))
            pipe.hgetall(keys.documents_key(producer))
            pipe.hgetall(keys.erased_documents_key(producer))
            for mark in _MARKS:
                for chunk in chunks:
                    pipe.get(keys.bitmap_key(producer, mark, chunk))
            answers = pipe.execute()
        about, folded, gaps, *documents = (_text(answer) for answer in answers[:5])
        sets = {
            mark: NumberSet.joined(answers[start : start + len(chunks)], CHUNK_SIZE)
            for mark, start in zip(_MARKS, range(5, len(answers) + 1, len(chunks) or 1), strict=False)
        }
        full = [chunk for chunk in chunks if f"{chunk}:indexed" in folded]
        whole = NumberSet.of_spans((chunk * CHUNK_SIZE + 1, (chunk + 1) * CHUNK_SIZE) for chunk in full)
        empty = NumberSet()
        accepted, erased = ({index: int(count) for index, count in found.items()} for found in documents)
        return Bits(
            upto=max([upto, *((chunk + 1) * CHUNK_SIZE for chunk in full)]),
            reach=max(upto, int(about.get("high", 0)), *((chunk + 1) * CHUNK_SIZE for chunk in full)),
            settled=sets.get("settled", empty) | whole,
            states={state: sets.get(state, empty) for state in STATES},
            folded={chunk: {state: int(folded[f"{chunk}:{state}"]) for state in STATES} for chunk in full},
            erased=sets.get("erased", empty),
            erased_dead=sets.get("erased-dead", empty),
            discarded=sets.get("discarded", empty),
            admitted=sets.get("admitted") or (empty if about.get("role") == "foreign" else None),
            gaps=_gaps(gaps),
            documents=accepted,
            erased_documents=erased,
        )

    def _counts(self, name: str, folded: Mapping[str, str]) -> dict[State, int]:
        chunks = [field.partition(":")[0] for field in folded if field.endswith(":settled")]
        open_chunks = [chunk for chunk in chunks if f"{chunk}:indexed" not in folded]
        counts = {state: sum(int(folded.get(f"{chunk}:{state}", 0)) for chunk in chunks) for state in STATES}
        with self._client.pipeline(transaction=False) as pipe:
            for chunk in open_chunks:
                for state in STATES:
                    pipe.bitcount(keys.bitmap_key(name, state, int(chunk)))
            for position, count in enumerate(pipe.execute()):
                counts[STATES[position % len(STATES)]] += count
        return counts


def _text(answer: object) -> dict[str, str]:
    if not isinstance(answer, dict):
        raise TypeError(f"expected a hash from Redis, got {type(answer).__name__}")
    return {name.decode(): value.decode() for name, value in answer.items()}


def _gaps(stored: Mapping[str, str]) -> tuple[Gap, ...]:
    parsed = ((field.split("-"), reason) for field, reason in stored.items())
    found = (Gap(int(first), int(last), reason) for (first, last), reason in parsed)
    return tuple(sorted(found, key=lambda gap: gap.first))


def _head(about: dict[str, str]) -> ProducerHead:
    high, closed = int(about.pop("high", 0)), about.pop("closed", None)
    return ProducerHead(high, None if closed is None else int(closed), about)

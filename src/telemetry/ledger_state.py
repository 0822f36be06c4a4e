"""The ledger as Redis holds it: what each producer wrote, declared and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import redis

from vigie.telemetry import stream_keys as keys
from vigie.telemetry.stream_keys import CHUNK_SIZE, STATES, State
from vigie.telemetry.stream_types import Gap

Flags = npt.NDArray[np.bool_]
"""One flag per event number: position 0 stands for number 1."""

_BITMAPS: Final[tuple[State | Literal["settled"], ...]] = ("settled", *STATES)


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
class Bits:
    """A producer's numbers 1 to `upto` at one instant."""

    upto: int
    settled: Flags
    states: Mapping[State, Flags]
    """Without the numbers of folded chunks."""
    folded: frozenset[int]
    """Chunks of which only the counts are left; every number of theirs is settled."""
    counts: Mapping[State, int]
    gaps: tuple[Gap, ...]
    documents: Mapping[str, int]


class LedgerState:
    """Reads the ledger; every method asks Redis anew and raises redis.RedisError when it is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def totals(self) -> Totals:
        """Return the running sums."""
        stored: dict[bytes, bytes] = self._client.hgetall(keys.TOTALS)  # type: ignore[assignment]  # sync client
        return Totals(**{name: int(stored.get(name.encode(), 0)) for name in Totals.__slots__})

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

    def bits(self, producer: str, upto: int) -> Bits:
        """Return which of the numbers 1 to `upto` are in which state, as of one instant.

        Where a chunk was folded meanwhile, `upto` of the answer reaches to the end of that chunk.
        """
        chunks = range(-(-upto // CHUNK_SIZE))
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.folded_key(producer))
            pipe.hgetall(keys.gaps_key(producer))
            pipe.hgetall(keys.documents_key(producer))
            for chunk in chunks:
                for name in _BITMAPS:
                    pipe.get(keys.bitmap_key(producer, name, chunk))
            folded, gaps, documents, *bitmaps = pipe.execute()
        counted = _text(folded)
        full = frozenset(chunk for chunk in chunks if f"{chunk}:indexed" in counted)
        reached = max([upto, *((chunk + 1) * CHUNK_SIZE for chunk in full)])
        flags = {
            name: _flags(
                bitmaps[position :: 1 + len(STATES)], full if name == "settled" else frozenset(), reached
            )
            for position, name in enumerate(_BITMAPS)
        }
        return Bits(
            upto=reached,
            settled=flags["settled"],
            states={state: flags[state] for state in STATES},
            folded=full,
            counts={
                state: int(flags[state].sum()) + sum(int(counted[f"{chunk}:{state}"]) for chunk in full)
                for state in STATES
            },
            gaps=_gaps(_text(gaps)),
            documents={index: int(count) for index, count in _text(documents).items()},
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


def _flags(bitmaps: Sequence[bytes | None], full: frozenset[int], upto: int) -> Flags:
    flags = np.zeros(len(bitmaps) * CHUNK_SIZE, dtype=np.bool_)
    for chunk, bitmap in enumerate(bitmaps):
        start = chunk * CHUNK_SIZE
        if chunk in full:
            flags[start : start + CHUNK_SIZE] = True
        elif bitmap:
            bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8))
            flags[start : start + len(bits)] = bits
    return flags[:upto]

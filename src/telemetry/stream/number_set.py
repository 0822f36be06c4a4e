"""Sets of event numbers as packed bits, as Redis keeps them: ten million numbers are 1.25 MB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.uint8]
"""Bit 7 of byte 0 stands for number 1, as after SETBIT key 0."""

_BITS_OF_BYTE: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
_POSITIONS: Final = (_BITS_OF_BYTE * np.arange(1, 9)).sum(axis=1).astype(np.int64)
"""Byte → sum of the positions (1 to 8) of its bits."""


def _nothing() -> Packed:
    return np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class NumberSet:
    """An immutable set of numbers from 1 on."""

    packed: Packed = field(default_factory=_nothing)

    @classmethod
    def of_bytes(cls, bitmap: bytes | None) -> NumberSet:
        """Return the set that a bitmap of Redis holds; position 0 is number 1."""
        return cls(np.frombuffer(bitmap or b"", dtype=np.uint8))

    @classmethod
    def joined(cls, bitmaps: Sequence[bytes | None], chunk_size: int) -> NumberSet:
        """Return the set whose chunks of `chunk_size` (a multiple of 8) numbers are `bitmaps`, in order."""
        width = chunk_size // 8
        used = max((chunk * width + len(bitmap) for chunk, bitmap in enumerate(bitmaps) if bitmap), default=0)
        packed = np.zeros(used, dtype=np.uint8)
        for chunk, bitmap in enumerate(bitmaps):
            if bitmap:
                packed[chunk * width : chunk * width + len(bitmap)] = np.frombuffer(bitmap, dtype=np.uint8)
        return cls(packed)

    @classmethod
    def of_spans(cls, spans: Iterable[tuple[int, int]]) -> NumberSet:
        """Return the numbers of the (first, last) `spans`, both included."""
        given = [(first, last) for first, last in spans if last >= first]
        packed = np.zeros(-(-max((last for _, last in given), default=0) // 8), dtype=np.uint8)
        for first, last in given:
            low, high = (first - 1) // 8, (last - 1) // 8
            head, tail = 0xFF >> ((first - 1) % 8), 0xFF & (0xFF00 >> ((last - 1) % 8 + 1))
            if low == high:
                packed[low] |= head & tail
            else:
                packed[low] |= head
                packed[low + 1 : high] = 0xFF
                packed[high] |= tail
        return cls(packed)

    @classmethod
    def of_numbers(cls, numbers: Sequence[int]) -> NumberSet:
        """Return the set of `numbers`, each 1 or more."""
        bits = np.asarray(numbers, dtype=np.int64) - 1
        packed = np.zeros(int(bits.max(initial=-1)) // 8 + 1, dtype=np.uint8)
        np.bitwise_or.at(packed, bits >> 3, (128 >> (bits & 7)).astype(np.uint8))
        return cls(packed)

    def __or__(self, other: NumberSet) -> NumberSet:
        shorter, longer = sorted((self.packed, other.packed), key=len)
        packed = longer.copy()
        packed[: len(shorter)] |= shorter
        return NumberSet(packed)

    def __and__(self, other: NumberSet) -> NumberSet:
        common = min(len(self.packed), len(other.packed))
        return NumberSet(self.packed[:common] & other.packed[:common])

    def __sub__(self, other: NumberSet) -> NumberSet:
        packed = self.packed.copy()
        common = min(len(packed), len(other.packed))
        packed[:common] &= ~other.packed[:common]
        return NumberSet(packed)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NumberSet):
            return NotImplemented
        return not (self - other) and not (other - self)

    __hash__ = None  # type: ignore[assignment]  # a set of numbers is no key

    def __bool__(self) -> bool:
        return bool(self.packed.any())

    def __len__(self) -> int:
        return int(np.bitwise_count(self.packed).sum())

    def __iter__(self) -> Iterator[int]:
        return (number for first, last in self.spans() for number in range(first, last + 1))

    def __repr__(self) -> str:
        return f"NumberSet({named(self)})"

    def total(self) -> int:
        """Return the sum of the numbers."""
        bytes_before = np.arange(len(self.packed), dtype=np.int64) * 8
        counts = np.bitwise_count(self.packed).astype(np.int64)
        return int(np.dot(counts, bytes_before)) + int(_POSITIONS[self.packed].sum())

    def between(self, first: int, last: int) -> NumberSet:
        """Return the numbers from `first` to `last`, both included."""
        if last < first:
            return NumberSet()
        packed = self.packed[: -(-last // 8)].copy()
        packed[: (first - 1) // 8] = 0
        if len(packed) > (first - 1) // 8:
            packed[(first - 1) // 8] &= 0xFF >> ((first - 1) % 8)
        if len(packed) * 8 > last:
            packed[-1] &= 0xFF & (0xFF00 >> ((last - 1) % 8 + 1))
        return NumberSet(packed)

    def upto(self, last: int) -> NumberSet:
        """Return the numbers up to `last`."""
        return self.between(1, last)

    def spans(self, most: int | None = None) -> list[tuple[int, int]]:
        """Return the first `most` (default: all) spans (first, last) of numbers in a row."""
        used = np.flatnonzero(self.packed)
        if not len(used):
            return []
        low = int(used[0])
        bits = np.unpackbits(self.packed[low : int(used[-1]) + 1])
        edges = np.flatnonzero(np.diff(bits, prepend=np.uint8(0), append=np.uint8(0)))
        pairs = edges.reshape(-1, 2)[:most] + low * 8
        return [(int(first) + 1, int(last)) for first, last in pairs]


def named(numbers: NumberSet, most: int = 5) -> str:
    """Name the numbers, such as "3 (12–13, 40)"; after `most` spans it says "…"."""
    spans = numbers.spans(most + 1)
    texts = [f"{first}" if first == last else f"{first}–{last}" for first, last in spans[:most]]
    return f"{len(numbers):,} ({', '.join(texts)}{', …' if len(spans) > most else ''})"

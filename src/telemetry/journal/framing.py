"""How events lie in a journal and travel to Redis: framed, back to back.

A record is a marker, a checksum, a length, the event's number and its JSON text. It counts only when
the checksum holds, so what a killed process or a crashed machine left half written is recognised and
never shipped. The marker's first byte cannot occur in UTF-8: behind a damaged record the next sound one
is found by searching. The write script (`write.lua`) takes the very bytes of the journal, so that nothing
is done per event on their way.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

MARKER: Final = b"\xf5VJ1"
RECORD: Final = struct.Struct("<4sIIQ")
"""Marker, checksum, length of the event, number of the event."""


@dataclass(frozen=True, slots=True)
class Record:
    """One event; `event` is its JSON text, which already holds producer and number."""

    number: int
    event: bytes

    @property
    def framed(self) -> bytes:
        """The record as it is stored."""
        return frame(self.number, self.event) + self.event


@dataclass(frozen=True, slots=True)
class Run:
    """The events of the numbers `first` to `last`, without a hole, framed."""

    first: int
    last: int
    framed: bytes

    @classmethod
    def of(cls, records: Iterable[Record]) -> Run:
        """Frame at least one record; their numbers follow one another."""
        listed = list(records)
        return cls(listed[0].number, listed[-1].number, b"".join(each.framed for each in listed))

    @property
    def size(self) -> int:
        """How many events it holds."""
        return self.last - self.first + 1

    def records(self) -> Iterator[Record]:
        """Yield its events one by one."""
        start = RECORD.size
        while start <= len(self.framed):
            _, _, length, number = RECORD.unpack_from(self.framed, start - RECORD.size)
            yield Record(number, self.framed[start : start + length])
            start += length + RECORD.size


class StoredRun(NamedTuple):
    """Records that lie one behind the other under the numbers `first` to `last`, and where they lie."""

    first: int
    last: int
    start: int
    end: int

    @property
    def events(self) -> int:
        """How many it holds."""
        return self.last - self.first + 1

    @property
    def size(self) -> int:
        """Bytes they take."""
        return self.end - self.start


def frame(number: int, event: bytes) -> bytes:
    """Return the head that `event` is stored behind."""
    return RECORD.pack(MARKER, checksum(number, event), len(event), number)


def checksum(number: int, event: bytes) -> int:
    """Return the CRC-32 of the text, begun with the number, so that a change of either shows."""
    return zlib.crc32(event, (number ^ number >> 32) & 0xFFFFFFFF)

"""One file of a journal: a page of header, then records, mapped into memory.

The records are framed (`framing`). Layout of the header: magic (8 bytes), highest number shipped (8), two
slots for the gap behind the last record (64 each, written in turn so that one is always sound), highest
number in this file (8), number up to which a crash of the machine may have cost events (8), from 256 on
length, checksum and JSON of the producer's attributes. A number in the header has its checksum beside it;
both are stored at once.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import orjson

from vigie.telemetry.journal.framing import MARKER, RECORD, Record, Run, StoredRun, checksum
from vigie.telemetry.stream.items import Gap

MAGIC: Final = b"VIGIEJ1\0"
HEADER_BYTES: Final = mmap.PAGESIZE
READ_BYTES: Final = 4 * 1024 * 1024
"""Bytes of records read at once, whatever their number."""
SEARCH_BYTES: Final = 512 * 1024
"""Bytes searched in one go, which takes a fraction of a millisecond."""
FAULT_BYTES: Final = 128 * 1024
"""Bytes brought into memory in one go: a kernel that does not interrupt itself keeps a core meanwhile."""
FAULT_PAUSE_SECONDS: Final = 0.0005
ALL: Final = 1 << 62
REASON_BYTES: Final = 32
"""Longest reason of a gap."""

_MARK: Final = struct.Struct("<II")
"""A number and its checksum: eight aligned bytes, which a kill does not cut in two."""
_SHIPPED_AT: Final = 8
_GAP: Final = struct.Struct(f"<II QQ {REASON_BYTES}s")
"""Checksum, turn, first and last number, reason."""
_GAP_AT: Final = (16, 80)
_HIGH_AT: Final = 144
_PROMISED_AT: Final = 152
_ATTRIBUTES: Final = struct.Struct("<II")
_ATTRIBUTES_AT: Final = 256


def _mark_checksum(number: int) -> int:
    return zlib.crc32(number.to_bytes(4, "little"))


class Segment:
    """A file of a journal; made by `create` (to write) or `open` (what a dead process left)."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self.used = size
        """Offset behind the last record; of one that a dead process left, the size of the file."""
        self.gap: Gap | None = None
        """Numbers dropped after the last record."""
        self._descriptor = descriptor
        self._mapping = mmap.mmap(descriptor, size)
        self._synced = HEADER_BYTES
        self._turn = 0
        self._open = threading.Lock()  # keeps a file from being closed while it is synced

    @classmethod
    def create(
        cls, path: Path, size: int, attributes: Mapping[str, str], *, patiently: bool = False
    ) -> Segment:
        """Make a file of `size` bytes whose room on disk is certain and whose pages are in memory.

        That takes tens of milliseconds of a core; `patiently`, whoever else wants it gets it in between.
        Raises OSError when the disk has no room: found out here, since writing to a mapping without room
        behind it would kill the process.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            segment = cls(path, descriptor, size)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        segment._fault_in(FAULT_PAUSE_SECONDS if patiently else 0.0)
        about = orjson.dumps(dict(attributes))[: HEADER_BYTES - _ATTRIBUTES_AT - _ATTRIBUTES.size]
        head = _ATTRIBUTES.pack(len(about), zlib.crc32(about)) + about
        segment._mapping[_ATTRIBUTES_AT : _ATTRIBUTES_AT + len(head)] = head
        segment._mapping[: len(MAGIC)] = MAGIC
        segment._begin()
        return segment

    def begin_anew(self, path: Path) -> None:
        """Make it the empty file `path`, in the room and the memory that it has. Raises OSError.

        All its records must be shipped. They stay behind the new ones until they are overwritten; their lower
        numbers tell them apart.
        """
        # The marks go first: under the new name the old ones would speak of numbers that are over.
        self._mapping[len(MAGIC) : _ATTRIBUTES_AT] = bytes(_ATTRIBUTES_AT - len(MAGIC))
        self._begin()
        self.rename(path)

    def rename(self, path: Path) -> None:
        """Give it another name. Raises OSError."""
        self.path.rename(path)
        self.path = path

    def _begin(self) -> None:
        self.used = HEADER_BYTES
        self.gap, self._turn, self._synced = None, 0, 0

    @classmethod
    def open(cls, path: Path) -> Segment | None:
        """Map what a dead process left; None for a file that was never finished."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        size = os.fstat(descriptor).st_size
        if size <= HEADER_BYTES:
            os.close(descriptor)
            return None
        segment = cls(path, descriptor, size)
        segment.gap = segment._stored_gap()
        return segment

    def _fault_in(self, pause_seconds: float) -> None:
        # Reading zeros into the mapping makes the kernel map its pages for writing without holding the
        # interpreter's lock, which touching them from here would do.
        with open("/dev/zero", "rb", buffering=0) as zeros, memoryview(self._mapping) as pages:  # noqa: PTH123
            for start in range(0, self.size, FAULT_BYTES):
                with pages[start : start + FAULT_BYTES] as some:
                    zeros.readinto(some)
                if pause_seconds:
                    time.sleep(pause_seconds)

    @property
    def room(self) -> int:
        """Bytes left for records."""
        return self.size - self.used

    def write(self, records: bytes) -> None:
        """Put framed records behind the last one; the caller has looked for room."""
        end = self.used + len(records)
        self._mapping[self.used : end] = records
        self.used = end

    def declare(self, gap: Gap) -> None:
        """Note the numbers dropped after the last record, in the place of what was noted before."""
        self._turn += 1
        body = _GAP.pack(0, self._turn, gap.first, gap.last, gap.reason.encode()[:REASON_BYTES])[4:]
        at = _GAP_AT[self._turn % 2]
        self._mapping[at : at + _GAP.size] = zlib.crc32(body).to_bytes(4, "little") + body
        self.high = gap.last
        self.gap = gap

    def _stored_gap(self) -> Gap | None:
        found: list[tuple[int, Gap]] = []
        for at in _GAP_AT:
            slot = self._mapping[at : at + _GAP.size]
            stored, turn, first, last, reason = _GAP.unpack(slot)
            if turn and zlib.crc32(slot[4:]) == stored:
                text = reason.rstrip(b"\0").decode("utf-8", "ignore")
                found.append((turn, Gap(first, last, text)))
        return max(found, key=lambda each: each[0])[1] if found else None

    @property
    def shipped(self) -> int:
        """Highest number known to be shipped when this segment was the oldest; 0 when that is damaged."""
        return self._mark(_SHIPPED_AT) or 0

    @shipped.setter
    def shipped(self, number: int) -> None:
        self._set_mark(_SHIPPED_AT, number)

    @property
    def high(self) -> int:
        """Number of the last event written to this file or dropped behind it, readable or not."""
        return self._mark(_HIGH_AT) or 0

    @high.setter
    def high(self, number: int) -> None:
        self._set_mark(_HIGH_AT, number)

    @property
    def promised(self) -> int | None:
        """Number that was not passed before a later promise was on the disk (`promise.py`)."""
        return self._mark(_PROMISED_AT)

    @promised.setter
    def promised(self, number: int) -> None:
        self._set_mark(_PROMISED_AT, number)
        self._synced = 0

    @property
    def keeps_promise(self) -> bool:
        """Whether the promise is on the disk."""
        return self._synced > 0

    def _mark(self, at: int) -> int | None:
        number, stored = _MARK.unpack_from(self._mapping, at)
        return int(number) if _mark_checksum(number) == stored else None

    def _set_mark(self, at: int, number: int) -> None:
        self._mapping[at : at + _MARK.size] = _MARK.pack(number, _mark_checksum(number))

    @property
    def gone(self) -> bool:
        """Whether somebody removed the file; what is in the mapping can still be read."""
        return os.fstat(self._descriptor).st_nlink == 0

    @property
    def attributes(self) -> dict[str, str]:
        """Who wrote it: role, host, boot, pid, started; empty when the header is damaged."""
        length, stored = _ATTRIBUTES.unpack_from(self._mapping, _ATTRIBUTES_AT)
        start = _ATTRIBUTES_AT + _ATTRIBUTES.size
        about = self._mapping[start : min(start + length, HEADER_BYTES)]
        if zlib.crc32(about) != stored or not about:
            return {}
        found: dict[str, str] = orjson.loads(about)
        return found

    def runs(
        self, start: int, end: int, *, after: int = 0, most: int = ALL, trusted: bool = False
    ) -> Iterator[StoredRun]:
        """Yield the sound records above number `after` between two offsets, those without a hole together.

        A run has at most `most` records and about READ_BYTES. What is damaged is passed over; with `trusted`,
        which is for what this process wrote itself, nobody looks for damage.
        """
        if trusted:
            yield from self._written_runs(start, end, after, most)
            return
        first = last = began = 0
        offset = start
        while True:
            found = self._sound_at(offset, end)
            number, stop = found or (0, offset)
            full = first and (last - first + 1 >= most or offset - began >= READ_BYTES)
            if first and (full or number != last + 1):
                yield StoredRun(first, last, began, offset)
                first, after = 0, last
            if found is None:
                offset = self._mapping.find(MARKER, offset + 1, end)
                if offset < 0:
                    return
                continue
            if number > after:
                if not first:
                    first, began = number, offset
                last = number
            offset = stop

    def _written_runs(self, start: int, end: int, after: int, most: int) -> Iterator[StoredRun]:
        unpack, head, mapping = RECORD.unpack_from, RECORD.size, self._mapping  # a step for each event
        first = last = began = 0
        offset = start
        while offset < end:
            _, _, length, number = unpack(mapping, offset)
            if number > after:
                if first and (number != last + 1 or number - first >= most or offset - began >= READ_BYTES):
                    yield StoredRun(first, last, began, offset)
                    first = 0
                if not first:
                    first, began = number, offset
                last = number
            offset += head + length
        if first:
            yield StoredRun(first, last, began, offset)

    def run(self, stored: StoredRun) -> Run:
        """Return a copy of the records of `stored`."""
        return Run(stored.first, stored.last, self._mapping[stored.start : stored.end])

    def holding(self, text: bytes, deadline: float) -> Iterator[Record]:
        """Yield the sound records that hold `text`, in this file and of whatever it was before.

        No other record is looked at. Raises TimeoutError after the monotonic time `deadline`.
        """
        for start in range(HEADER_BYTES, self.size, SEARCH_BYTES):  # in steps, so that other threads get on
            if time.monotonic() > deadline:
                raise TimeoutError
            end = min(self.size, start + SEARCH_BYTES + len(text) - 1)
            at = self._mapping.find(text, start, end)
            while at >= 0:
                begin = self._mapping.rfind(MARKER, HEADER_BYTES, at)
                number, stop = (self._sound_at(begin, self.size) if begin >= 0 else None) or (0, 0)
                if stop > at:
                    yield Record(number, self._mapping[begin + RECORD.size : stop])
                at = self._mapping.find(text, max(stop, at + 1), end)
            time.sleep(0)

    def _sound_at(self, offset: int, end: int) -> tuple[int, int] | None:
        """Return the number of the record at `offset`, and the offset behind it; None for a damaged one."""
        start = offset + RECORD.size
        if start > end:
            return None
        marker, stored, length, number = RECORD.unpack_from(self._mapping, offset)
        stop = start + length
        if marker != MARKER or length == 0 or stop > end:  # the checksum of nothing would hold
            return None
        return (number, stop) if checksum(number, self._mapping[start:stop]) == stored else None

    def sync(self) -> None:
        """Bring what was written since the last time to the disk.

        By fsync, which on the systems we run on covers a shared mapping and, unlike mmap.flush, does not hold
        the interpreter's lock.
        """
        used = self.used
        with self._open:
            if self._synced < used and self._descriptor >= 0:
                os.fsync(self._descriptor)
                self._synced = used

    def close(self) -> None:
        """Unmap and close the file; it stays on disk."""
        with self._open:
            self.abandon()

    def abandon(self) -> None:
        """Unmap and close without waiting for anybody: for a forked child, where no other thread runs."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._mapping.close()

    def delete(self) -> None:
        """Close the file and remove it."""
        self.close()
        self.path.unlink(missing_ok=True)

"""Reading a journal in order: what has not been shipped yet, and the gaps in it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Final, NamedTuple

from vigie.telemetry.journal.framing import Run, StoredRun
from vigie.telemetry.journal.segment import ALL, HEADER_BYTES, READ_BYTES, Segment
from vigie.telemetry.stream.items import Gap

DAMAGED: Final = "journal damaged"
"""Reason of a gap that is found, not declared: numbers whose records do not hold their checksum."""
CRASHED: Final = "lost with the machine, at most"
"""Reason of the gap behind the last record after a crash of the machine: up to what was promised."""
KEEP_SECONDS: Final = 3.0
"""How long a shipped file stays: a Redis whose machine crashed comes back without its last second or two
(appendfsync everysec), and is given them again."""

USED_SECONDS: Final = 30.0
"""How much longer it waits to be used again: under load, nothing is made and nothing removed."""


class Position(NamedTuple):
    """A place in a journal."""

    segment: Segment
    offset: int


class JournalReader:
    """Reads the segments of one journal; used by one thread at a time, while another may append.

    `segments` is shared with the journal: appended to by the writer, taken off here once shipped, oldest
    first, and deleted some seconds later. The last one always stays. `lock` is held to look at what the
    writer changes. `ends` are (number, reason): what is missing up to that number is a gap for that reason,
    also behind the last record. A journal that is `trusted`, being this process's own, is not looked through
    for damage.
    """

    def __init__(
        self,
        segments: deque[Segment],
        lock: AbstractContextManager[object] | None = None,
        shipped: int = 0,
        ends: Sequence[tuple[int, str]] = (),
        *,
        trusted: bool = False,
    ) -> None:
        self.shipped = shipped
        """Highest number that needs no shipping any more."""
        self._segments = segments
        self._lock = lock if lock is not None else threading.Lock()
        self._ends = ends
        self._trusted = trusted
        self._retired: deque[tuple[float, Segment]] = deque()
        """Files wholly shipped, oldest first, with the time until which they stay."""
        self._offset = HEADER_BYTES  # in the oldest segment
        self._read_up_to: tuple[int, Position] | None = None

    @property
    def done_bytes(self) -> int:
        """Bytes of records in the oldest segment that are shipped."""
        return self._offset - HEADER_BYTES

    def read(self, limit: int) -> list[Run | Gap]:
        """Return up to `limit` events not shipped yet, in order of their numbers, without gap between them.

        Numbers that should be there and are not come as a Gap. The same items come again until `advance`.
        """
        self.let_go()
        items: list[Run | Gap] = []
        room = READ_BYTES
        for found, position in self.walk(limit):
            events, size = (1, 0) if isinstance(found, Gap) else (found.events, found.size)
            limit, room = limit - events, room - size
            if items and (limit < 0 or room < 0):
                break
            items.append(found if isinstance(found, Gap) else position.segment.run(found))
            self._read_up_to = (found.last, position)
            if limit == 0:
                break
        return items

    def advance(self, high: int) -> None:
        """Take note that everything up to number `high` is shipped."""
        if high <= self.shipped:
            return
        position = self._position_of(high)
        self.shipped = high
        if position is not None:
            position.segment.shipped = high
            while self._segments[0] is not position.segment:
                self._retire_oldest()
            self._offset = position.offset
        while len(self._segments) > 1 and self._done(self._segments[0]):
            self._segments[1].shipped = high
            self._retire_oldest()

    def rewind(self, high: int) -> None:
        """Go back to number `high`, as far as the journal still has what follows it.

        For a Redis that came back without its last writes. What is no longer here is not declared: nobody
        knows what became of it, and the ledger names it as missing.
        """
        if high >= self.shipped:
            return
        with self._lock:
            while self._retired:
                self._segments.appendleft(self._retired.pop()[1])
            runs = (each.runs(HEADER_BYTES, each.used, most=1) for each in tuple(self._segments))
        oldest = next(chain.from_iterable(runs), None)
        if oldest is not None and oldest.first <= self.shipped:
            self.shipped = max(high, oldest.first - 1)
        self._offset, self._read_up_to = HEADER_BYTES, None

    @property
    def retired(self) -> list[Segment]:
        """The files that are shipped and still there; without the lock, for a forked child."""
        return [segment for _, segment in tuple(self._retired)]

    def take_used(self) -> Segment | None:
        """Return a file whose time is over, to be used again, if there is one."""
        with self._lock:
            if self._retired and self._retired[0][0] <= time.monotonic():
                return self._retired.popleft()[1]
        return None

    def let_go(self, needed: int = 0) -> None:
        """Delete the files whose time is long over, and up to `needed` before. Raises OSError."""
        now = time.monotonic() - USED_SECONDS
        while True:
            with self._lock:
                if not self._retired or (needed <= 0 and self._retired[0][0] > now):
                    return
                _, segment = self._retired.popleft()
            needed -= 1
            segment.delete()

    def walk(self, most: int = ALL) -> Iterator[tuple[StoredRun | Gap, Position]]:
        """Yield what is not shipped yet, in order, each with the place behind it; runs of at most `most`."""
        expected = self.shipped + 1
        offset = self._offset
        with self._lock:
            extents = [(segment, segment.used, segment.gap) for segment in self._segments]
        for segment, used, gap in extents:
            for run in segment.runs(offset, used, after=expected - 1, most=most, trusted=self._trusted):
                if run.first > expected:
                    yield Gap(expected, run.first - 1, DAMAGED), Position(segment, offset)
                offset = run.end
                yield run, Position(segment, offset)
                expected = run.last + 1
            if gap is not None and gap.last >= expected:
                if gap.first > expected:
                    yield Gap(expected, gap.first - 1, DAMAGED), Position(segment, offset)
                yield Gap(max(gap.first, expected), gap.last, gap.reason), Position(segment, offset)
                expected = gap.last + 1
            offset = HEADER_BYTES
        for end, reason in self._ends:
            if end >= expected:
                yield Gap(expected, end, reason), Position(segment, offset)
                expected = end + 1

    def _position_of(self, high: int) -> Position | None:
        if self._read_up_to is not None and self._read_up_to[0] == high:
            return self._read_up_to[1]
        found: Position | None = None
        for item, position in self.walk(most=1):
            if item.last > high:
                break
            found = position
        return found

    def _done(self, segment: Segment) -> bool:
        if segment.gap is not None and segment.gap.last > self.shipped:
            return False
        left = segment.runs(self._offset, segment.used, after=self.shipped, most=1, trusted=self._trusted)
        return next(left, None) is None

    def _retire_oldest(self) -> None:
        with self._lock:
            self._retired.append((time.monotonic() + KEEP_SECONDS, self._segments.popleft()))
        self._offset = HEADER_BYTES

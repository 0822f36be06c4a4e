"""The journal: buffer, spill and crash record of a process's events in one.

A memory-mapped, append-only list of segments. What was appended survives the death of the process by
any signal; `maintain` brings it to the disk by interval, which bounds what a crash of the machine
takes. When it is full, events are dropped and the gap is declared in the journal itself.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import orjson
from loguru import logger

from vigie.settings import JournalSettings
from vigie.telemetry.event import Event, abridged, storable
from vigie.telemetry.ids import iso_timestamp, new_producer_id
from vigie.telemetry.journal.files import JournalFiles, segment_size
from vigie.telemetry.journal.framing import RECORD, Run, frame
from vigie.telemetry.journal.home import HeldFolder, make_folder
from vigie.telemetry.journal.promise import Promise, boot_id
from vigie.telemetry.journal.reader import JournalReader
from vigie.telemetry.journal.segment import HEADER_BYTES, Segment
from vigie.telemetry.stream.items import Gap

LARGEST_EVENT_BYTES: Final = 1024 * 1024
"""A larger event is abridged."""
FULL: Final = "journal full"


class Journal:
    """The events of this process, from `append` until they are shipped. Safe among threads.

    After a fork the child's copy is `abandoned`: it takes nothing, and never touches the parent's files.
    """

    def __init__(self, folder: HeldFolder, role: str, max_bytes: int, fsync_seconds: float) -> None:
        self.producer = folder.producer
        self.attributes = {
            "role": role,
            "host": socket.gethostname(),
            "boot": boot_id(),
            "pid": str(os.getpid()),
            "started": iso_timestamp(time.time_ns()),
        }
        self.high = 0
        """Number of the newest event, dropped ones included."""
        self.dropped = 0
        """Events dropped because the journal was full; their numbers are declared."""
        self.refused = 0
        """Events that took no number: not of an event's shape, or after the end."""
        self.abandoned = False
        self.wanted = threading.Event()
        """Set when `maintain` has something to do before its next interval."""
        self._folder = folder
        segment_bytes = segment_size(max_bytes)
        self._files = JournalFiles(folder, segment_bytes, self.attributes)
        self._most_segments = max_bytes // segment_bytes
        self._largest = min(LARGEST_EVENT_BYTES, (segment_bytes - HEADER_BYTES) // 4)
        self._lock = threading.RLock()
        self._appending = False
        self._deferred: deque[Event] = deque()
        self._closed = False
        self._spare: Segment | None = None
        self._segments = deque([self._files.make()])
        self._promise = Promise(fsync_seconds, time.monotonic())
        self._renew_promise()
        self._reader = JournalReader(self._segments, self._lock, trusted=True)
        _living.add(self)

    @classmethod
    def create(cls, home: Path, role: str, settings: JournalSettings) -> Self:
        """Make the journal of a new producer under `home`. Raises OSError where that cannot be written."""
        folder = make_folder(home, new_producer_id())
        try:
            return cls(folder, role, settings.journal_max_bytes, settings.journal_fsync_ms / 1000)
        except OSError:
            folder.delete()
            raise

    # Writing

    def append(self, events: Sequence[Event]) -> None:
        """Number the events, set their `producer` and `number`, and copy them into the journal, in one go.

        Never raises and never waits for Redis. Full: the numbers are skipped and a gap is declared. What
        JSON cannot hold is stored as text. The lock may be entered again by the same thread (a finaliser
        or a signal handler that logs); those events follow the ones in hand.
        """
        with self._lock:
            if self._appending:
                self._deferred.extend(events)
                return
            self._appending = True
            try:
                self._append(events)
                while self._deferred:
                    self._append([self._deferred.popleft()])
            finally:
                self._appending = False

    def _append(self, events: Sequence[Event]) -> None:
        if self._closed:
            self.refused += len(events)
            return
        number, segment = self.high, self._segments[-1]
        parts: list[bytes] = []
        room = segment.room if segment.gap is None else 0  # nothing goes behind a gap
        for event in events:
            text = self._serialise(event, number + 1)
            if text is None:
                continue
            size = RECORD.size + len(text)
            if size > room:
                self._commit(segment, parts, number)
                parts = []
                following = self._next_segment()
                number += 1
                if following is None:
                    self._drop(segment, number)
                    room = 0
                    continue
                segment, room = following, following.room
            else:
                number += 1
            parts += (frame(number, text), text)
            room -= size
        self._commit(segment, parts, number)

    def _serialise(self, event: Event, number: int) -> bytes | None:
        try:
            data = event["data"]
            data["producer"] = self.producer
            data["number"] = number
            try:
                text = orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY)
            except TypeError:
                text = orjson.dumps(storable(event))
            return text if len(text) <= self._largest else orjson.dumps(abridged(event, len(text)))
        except Exception:  # noqa: BLE001 - whatever an event holds, the request must not notice
            self.refused += 1
            return None

    def _commit(self, segment: Segment, parts: Sequence[bytes], number: int) -> None:
        if parts:
            segment.write(b"".join(parts))
            segment.high = number
        self.high = max(self.high, number)
        if self._promise.is_due(number) and not self.wanted.is_set():
            self.wanted.set()

    def _drop(self, segment: Segment, number: int) -> None:
        gap = segment.gap
        reason = self._files.fault or FULL
        segment.declare(Gap(number, number, reason) if gap is None else Gap(gap.first, number, gap.reason))
        self.high = number
        self.dropped += 1

    def _next_segment(self) -> Segment | None:
        following, self._spare = self._spare, None
        if following is None and self._files.fault is None:
            # The one prepared was not ready: better a moment of disk work here than a lost event.
            following = self._try_to_make()
        if following is not None:
            following.promised = self._promise.upto
            self._segments.append(following)
            self.wanted.set()
        return following

    # Shipping: by one thread

    @property
    def shipped(self) -> int:
        """Highest number that is shipped."""
        return self._reader.shipped

    @property
    def backlog(self) -> int:
        """Numbers not shipped yet, dropped ones included."""
        return self.high - self._reader.shipped

    @property
    def bytes_used(self) -> int:
        """Bytes of the records not shipped yet."""
        with self._lock:
            return sum(segment.used - HEADER_BYTES for segment in self._segments) - self._reader.done_bytes

    @property
    def accepting(self) -> bool:
        """Whether the next event finds room."""
        with self._lock:
            dropping = self._segments[-1].gap is not None and self._spare is None
            stuck = self._files.fault is not None or len(self._segments) >= self._most_segments
            return not (self._closed or (dropping and stuck))

    def read(self, limit: int) -> list[Run | Gap]:
        """Return up to `limit` events not shipped yet, in order (`JournalReader.read`)."""
        return self._reader.read(limit)

    def advance(self, high: int) -> None:
        """Take note that everything up to `high` is shipped; its room is free again."""
        self._reader.advance(high)
        if self._spare is None:
            self.wanted.set()

    def rewind(self, high: int) -> None:
        """Ship again what follows `high`, as far as it is still here (`JournalReader.rewind`)."""
        self._reader.rewind(high)

    # Keeping: by one thread

    def maintain(self) -> None:
        """Prepare the next segment and bring what is not shipped to the disk. Raises OSError."""
        self.wanted.clear()
        self._prepare()
        with self._lock:
            if self._promise.is_due(self.high) and not self._closed:
                self._renew_promise()
            unsynced = [each for each in self._segments if self.backlog or not each.keeps_promise]
        for segment in unsynced:
            segment.sync()
        self._restore()

    def _renew_promise(self) -> None:
        self._promise.renew(self.high, time.monotonic())
        self._segments[-1].promised = self._promise.upto

    def _restore(self) -> None:
        """When somebody removed the files, go on in new ones: what follows survives a kill again.

        What was in the old ones is shipped from memory; if this process is killed before, it is a gap.
        """
        if self._closed or not (self._folder.gone or self._segments[-1].gone):
            return
        made = self._files.make()
        with self._lock:
            self._files.keep_behind(self._segments[-1], made)
            made.promised = self._promise.upto
            self._segments.append(made)
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.delete()
        logger.warning("somebody removed the journal under {}: it goes on there anew", self._folder.path)

    def _prepare(self) -> None:
        if self._spare is not None or self._closed:
            return
        made = self._try_to_make(patiently=True)
        if made is None:
            return
        with self._lock:
            if self._closed or self._spare is not None or len(self._segments) >= self._most_segments:
                made.delete()
            else:
                self._files.keep_behind(self._segments[-1], made)
                self._spare = made

    def _try_to_make(self, *, patiently: bool = False) -> Segment | None:
        room = self._most_segments - len(self._segments)
        if room <= 0:
            return None
        used = self._reader.take_used()
        try:
            self._reader.let_go(needed=len(self._reader.retired) + 1 - room)
        except OSError as error:
            logger.warning("a shipped file of the journal cannot be removed: {}", error)
        return self._files.try_to_make(used, patiently=patiently)

    # Ending

    def close(self, *, delete: bool) -> None:
        """Take no more events; remove the folder when all is shipped, else leave it to the next process."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.delete()
        if not delete:
            self._segments[-1].promised = self.high  # an orderly end: nothing comes after it
        for segment in (*self._reader.retired, *self._segments):
            if not delete:
                segment.sync()
            segment.close()
        if delete:
            self._folder.delete()
        self._folder.release()

    def abandon(self) -> None:
        """Let go of the parent's files, in a forked child."""
        self._lock, self._appending, self._closed, self.abandoned = threading.RLock(), False, True, True
        spare = [self._spare] if self._spare else []
        for segment in (*self._reader.retired, *self._segments, *spare):
            segment.abandon()
        self._folder.release()


_living: weakref.WeakSet[Journal] = weakref.WeakSet()


def _abandon_in_child() -> None:
    for journal in _living:
        journal.abandon()


os.register_at_fork(after_in_child=_abandon_in_child)

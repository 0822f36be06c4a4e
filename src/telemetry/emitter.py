"""What the services use: `emit` journals an event before the answer leaves; threads do the rest."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from loguru import logger

from vigie.errors import VigieError
from vigie.settings import Settings
from vigie.telemetry.destination import Destination, RedisDestination, StandardOutput
from vigie.telemetry.event import Event
from vigie.telemetry.flusher import TELEMETRY_THREAD, Flusher
from vigie.telemetry.journal.journal import Journal
from vigie.telemetry.observer import ThreadMeter
from vigie.telemetry.stream.keys import NUMBER_LIMIT
from vigie.telemetry.stream.stream import connect

Role = Literal["api", "ui", "pipeline"]
LAST_NUMBER: Final = NUMBER_LIMIT - 1_000_000
"""Number from which on a process goes on as a new producer: 40 hours at 15,000 events/s. The rest is room
for the batches in hand."""
LONG_GRACE_SECONDS: Final = 60.0
"""What a producer that is used up has to ship its rest, beside its successor."""
RENEW_SECONDS: Final = 1.0
"""How long a process that can make no journal refuses its events before it tries again."""


class JournalError(VigieError):
    """The journal cannot be made where VIGIE_HOME points."""


@dataclass(frozen=True, slots=True)
class EmitterStatus:
    """How the telemetry of this process is doing."""

    producer: str
    high: int
    """Number of the newest event, dropped ones included."""
    shipped: int
    """Number up to which Redis has them."""
    backlog: int
    """Numbers not shipped yet."""
    journal_bytes: int
    """Bytes of events not shipped yet."""
    dropped: int
    """Events dropped because the journal was full; their numbers are declared."""
    refused: int
    """Events that took no number: not of an event's shape, or emitted after the end."""
    accepting: bool
    """Whether the journal takes the next event."""
    redis_error: str | None
    """Why events cannot be shipped; None while they are."""
    stream_full: bool
    """Whether the stream holds REDIS_STREAM_MAX_ENTRIES entries that are not indexed."""
    events: int
    """Events emitted by this process."""
    emit_seconds: float
    """CPU time of emitting events one by one: logs and reports; those of requests are measured together."""
    shipping_seconds: float = 0.0
    """CPU time of the background threads in turns that brought events to Redis or to the disk."""
    upkeep_seconds: float = 0.0
    """CPU time of their other turns."""


class JournalKeeper(threading.Thread):
    """Prepares the journal's next segment and syncs it to the disk every `interval_seconds`."""

    def __init__(self, journal: Journal, interval_seconds: float) -> None:
        super().__init__(name=f"{TELEMETRY_THREAD}-keeper", daemon=True)
        self.meter = ThreadMeter()
        """CPU time of this thread; a turn without a new event is upkeep."""
        self._journal = journal
        self._interval_seconds = interval_seconds
        self._stopping = False

    def run(self) -> None:
        """Keep the journal until stopped."""
        told, high = "", 0
        while not self._stopping:
            try:
                self._journal.maintain()
            except OSError as error:
                if told != str(error):  # once, not every second
                    told = str(error)
                    logger.warning("the journal cannot be brought to the disk: {}", told)
            self.meter.turned(worked=self._journal.high != high)
            high = self._journal.high
            if not self._stopping:  # the call that stops may have been wiped out by `maintain`
                self._journal.wanted.wait(self._interval_seconds)

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self._journal.wanted.set()
        self.join()


class Emitter:
    """The telemetry of this process, from `start` to `stop`. Safe among threads.

    A forked child gets a journal and threads of its own at its first event, and so does a process whose
    numbers near their end (`LAST_NUMBER`): it goes on as another producer.
    """

    def __init__(self, settings: Settings, role: Role) -> None:
        self._settings = settings
        self._role: Role = role
        self._renewal = threading.Lock()
        self._events = 0
        self._emit_ns = 0
        self._renew_at = 0.0
        self._begin()
        _living.add(self)

    @classmethod
    def start(cls, settings: Settings, role: Role) -> Emitter:
        """Make the journal and start shipping: to Redis, or to stdout when LOG_TO_REDIS is false.

        Redis may be away. Raises JournalError when VIGIE_HOME cannot be written.
        """
        return cls(settings, role)

    def _begin(self) -> None:
        home = journal_home(self._settings)
        try:
            self._journal = Journal.create(home, self._role, self._settings.journal)
        except OSError as error:
            raise JournalError(
                f"no journal can be made under {home}: {error}. Set VIGIE_HOME to a folder you can write"
            ) from error
        self._keeper = JournalKeeper(self._journal, self._settings.journal.journal_fsync_ms / 1000)
        self._flusher = Flusher(self._journal, destination(self._settings), home)
        self._keeper.start()
        self._flusher.start()

    def emit(self, event: Event) -> None:
        """Put one event into the journal. Never raises, never waits for Redis."""
        began = time.thread_time_ns()
        self.emit_many((event,))
        self._emit_ns += time.thread_time_ns() - began

    def emit_many(self, events: Sequence[Event]) -> None:
        """Put events into the journal in one go, in their order. Never raises, never waits for Redis.

        Its time is its caller's to measure, together with the making of the events.
        """
        if self._journal.abandoned or self._journal.high >= LAST_NUMBER:
            self._renew()
        self._journal.append(events)
        self._events += len(events)

    def _renew(self) -> None:
        with self._renewal:
            used_up = self._journal.high >= LAST_NUMBER
            if not (self._journal.abandoned or used_up) or time.monotonic() < self._renew_at:
                return
            journal, keeper, flusher = self._journal, self._keeper, self._flusher
            failure = None
            try:
                self._begin()
            except JournalError as error:
                failure = error
                self._renew_at = time.monotonic() + RENEW_SECONDS
        if failure is not None:  # told without the lock: what is logged may come here as an event
            logger.warning("events of this process are not kept: {}", failure)
        elif not journal.abandoned:
            threading.Thread(target=_end, args=(journal, keeper, flusher, LONG_GRACE_SECONDS)).start()

    def status(self) -> EmitterStatus:
        """Return how the telemetry is doing; cheap enough for every scrape and health check."""
        journal, flusher = self._journal, self._flusher
        return EmitterStatus(
            producer=journal.producer,
            high=journal.high,
            shipped=journal.shipped,
            backlog=journal.backlog,
            journal_bytes=journal.bytes_used,
            dropped=journal.dropped,
            refused=journal.refused,
            accepting=journal.accepting,
            redis_error=flusher.error,
            stream_full=flusher.full,
            events=self._events,
            emit_seconds=self._emit_ns / 1e9,
            shipping_seconds=(flusher.meter.working_ns + self._keeper.meter.working_ns) / 1e9,
            upkeep_seconds=(flusher.meter.upkeep_ns + self._keeper.meter.upkeep_ns) / 1e9,
        )

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Ship what is left within the grace time and end.

        With everything shipped the producer is closed and its journal removed; else the journal stays for the
        next process. Events emitted from now on are refused and counted.
        """
        if self._journal.abandoned:
            return
        _end(self._journal, self._keeper, self._flusher, grace_seconds)


def _end(journal: Journal, keeper: JournalKeeper, flusher: Flusher, grace_seconds: float) -> None:
    flusher.stop(grace_seconds)
    keeper.stop()
    journal.close(delete=flusher.finished)


def journal_home(settings: Settings) -> Path:
    """Return where the journals are: apart for events bound for standard output.

    A process adopts the dead under its own home, and must not print what is owed to Redis.
    """
    home = settings.api.vigie_home
    return home if settings.redis.log_to_redis else home / "stdout"


def destination(settings: Settings) -> Destination:
    """Return where events go: Redis, or standard output when LOG_TO_REDIS is false."""
    redis = settings.redis
    if not redis.log_to_redis:
        return StandardOutput()
    return RedisDestination(connect(redis), max_entries=redis.redis_stream_max_entries)


_living: weakref.WeakSet[Emitter] = weakref.WeakSet()


def _free_in_child() -> None:
    for emitter in _living:
        emitter._renewal = threading.Lock()


os.register_at_fork(after_in_child=_free_in_child)

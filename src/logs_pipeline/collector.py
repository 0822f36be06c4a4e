"""Takes entries out of the stream: what this worker left unfinished, what a dead one left, then new ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import redis

from vigie.indices.routing import Epoch, Epochs, epoch_of
from vigie.telemetry.stream.stream import Stream, StreamEntry

BATCH: Final = 500
BATCH_BYTES: Final = 16 * 1024 * 1024
"""About the most that is read at once: of large events, as the last ones were, fewer are asked for."""
MIN_IDLE_MS: Final = 10_000
"""A worker that has not renewed its entries for this long is taken for dead."""
TAKE_OVER_SECONDS: Final = 2.0
"""Between two looks for entries of a dead worker, or handed over by one that stopped."""
MOST_DELIVERIES: Final = 5
"""An entry delivered more often may be what kills its workers: it is then processed alone."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Entries to process together, with the routing that holds for each."""

    entries: Sequence[tuple[StreamEntry, Epoch]]
    suspect: bool = False
    """One entry that was delivered too often."""


class Collector:
    """One consumer of the group; its entries in flight are renewed while it lives."""

    def __init__(
        self,
        stream: Stream,
        epochs: Epochs,
        consumer: str,
        *,
        batch: int = BATCH,
        min_idle_ms: int = MIN_IDLE_MS,
    ) -> None:
        self._stream = stream
        self._epochs = epochs
        self.consumer = consumer
        self._batch = batch
        self.min_idle_ms = min_idle_ms
        self._lock = threading.Lock()
        self._in_flight: dict[str, int] = {}
        """Entry id → bytes of its event."""
        self._count = batch
        self._look_back = True
        self._next_take_over = 0.0
        self.taken_over = 0
        self.vanished = 0

    @property
    def in_flight(self) -> int:
        """Entries delivered and not finished."""
        return len(self._in_flight)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of their events."""
        with self._lock:
            return sum(self._in_flight.values())

    def collect(self, block_ms: int) -> list[Delivery]:
        """Return what there is to process, waiting up to `block_ms` for it.

        Raises redis.RedisError; the next call then starts with the entries whose delivery was lost.
        """
        try:
            found, suspects = self._left_over()
            if not found and not suspects:
                found = self._stream.read(self.consumer, self._count, block_ms)
            if not found and not suspects:
                return []
            epochs = self._epochs.read()  # after the entries: an epoch may begin between two reads
            if not epochs:
                self._epochs.announce()
                epochs = self._epochs.read()
        except redis.RedisError as error:
            self._look_back = True
            if "NOGROUP" not in str(error):
                raise
            self._stream.ensure_group()  # Redis lost its data while this worker ran
            return []
        self._take_note([*found, *suspects])
        deliveries = [Delivery([(entry, epoch_of(entry.id, epochs))], suspect=True) for entry in suspects]
        if found:
            deliveries.append(Delivery([(entry, epoch_of(entry.id, epochs)) for entry in found]))
        return deliveries

    def finished(self, entries: Iterable[StreamEntry]) -> None:
        """Note that `entries` are settled."""
        self._let_go(entry.id for entry in entries)

    def abandoned(self, entries: Iterable[StreamEntry]) -> None:
        """Note that `entries` were given up on: they are delivered again."""
        self.finished(entries)
        self._look_back = True

    def renew(self) -> None:
        """Tell the others that the entries in flight are being worked on.

        What was taken over meanwhile (this worker was stopped for longer than the idle time) is let go: it
        may well be finished here too, since settling and storing it twice changes nothing.
        """
        with self._lock:
            ids = sorted(self._in_flight)
        for start in range(0, len(ids), BATCH):
            self._let_go(self._stream.renew(self.consumer, ids[start : start + BATCH]))

    def _take_note(self, entries: Sequence[StreamEntry]) -> None:
        """Note that `entries` are in flight, and how many of their size are to be asked for next."""
        sizes = {entry.id: len(entry.event) for entry in entries}
        with self._lock:
            self._in_flight.update(sizes)
        average = sum(sizes.values()) // len(sizes) + 1
        self._count = max(1, min(self._batch, BATCH_BYTES // average))

    def _let_go(self, ids: Iterable[str]) -> None:
        with self._lock:
            for entry_id in ids:
                self._in_flight.pop(entry_id, None)

    def _left_over(self) -> tuple[list[StreamEntry], list[StreamEntry]]:
        """Return entries delivered before: the ordinary ones, and those delivered too often."""
        entries: list[StreamEntry] = []
        if self._look_back:
            entries = self._own_unfinished()
            self._look_back = bool(entries)
        if not entries and time.monotonic() >= self._next_take_over:
            claimed = self._stream.take_over(self.consumer, self.min_idle_ms, self._count)
            entries = self._not_in_flight(claimed.entries)
            self.taken_over += len(entries)
            self.vanished += claimed.vanished
            if len(claimed.entries) < self._count:
                self._next_take_over = time.monotonic() + min(TAKE_OVER_SECONDS, self.min_idle_ms / 2000)
        if not entries:
            return [], []
        deliveries = self._stream.deliveries([entry.id for entry in entries])
        suspects = [entry for entry in entries if deliveries.get(entry.id, 0) > MOST_DELIVERIES]
        return [entry for entry in entries if deliveries.get(entry.id, 0) <= MOST_DELIVERIES], suspects

    def _own_unfinished(self) -> list[StreamEntry]:
        """Return a page of this consumer's pending entries that it is not working on."""
        after = "0"
        while page := self._stream.own_pending(self.consumer, self._count, after):
            if fresh := self._not_in_flight(page):
                return fresh
            after = page[-1].id
        return []

    def _not_in_flight(self, entries: Sequence[StreamEntry]) -> list[StreamEntry]:
        with self._lock:
            return [entry for entry in entries if entry.id not in self._in_flight]

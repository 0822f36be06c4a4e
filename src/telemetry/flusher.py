"""The flusher: a thread that ships this process's journal, and those of dead processes, in order.

It polls: an append wakes nobody, so that a request never pays for a thread switch, and under load
the events that arrived since the last turn go in one call.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from loguru import logger

from vigie.telemetry.destination import Destination
from vigie.telemetry.journal.dead import DeadJournal
from vigie.telemetry.journal.framing import Run
from vigie.telemetry.journal.journal import Journal
from vigie.telemetry.observer import ThreadMeter
from vigie.telemetry.stream.items import Gap

PAGE: Final = 500
"""Most events in one call."""
POLL_SECONDS: Final = 0.02
"""Pause when there is nothing to ship: what an event waits at most at low rates."""
FULL_SECONDS: Final = 0.25
"""Pause when the stream holds as many entries as it may."""
LONGEST_BACKOFF_SECONDS: Final = 5.0
ADOPT_SECONDS: Final = 5.0
"""Pause between two searches for journals of dead processes."""
CHECK_SECONDS: Final = 2.0
"""Pause between two questions to an idle destination whether it is there and still has everything."""
TELEMETRY_THREAD: Final = "vigie-telemetry"
"""Name of the threads whose own log goes to stderr only, never into what they ship."""


class Shippable(Protocol):
    """A journal, of this process or of a dead one."""

    producer: str
    attributes: dict[str, str]

    def read(self, limit: int) -> list[Run | Gap]:
        """Return the next events and gaps."""

    def advance(self, high: int) -> None:
        """Take note of what is shipped."""

    def rewind(self, high: int) -> None:
        """Go back to what was lost."""


def backoff(failures: int) -> float:
    """Return the seconds to wait after the n-th failure in a row: exponential, with full jitter."""
    longest = min(LONGEST_BACKOFF_SECONDS, 0.1 * 2 ** min(failures, 10))
    return random.uniform(0.05, longest)


class Shipment:
    """One journal on its way to a destination."""

    def __init__(self, journal: Shippable, destination: Destination) -> None:
        self.journal = journal
        self._destination = destination
        self._agreed = False
        self.high = 0
        """Highest number the destination is known to have."""
        self.full = False
        """Whether the destination takes no more for now."""

    def agree(self) -> None:
        """Make the producer known and go on behind what the destination has. Raises redis.RedisError."""
        producer = self.journal.producer
        self._destination.register(producer, self.journal.attributes)
        high = self._destination.high(producer)
        if high is not None:
            self.high = high
            self.journal.rewind(high)
            self.journal.advance(high)
        self._agreed = True

    def disagree(self) -> None:
        """Ask again what the destination has before the next page: it may have come back without its end."""
        self._agreed = False

    def ship(self) -> int:
        """Ship up to 500 events; return how many numbers that were. Raises redis.RedisError or OSError."""
        if not self._agreed:
            self.agree()
        items = self.journal.read(PAGE)
        if not items:
            return 0
        written = self._destination.write(self.journal.producer, items, self.high)
        numbers = sum(item.size for item in items)
        if written.high < self.high:  # it lost what it had, behind a connection that never broke
            self.agree()
            return numbers
        self.high, self.full = written.high, written.full
        self.journal.advance(written.high)
        return numbers

    def close_producer(self, last: int) -> None:
        """Declare the producer's last number. Raises redis.RedisError."""
        if not self._agreed:
            self.agree()
        self._destination.close_producer(self.journal.producer, max(last, self.high))


def adopt_all(home: Path, destination: Destination) -> int:
    """Ship, close and remove the journals of dead processes under `home`; return how many.

    For a process that has no journal of its own. Stops early when the destination is full; raises
    redis.RedisError or OSError when it is away. What is left stays for the next time.
    """
    dead = DeadJournal.recover(home)
    done = 0
    try:
        for journal in dead:
            shipment = Shipment(journal, destination)
            while shipment.ship():
                if shipment.full:
                    return done
            shipment.close_producer(journal.shipped)
            journal.close(delete=True)
            done += 1
        return done
    finally:
        for journal in dead[done:]:
            journal.close(delete=False)


class Flusher(threading.Thread):
    """Ships `journal` to `destination` until stopped, and adopts dead processes' journals under `home`."""

    def __init__(self, journal: Journal, destination: Destination, home: Path) -> None:
        super().__init__(name=f"{TELEMETRY_THREAD}-flusher", daemon=True)
        self.error: str | None = None
        """What is wrong with the destination; None while it answers."""
        self.finished = False
        """Whether everything was shipped and the producer closed."""
        self.meter = ThreadMeter()
        """CPU time of this thread; a turn that shipped nothing of this process's is upkeep."""
        self._journal = journal
        self._own = Shipment(journal, destination)
        self._destination = destination
        self._home = home
        self._adopted: list[tuple[DeadJournal, Shipment]] = []
        self._adopt_at = 0.0
        self._check_at = 0.0
        self._failures = 0
        self._stopping = threading.Event()
        self._deadline = 0.0

    @property
    def full(self) -> bool:
        """Whether the stream holds as many entries as it may."""
        return self._own.full

    def run(self) -> None:
        """Ship until `stop`, then what is left within its grace time."""
        try:
            while not self._stopping.is_set():
                shipped = self._journal.shipped
                pause = self._turn(self._ship_all)
                self.meter.turned(worked=self._journal.shipped != shipped)
                self._stopping.wait(pause)
            self._finish()
        finally:
            for journal, _ in self._adopted:
                journal.close(delete=False)

    def stop(self, grace_seconds: float) -> None:
        """Ship what is left within the grace time, close the producer, and end the thread."""
        self._deadline = time.monotonic() + grace_seconds
        self._stopping.set()
        if self.is_alive():
            self.join(grace_seconds + 0.5)

    def _turn(self, ship: Callable[[], float]) -> float:
        """Ship once; return the seconds to pause."""
        try:
            pause = ship()
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread must live and try again
            return self._failed(error)
        if self.error is not None:
            logger.info("events are shipped again")
        self.error, self._failures = None, 0
        return pause

    def _failed(self, error: Exception) -> float:
        told = f"{type(error).__name__}: {error}"
        if self.error is None:
            logger.warning("events stay in the journal, they cannot be shipped: {}", told)
        self.error = told
        self._failures += 1
        self._own.disagree()
        for _, shipment in self._adopted:
            shipment.disagree()
        return backoff(self._failures)

    def _ship_all(self) -> float:
        shipped = self._own.ship()
        if self._own.full:
            return FULL_SECONDS
        now = time.monotonic()
        if shipped:
            self._check_at = now + CHECK_SECONDS
        elif now >= self._check_at:
            self._own.agree()
            self._check_at = now + CHECK_SECONDS
        if now >= self._adopt_at:
            self._adopt()
        if self._adopted:
            return self._ship_adopted()
        return 0.0 if shipped >= PAGE else POLL_SECONDS

    def _adopt(self) -> None:
        found = DeadJournal.recover(self._home)
        self._adopted += [(journal, Shipment(journal, self._destination)) for journal in found]
        self._adopt_at = time.monotonic() + ADOPT_SECONDS

    def _ship_adopted(self) -> float:
        # A page at a time, so that this process's own events do not wait for a long journal.
        journal, shipment = self._adopted[0]
        if shipment.ship() == 0:
            shipment.close_producer(journal.shipped)
            journal.close(delete=True)
            del self._adopted[0]
        return FULL_SECONDS if shipment.full else 0.0

    def _finish(self) -> None:
        hopeless = self._failures > 0  # it was away before: try once, do not hold up the end
        while True:
            pause = self._turn(self._ship_rest)
            if self.finished or (hopeless and self._failures) or time.monotonic() + pause > self._deadline:
                return
            time.sleep(pause)

    def _ship_rest(self) -> float:
        while self._own.ship():
            if self._own.full:
                return FULL_SECONDS
            if time.monotonic() > self._deadline:
                return 0.0
        self._own.close_producer(self._journal.high)
        self.finished = True
        return 0.0

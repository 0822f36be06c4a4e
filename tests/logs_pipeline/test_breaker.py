"""Waiting for the store: backoff, circuit breaker, bulk size."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from vigie.logs_pipeline.breaker import (
    LARGEST_BULK_BYTES,
    LONGEST_PAUSE_SECONDS,
    SMALLEST_BULK_BYTES,
    BulkSize,
    CircuitBreaker,
    backoff,
)


def test_backoff_is_jittered_and_bounded() -> None:
    """Pauses differ between clients and never grow beyond their bound."""
    pauses = [backoff(attempt) for attempt in range(200)]
    assert all(0 <= pause <= LONGEST_PAUSE_SECONDS for pause in pauses)
    assert backoff(0) <= 0.2
    assert len(set(pauses)) > 150
    assert max(backoff(50, longest=1.0) for _ in range(50)) <= 1.0


def test_an_open_breaker_lets_one_caller_try() -> None:
    """While the outcome of one attempt is not known, nobody else tries."""
    now = 0.0
    breaker, stop = CircuitBreaker(longest=10, clock=lambda: now), threading.Event()
    assert breaker.wait(stop)
    breaker.trip("closed index: open it")
    assert breaker.reason == "closed index: open it"
    now = 10.0
    assert breaker.wait(stop)
    waiting = threading.Event()
    answers: list[bool] = []

    def second() -> None:
        waiting.set()
        answers.append(breaker.wait(stop))

    thread = threading.Thread(target=second)
    thread.start()
    assert waiting.wait(5)
    thread.join(0.3)
    assert answers == []
    breaker.close()
    thread.join(5)
    assert (answers, breaker.reason) == ([True], None)


def test_waiting_ends_with_the_stop() -> None:
    """A worker that is told to stop does not wait for the store."""
    breaker, stop = CircuitBreaker(clock=lambda: -1000.0), threading.Event()
    breaker.trip("down")
    stop.set()
    assert not breaker.wait(stop)


@dataclass
class Piece:
    """Something to send."""

    size: int


def test_bulks_are_cut_by_size_and_count() -> None:
    """A bulk stays within the limit; what is larger alone goes alone."""
    size = BulkSize(limit_bytes=100)
    bulks = list(size.cut([Piece(60), Piece(40), Piece(1), Piece(500), Piece(99)]))
    assert [[piece.size for piece in bulk] for bulk in bulks] == [[60, 40], [1], [500], [99]]
    assert [len(bulk) for bulk in BulkSize().cut([Piece(1)] * 12_000)] == [5000, 5000, 2000]
    assert list(size.cut([])) == []
    assert size.limit_bytes == 100


def test_each_bulk_is_cut_to_the_size_of_its_moment() -> None:
    """A store that refuses the first bulk as too much gets a smaller second one, not the same again."""
    size = BulkSize(limit_bytes=SMALLEST_BULK_BYTES * 4)
    pieces = [Piece(SMALLEST_BULK_BYTES)] * 8
    lengths = []
    for bulk in size.cut(pieces):
        lengths.append(len(bulk))
        size.failed()
    assert lengths == [4, 2, 1, 1]


def test_the_size_grows_slowly_and_halves_at_once() -> None:
    """The size stays within its bounds whatever happens."""
    size = BulkSize(limit_bytes=1_000_000)
    size.succeeded(0.1)
    assert size.limit_bytes == 1_250_000
    size.succeeded(5.0)
    assert size.limit_bytes == 625_000
    for _ in range(30):
        size.failed()
    assert size.limit_bytes == SMALLEST_BULK_BYTES
    for _ in range(60):
        size.succeeded(0.1)
    assert size.limit_bytes == LARGEST_BULK_BYTES


def test_after_a_long_failure_the_size_is_soon_what_it_was() -> None:
    """An hour of failures is made good in a dozen bulks; near the size that was too much it grows slowly."""
    size = BulkSize(limit_bytes=4 * 1024 * 1024)
    for _ in range(500):
        size.failed()
    for _ in range(12):
        size.succeeded(0.1)
    assert size.limit_bytes >= 2 * 1024 * 1024
    before = size.limit_bytes
    size.failed()
    size.succeeded(0.1)
    assert size.limit_bytes == int(before // 2 * 1.25)

"""The collector: own pending first, then a dead worker's, then new entries; renewed while it lives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import redis
from tests.logs_pipeline.events import PRODUCER, predictions
from tests.servers import RedisServer, wait_for

from vigie.indices.routing import Epochs
from vigie.logs_pipeline import collector as collector_module
from vigie.logs_pipeline.collector import MOST_DELIVERIES, Collector, Delivery
from vigie.settings import RedisSettings, Settings
from vigie.telemetry.stream.stream import Record, Stream, StreamEntry, Verdict

IDLE_MS = 500


@pytest.fixture
def stream(redis_settings: RedisSettings) -> Stream:
    """A stream with its group."""
    found = Stream.open(redis_settings)
    found.ensure_group()
    return found


@pytest.fixture
def make(stream: Stream, settings_for: Callable[..., Settings]) -> Callable[[str], Collector]:
    """Collectors by the names of their consumers."""
    epochs = Epochs(stream.client, settings_for().store)
    return lambda name: Collector(stream, epochs, name, batch=10, min_idle_ms=IDLE_MS)


def numbers(deliveries: Sequence[Delivery]) -> list[list[int]]:
    """Numbers of each delivery."""
    return [[entry.number for entry, _ in delivery.entries] for delivery in deliveries]


def entries(deliveries: Sequence[Delivery]) -> list[StreamEntry]:
    """Entries of all deliveries."""
    return [entry for delivery in deliveries for entry, _ in delivery.entries]


def test_new_entries_come_in_batches(stream: Stream, make: Callable[[str], Collector]) -> None:
    """Each entry comes once, with its routing, and is in flight until it is finished."""
    collector = make("a")
    assert collector.collect(0) == []
    stream.write(PRODUCER, predictions(1, 12))
    first = collector.collect(0)
    assert numbers(first) == [list(range(1, 11))]
    assert first[0].entries[0][1].after == "0-0"
    assert numbers(collector.collect(0)) == [[11, 12]]
    assert collector.in_flight == 12
    collector.finished(entries(first))
    assert collector.in_flight == 2


def test_fewer_of_large_events_are_read_at_once(
    stream: Stream, make: Callable[[str], Collector], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker holds is bounded in bytes; when the events are small again, batches are full again."""
    monkeypatch.setattr(collector_module, "BATCH_BYTES", 3000)
    collector = make("a")
    large = [Record(number, b"x" * 900) for number in range(1, 23)]
    small = [Record(number, b"x") for number in range(23, 41)]
    stream.write(PRODUCER, [*large, *small])
    assert [len(numbers(collector.collect(0))[0]) for _ in range(7)] == [10, 3, 3, 3, 3, 3, 10]
    assert collector.in_flight_bytes == 22 * 900 + 13
    collector.finished([StreamEntry(entry_id, "", 0, b"") for entry_id in list(collector._in_flight)])
    assert (collector.in_flight, collector.in_flight_bytes) == (0, 0)


def test_a_restarted_worker_takes_up_what_it_left(stream: Stream, make: Callable[[str], Collector]) -> None:
    """A worker of the same name first gets the entries that were delivered to it and not settled."""
    stream.write(PRODUCER, predictions(1, 25))
    before = make("a")
    assert len(entries([*before.collect(0), *before.collect(0)])) == 20
    after = make("a")
    assert [numbers(after.collect(0))[0][0] for _ in range(3)] == [1, 11, 21]


def test_abandoned_entries_come_again(stream: Stream, make: Callable[[str], Collector]) -> None:
    """What a worker failed on is delivered to it again, while its other entries stay in flight."""
    collector = make("a")
    stream.write(PRODUCER, predictions(1, 5))
    found = entries(collector.collect(0))
    collector.abandoned(found[3:])
    assert numbers(collector.collect(0)) == [[4, 5]]
    assert collector.collect(0) == []


def test_a_dead_workers_entries_are_taken_over_once(stream: Stream, make: Callable[[str], Collector]) -> None:
    """Entries that nobody renews come to another worker after the idle time; renewed ones never."""
    stream.write(PRODUCER, predictions(1, 4))
    dead, alive, other = make("dead"), make("alive"), make("other")
    assert numbers(alive.collect(0)) == [[1, 2, 3, 4]]
    stream.write(PRODUCER, predictions(5, 6))
    dead.collect(0)

    def taken() -> list[list[int]]:
        alive.renew()
        return numbers(other.collect(0))

    assert wait_for(taken) == [[5, 6]]
    assert (other.taken_over, alive.in_flight) == (2, 4)


def test_a_suspect_comes_alone(stream: Stream, make: Callable[[str], Collector]) -> None:
    """An entry that was delivered again and again is set apart from the others."""
    stream.write(PRODUCER, predictions(1, 3))
    (first, _, _) = stream.read("dead", 3, 0)
    for _ in range(MOST_DELIVERIES):
        stream.client.xclaim("api_logs", "pipeline", "dead", 0, [first.id])
    alive = make("alive")
    taken: list[Delivery] = []

    def all_taken() -> bool:  # the entries do not fall idle in the same millisecond
        taken.extend(alive.collect(0))
        return len(entries(taken)) == 3

    wait_for(all_taken)
    by_suspicion = {number: found.suspect for found in taken for number in numbers([found])[0]}
    assert by_suspicion == {1: True, 2: False, 3: False}
    assert numbers([found for found in taken if found.suspect]) == [[1]]


def test_a_vanished_entry_is_counted(stream: Stream, make: Callable[[str], Collector]) -> None:
    """Content deleted from under a dead worker does not stop the others."""
    stream.write(PRODUCER, predictions(1, 2))
    first, _ = stream.read("dead", 2, 0)
    stream.client.xdel("api_logs", first.id)
    collector = make("alive")
    assert numbers(wait_for(lambda: collector.collect(0))) == [[2]]
    assert collector.vanished == 1


def test_a_lost_delivery_is_collected_again(
    own_redis: RedisServer, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries whose delivery was lost on the way come again at the next call."""
    stream = Stream.open(own_redis.settings())
    stream.ensure_group()
    stream.write(PRODUCER, predictions(1, 2))
    epochs = Epochs(stream.client, settings_for().store)
    collector = Collector(stream, epochs, "a")
    collector.collect(0)
    stream.settle([Verdict(entry, "indexed") for entry in stream.own_pending("a")])
    stream.write(PRODUCER, predictions(3, 4))

    def lost() -> list[object]:
        raise redis.TimeoutError("lost")

    monkeypatch.setattr(epochs, "read", lost)
    with pytest.raises(redis.TimeoutError):
        collector.collect(0)
    monkeypatch.undo()
    assert numbers(collector.collect(0)) == [[3, 4]]


def test_a_redis_that_lost_its_data_is_begun_anew(stream: Stream, make: Callable[[str], Collector]) -> None:
    """Group and routing are made again, and what is written from then on is collected."""
    collector = make("a")
    assert collector.collect(0) == []
    stream.client.flushall()
    assert collector.collect(0) == []
    stream.write(PRODUCER, predictions(1, 2))
    assert numbers(collector.collect(0)) == [[1, 2]]

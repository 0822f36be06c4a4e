"""The stream and its scripts: written once, settled once, trimmed and cleared only where nobody needs it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
import redis
from tests.servers import RedisServer, wait_for

from vigie.settings import RedisSettings
from vigie.telemetry.stream import reader as reader_module
from vigie.telemetry.stream import stream as stream_module
from vigie.telemetry.stream.number_set import NumberSet
from vigie.telemetry.stream.stream import (
    Gap,
    Record,
    State,
    Stream,
    StreamEntry,
    Verdict,
    Written,
    connect,
    keys,
)

PRODUCER = "5b1a3c1e-0000-4000-8000-000000000001"


@pytest.fixture
def stream(redis_settings: RedisSettings) -> Stream:
    """A stream on an empty database, keeping two settled entries."""
    found = Stream(connect(redis_settings), max_entries=1000, logs_max_size=2)
    found.ensure_group()
    return found


def records(first: int, last: int) -> list[Record]:
    """Events `first` to `last`."""
    return [Record(number, b'{"number": %d}' % number) for number in range(first, last + 1)]


def written_numbers(stream: Stream) -> list[int]:
    """Numbers in the stream, oldest first."""
    return [entry.number for entry in stream.after("", 10_000)]


def settle(stream: Stream, entries: Sequence[StreamEntry], state: State = "indexed") -> int:
    """Settle `entries` with one document each in ml-api-logs."""
    return stream.settle([Verdict(entry, state, {"ml-api-logs": 1}, "why") for entry in entries])


def test_writing_again_after_a_lost_answer_doubles_nothing(stream: Stream) -> None:
    """The same call twice leaves the stream as one call does."""
    assert stream.write(PRODUCER, records(1, 5)) == Written(high=5, written=5, full=False)
    assert stream.write(PRODUCER, records(3, 7)) == Written(high=7, written=2, full=False)
    assert written_numbers(stream) == [1, 2, 3, 4, 5, 6, 7]
    assert stream.backlog() == 7


def test_a_declared_gap_is_recorded_once_and_is_no_backlog(stream: Stream) -> None:
    """Dropped numbers are named with their reason, also when the gap grew between two calls."""
    stream.write(PRODUCER, [*records(1, 2), Gap(3, 4, "journal full")])
    stream.write(PRODUCER, [Gap(3, 6, "journal full"), *records(7, 7)])
    assert stream.declared() == {PRODUCER: [Gap(3, 4, "journal full"), Gap(5, 6, "journal full")]}
    assert stream.backlog() == 3
    (state,) = stream.producers()
    assert (state.high, state.declared, state.settled) == (7, 4, 0)


def test_a_full_stream_takes_nothing_more_until_entries_are_settled(stream: Stream) -> None:
    """Beyond REDIS_STREAM_MAX_ENTRIES entries not settled, writing stops and says so."""
    for first in (1, 501):
        stream.write(PRODUCER, records(first, first + 499))
    assert stream.write(PRODUCER, records(1001, 1003)) == Written(high=1000, written=0, full=True)
    settle(stream, stream.read("worker", 2, 0))
    assert stream.write(PRODUCER, records(1001, 1003)) == Written(high=1002, written=2, full=True)


@pytest.mark.parametrize("number", [0, -1, 2**31])
def test_a_number_out_of_bounds_is_refused(stream: Stream, number: int) -> None:
    """No faulty producer can make Redis allocate a bitmap for a number it invented."""
    with pytest.raises(ValueError, match="outside"):
        stream.write(PRODUCER, [Record(number, b"{}")])
    with pytest.raises(ValueError, match="outside"):
        stream.write(PRODUCER, [Gap(number, number, "")])


def test_a_producer_has_attributes_and_a_last_number(stream: Stream) -> None:
    """What a producer says of itself is kept with its account."""
    stream.register(PRODUCER, {"host": "a", "role": "api"})
    stream.write(PRODUCER, records(1, 2))
    stream.close_producer(PRODUCER, 2)
    (state,) = stream.producers()
    assert (state.attributes, state.high, state.closed) == ({"host": "a", "role": "api"}, 2, 2)


def test_settling_again_counts_nothing(stream: Stream) -> None:
    """A bit counts into one state only, whoever settles the event again and however."""
    stream.write(PRODUCER, records(1, 3))
    entries = stream.read("worker", 10, 0)
    assert settle(stream, entries[:2]) == 2
    assert settle(stream, entries, "dead") == 1
    assert settle(stream, entries, "filtered") == 0
    (state,) = stream.producers()
    assert state.counts == {"indexed": 2, "filtered": 0, "dead": 1, "cleared": 0}
    assert state.documents == {"ml-api-logs": 3}
    assert stream.backlog() == 0
    assert stream.dead_count() == 1
    assert stream.oldest_pending() is None


def test_a_dead_event_leaves_its_letter(stream: Stream) -> None:
    """A dead letter holds the event, the reason and where it came from."""
    stream.write(PRODUCER, records(1, 1))
    (entry,) = stream.read("worker", 1, 0)
    settle(stream, [entry], "dead")
    (letter,) = stream.dead_letters(10)
    assert (letter.producer, letter.number, letter.event) == (PRODUCER, 1, b'{"number": 1}')
    assert (letter.reason, letter.entry_id) == ("why", entry.id)
    assert letter.last_at.endswith("Z")
    assert stream.dead_letters(10, before=letter.id) == []


def test_an_entry_written_by_hand_is_settled_outside_the_ledger(stream: Stream) -> None:
    """An entry without producer and number is acknowledged, buried once, and counted as a stray."""
    stream.client.xadd(keys.STREAM, {"hello": "world"})
    (entry,) = stream.read("worker", 1, 0)
    assert (entry.producer, entry.number) == ("", 0)
    for _ in range(2):
        assert settle(stream, [entry], "dead") == 0
    assert stream.dead_count() == 1
    assert stream.ledger.totals().strays == 1
    assert stream.producers() == []


def test_a_full_chunk_folds_into_counts(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """A completely settled chunk gives its bitmaps back, keeps its counts, and settles no number again."""
    monkeypatch.setattr(keys, "CHUNK_BITS", 3)
    monkeypatch.setattr("vigie.telemetry.stream.ledger_state.CHUNK_SIZE", 8)
    stream.write(PRODUCER, records(1, 12))
    entries = stream.read("worker", 20, 0)
    settle(stream, entries[:6])
    settle(stream, entries[6:8], "filtered")
    assert stream.client.keys(f"{keys.PREFIX}bits:*:0") == []
    settle(stream, entries[8:11], "dead")
    assert settle(stream, entries[:11]) == 0
    (state,) = stream.producers()
    assert state.counts == {"indexed": 6, "filtered": 2, "dead": 3, "cleared": 0}
    bits = stream.ledger.bits(PRODUCER, 12)
    assert bits.settled == NumberSet.of_spans([(1, 11)])
    assert (bits.counts, set(bits.folded)) == (state.counts, {0})
    assert bits.states["dead"] == NumberSet.of_spans([(9, 11)])
    assert stream.ledger.bits(PRODUCER, 3).upto == 8


@pytest.mark.parametrize("seed", range(6))
def test_each_number_ends_in_the_state_it_was_given_first(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whatever runs of numbers are settled in whatever order, again and across chunks: as one by one."""
    monkeypatch.setattr(keys, "CHUNK_BITS", 6)
    monkeypatch.setattr("vigie.telemetry.stream.ledger_state.CHUNK_SIZE", 64)
    stream.write(PRODUCER, records(1, 300))
    entries = stream.read("worker", 300, 0)
    chance = random.Random(seed)
    expected: dict[int, State] = {}
    for _ in range(25):
        start = chance.randrange(300)
        some = entries[start : start + chance.choice([1, 5, 8, 40, 130])]
        if chance.random() < 0.3:
            some = chance.sample(some, k=len(some) // 2)
        state = chance.choice(["indexed", "filtered", "dead"])
        fresh = {entry.number: state for entry in some if entry.number not in expected}
        assert settle(stream, some, state) == len(fresh)
        expected |= fresh
        bits = stream.ledger.bits(PRODUCER, 300)
        assert bits.settled == NumberSet.of_spans([(number, number) for number in sorted(expected)])
    (found,) = stream.producers()
    assert found.counts == {state: list(expected.values()).count(state) for state in found.counts}
    letters = {letter.number for letter in stream.letters.after("", 500)}
    assert letters == {number for number, state in expected.items() if state == "dead"}


def test_a_dead_workers_entries_are_taken_over(stream: Stream) -> None:
    """Entries that nobody renews go to another worker; entries that are renewed do not."""
    stream.write(PRODUCER, records(1, 3))
    entries = stream.read("dead", 3, 0)
    assert stream.take_over("alive", 60_000).entries == []
    time_out = time.monotonic() + 20
    found: list[int] = []
    while len(found) < 2 and time.monotonic() < time_out:
        stream.renew("dead", [entries[0].id])
        found += [entry.number for entry in stream.take_over("alive", 100).entries]
        time.sleep(0.02)
    assert found[:2] == [2, 3]
    assert [entry.number for entry in stream.own_pending("dead")] == [1]
    assert stream.deliveries([entry.id for entry in entries])[entries[1].id] >= 2


def test_taking_over_looks_beyond_entries_that_are_alive(stream: Stream) -> None:
    """However many entries a living worker holds, a dead one's behind them are found."""
    stream.write(PRODUCER, records(1, 100))
    alive = stream.read("alive", 99, 0)
    stream.read("dead", 1, 0)

    def taken() -> list[int]:
        stream.renew("alive", [entry.id for entry in alive])
        return [entry.number for entry in stream.take_over("other", 50, count=2).entries]

    assert wait_for(taken) == [100]


def test_a_pending_entry_that_was_deleted_is_counted_and_let_go(stream: Stream) -> None:
    """Content that somebody deleted from under a worker is counted as vanished and blocks nobody."""
    stream.write(PRODUCER, records(1, 4))
    entries = stream.read("dead", 4, 0)
    stream.client.xdel(keys.STREAM, entries[0].id, entries[1].id)
    claimed = stream.take_over("alive", 0)
    assert ([entry.number for entry in claimed.entries], claimed.vanished) == ([3, 4], 2)
    stream.client.xdel(keys.STREAM, entries[2].id)
    assert [entry.number for entry in stream.own_pending("alive")] == [4]
    assert stream.ledger.totals().vanished == 3
    assert stream.client.xpending(keys.STREAM, keys.GROUP)["pending"] == 1


def test_only_consumers_that_hold_nothing_are_removed(stream: Stream) -> None:
    """Removing a consumer never loses what it holds."""
    stream.write(PRODUCER, records(1, 2))
    (entry,) = stream.read("busy", 1, 0)
    settle(stream, stream.read("idle", 1, 0))
    assert stream.release(min_idle_ms=60_000) == 0
    assert stream.release() == 1
    assert [(worker.name, worker.pending) for worker in stream.workers()] == [("busy", 1)]
    settle(stream, [entry])
    assert stream.release("busy") == 1
    assert stream.workers() == []


def test_trim_keeps_what_is_unread_or_pending(stream: Stream) -> None:
    """The oldest settled entries go; never one that is unread, pending, or newer than one of those."""
    stream.write(PRODUCER, records(1, 10))
    assert stream.trim() == 0
    entries = stream.read("worker", 6, 0)
    assert stream.trim() == 0
    settle(stream, [*entries[:3], entries[4]])
    assert stream.trim() == 3
    assert written_numbers(stream) == [4, 5, 6, 7, 8, 9, 10]
    settle(stream, entries)
    assert stream.trim() == 3
    assert written_numbers(stream) == [7, 8, 9, 10]
    settle(stream, stream.read("worker", 10, 0))
    assert stream.trim() == 2
    assert written_numbers(stream) == [9, 10]
    assert stream.trim() == 0


@pytest.fixture
def own_nodes(redis_settings: RedisSettings) -> Iterator[Callable[[int, int], None]]:
    """Sets how many entries and bytes a node of a stream holds, for the test."""
    names = ("stream-node-max-entries", "stream-node-max-bytes")
    client = connect(redis_settings)
    before = {name: client.config_get(name)[name] for name in names}

    def choose(*most: int) -> None:
        for name, value in zip(names, most, strict=True):
            client.config_set(name, value)

    yield choose
    for name, value in before.items():
        client.config_set(name, value)


def test_trim_of_a_stream_that_keeps_nothing(redis_settings: RedisSettings) -> None:
    """With REDIS_LOGS_MAX_SIZE 0 every settled entry goes, at most 1,000 a call."""
    stream = Stream(connect(redis_settings), logs_max_size=0)
    stream.write(PRODUCER, records(1, 1600))
    assert stream.trim() == 0
    stream.ensure_group()
    while entries := stream.read("worker", 500, 0):
        settle(stream, entries)
    removed = [stream.trim() for _ in range(4)]
    assert (sum(removed), removed[-1]) == (1600, 0)
    assert 900 < removed[0] <= 1000


@pytest.mark.parametrize(("node_entries", "node_bytes"), [(100, 4096), (0, 0), (1, 0), (7, 300)])
@pytest.mark.parametrize("pending", [1, 99, 100, 101, 642, 700])
def test_trim_goes_to_the_last_entry_that_nobody_needs(
    redis_settings: RedisSettings,
    own_nodes: Callable[[int, int], None],
    node_entries: int,
    node_bytes: int,
    pending: int,
) -> None:
    """However many entries a node of Redis' stream holds, and wherever in one the first that is needed stands."""
    own_nodes(node_entries, node_bytes)
    stream = Stream(connect(redis_settings), logs_max_size=30)
    stream.ensure_group()
    stream.write(PRODUCER, records(1, 700))
    entries = [*stream.read("worker", 500, 0), *stream.read("worker", 500, 0)]
    settle(stream, [entry for entry in entries if entry.number != pending])
    while stream.trim():
        pass
    assert written_numbers(stream)[0] == min(pending, 671)


def test_trim_keeps_what_another_group_has_not_finished(stream: Stream) -> None:
    """A second pipeline on the same stream loses nothing to the first."""
    stream.write(PRODUCER, records(1, 5))
    stream.client.xgroup_create(keys.STREAM, "other", id="0")
    settle(stream, stream.read("worker", 5, 0))
    assert stream.trim() == 0
    stream.client.xreadgroup("other", "one", {keys.STREAM: ">"}, count=2)
    assert stream.trim() == 0
    stream.client.xack(keys.STREAM, "other", stream.after("", 1)[0].id)
    assert stream.trim() == 1


def test_trim_keeps_what_a_cursor_has_not_confirmed_within_the_bound(stream: Stream) -> None:
    """A consumer of /logs_api loses nothing before REDIS_STREAM_MAX_ENTRIES; beyond it nobody holds up."""
    stream.write(PRODUCER, records(1, 5))
    entries = stream.read("worker", 5, 0)
    settle(stream, entries)
    stream.confirm("bridge", "0-0")
    assert stream.trim() == 0
    stream.confirm("bridge", entries[1].id)
    assert stream.trim() == 1, "the confirmed entry itself stays: an oldest one beyond it tells of a loss"
    assert stream.cursors() == {"bridge": entries[1].id}
    bounded = Stream(stream.client, max_entries=3, logs_max_size=2)
    assert bounded.trim() == 2
    assert (stream.forget_cursor("bridge"), stream.forget_cursor("bridge")) == (True, False)


def test_clear_does_nothing_while_entries_wait(stream: Stream) -> None:
    """Without force, one entry unread or in flight forbids it, and the counts are told."""
    stream.write(PRODUCER, records(1, 3))
    cleared = stream.clear(force=False)
    assert (cleared.done, cleared.cleared, cleared.pending, cleared.stored) == (False, 0, 3, 3)
    entries = stream.read("worker", 3, 0)
    settle(stream, entries[:2])
    assert stream.clear(force=False).pending == 1
    settle(stream, entries)
    cleared = stream.clear(force=False)
    assert (cleared.done, cleared.cleared, cleared.stored) == (True, 3, 0)
    assert stream.clear(force=False).done


def test_clear_with_force_counts_the_unread_and_leaves_those_in_flight(stream: Stream) -> None:
    """What nobody has read is counted as cleared; what a worker holds stays with it."""
    stream.write(PRODUCER, records(1, 600))
    held = stream.read("worker", 10, 0)
    settle(stream, held[:5])
    cleared = stream.clear(force=True)
    assert (cleared.done, cleared.cleared, cleared.pending, cleared.stored) == (True, 595, 5, 5)
    assert written_numbers(stream) == [entry.number for entry in held[5:]]
    (state,) = stream.producers()
    assert state.counts == {"indexed": 5, "filtered": 0, "dead": 0, "cleared": 590}
    assert settle(stream, held) == 5
    assert stream.backlog() == 0
    assert [worker.name for worker in stream.workers()] == ["worker"]


def test_clear_spares_what_another_group_needs(stream: Stream) -> None:
    """An entry that a second pipeline has not read is not deleted."""
    stream.write(PRODUCER, records(1, 3))
    settle(stream, stream.read("worker", 3, 0))
    stream.client.xgroup_create(keys.STREAM, "other", id="0")
    assert stream.clear(force=True).cleared == 0
    assert stream.length() == 3


def test_pages_go_both_ways(stream: Stream) -> None:
    """Entries are paged from the newest back and from any id on."""
    assert (stream.page("", 5), stream.newest(5)) == ((None, []), [])
    stream.write(PRODUCER, records(1, 5))
    newest = stream.newest(2)
    assert [entry.number for entry in newest] == [5, 4]
    assert [entry.number for entry in stream.newest(9, before=newest[-1].id)] == [3, 2, 1]
    (oldest,) = stream.after("", 1)
    assert stream.page(newest[-1].id, 5) == (oldest.id, newest[:1])
    assert (oldest.producer, oldest.event) == (PRODUCER, b'{"number": 1}')
    assert [entry.number for entry in stream.after(oldest.id, 2)] == [2, 3]
    assert stream.after(f"1{newest[0].id.partition('-')[0]}", 2) == []


@pytest.mark.parametrize("wrong", ["x", "1-x", "-", "+", "1" * 30, "(1-0", "1-2-3"])
def test_what_is_no_entry_id_is_refused(stream: Stream, wrong: str) -> None:
    """An id that a client invents is an error of its own, not one of Redis."""
    for call in (
        lambda: stream.after(wrong, 1),
        lambda: stream.newest(1, wrong),
        lambda: stream.confirm("a", wrong),
    ):
        with pytest.raises(ValueError, match="not the id of a log entry"):
            call()


def test_waiting_names_what_is_unread_or_in_flight(stream: Stream) -> None:
    """The events in the stream that are not settled are found by looking at each."""
    assert stream.waiting() == {}
    stream.write(PRODUCER, records(1, 6))
    stream.client.xadd(keys.STREAM, {"hello": "world"})
    entries = stream.read("worker", 4, 0)
    settle(stream, [entries[0], entries[2]])
    assert stream.waiting() == {PRODUCER: NumberSet.of_numbers([2, 4, 5, 6])}


def test_deleted_entries_hide_none_that_is_in_flight(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pending entries whose content is gone take no place of those that are there, page by page."""
    monkeypatch.setattr(stream_module, "PAGE", 10)
    monkeypatch.setattr(reader_module, "SCAN_PAGE", 10)
    monkeypatch.setattr(reader_module, "MOST_LISTED", 5)
    stream.write(PRODUCER, records(1, 20))
    ids = [entry.id for entry in stream.read("worker", 20, 0)]
    stream.client.xdel(keys.STREAM, *ids[2:7])
    left = [1, 2, *range(8, 21)]
    assert stream.waiting() == {PRODUCER: NumberSet.of_numbers(left)}
    cleared = stream.clear(force=True)
    assert (cleared.cleared, cleared.stored) == (0, 15)
    assert written_numbers(stream) == left
    assert stream.waiting() == {PRODUCER: NumberSet.of_numbers(left)}


def test_deleted_entries_hide_none_of_a_second_group(stream: Stream) -> None:
    """However many of its entries are gone, those it works on stay."""
    stream.write(PRODUCER, records(1, 40))
    stream.client.xgroup_create(keys.STREAM, "other", id="0")
    stream.client.xreadgroup("other", "one", {keys.STREAM: ">"}, count=40)
    entries = stream.read("worker", 40, 0)
    settle(stream, entries)
    stream.client.xdel(keys.STREAM, *(entry.id for entry in entries[1:35]))
    found = stream._sweep(keys=[keys.STREAM], args=["-", "+", 6])
    assert (found[:2], written_numbers(stream)) == ([0, 6], [1, *range(36, 41)])


def test_a_page_of_deleted_entries_hides_none_of_ones_own(stream: Stream) -> None:
    """A worker that looks for what it left unfinished looks on beyond what is gone."""
    stream.write(PRODUCER, records(1, 6))
    ids = [entry.id for entry in stream.read("worker", 6, 0)]
    stream.client.xdel(keys.STREAM, *ids[:4])
    assert [entry.number for entry in stream.own_pending("worker", 2)] == [5, 6]
    assert stream.ledger.totals().vanished == 4


def test_totals_agree_with_the_bitmaps(stream: Stream) -> None:
    """The running sums that status lines read are those that the ledger measures."""
    stream.write(PRODUCER, [*records(1, 5), Gap(6, 7, "full")])
    stream.write("other", records(1, 2))
    entries = stream.read("worker", 6, 0)
    settle(stream, entries[:3])
    settle(stream, entries[3:4], "filtered")
    totals = stream.ledger.totals()
    assert (totals.high, totals.declared, totals.written, totals.settled) == (9, 2, 7, 4)
    assert (totals.indexed, totals.filtered, totals.dead, totals.cleared) == (3, 1, 0, 0)
    assert totals.backlog == 3 == stream.backlog()
    assert stream.ledger.highs() == {PRODUCER: 7, "other": 2}


def test_the_group_is_there_however_often_it_is_asked_for(stream: Stream) -> None:
    """Asking again changes nothing; any other refusal of Redis is not hidden."""
    stream.ensure_group()
    stream.write(PRODUCER, records(1, 2))
    stream.read("worker", 1, 0)
    assert stream.last_delivered() == stream.after("", 1)[0].id
    stream.client.set(keys.STREAM, "no stream")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        stream.ensure_group()


def test_a_redis_that_is_away_is_said_at_once(own_redis: RedisServer) -> None:
    """A call to a stopped Redis raises, instead of retrying behind the caller's back."""
    stream = Stream.open(own_redis.settings(), timeout=0.5)
    stream.write(PRODUCER, records(1, 1))
    own_redis.stop()
    started = time.monotonic()
    with pytest.raises(redis.ConnectionError):
        stream.write(PRODUCER, records(2, 2))
    assert time.monotonic() - started < 10  # redis-py's own default retries would hold a call for longer


def test_a_number_its_producer_never_wrote_stays_outside_the_ledger(stream: Stream) -> None:
    """An entry added by hand under a made-up number is settled as a stray: backlog and bound stay right."""
    stream.write(PRODUCER, records(1, 2))
    stream.client.xadd(keys.STREAM, {"producer": PRODUCER, "number": "9", "event": "{}"})
    stream.client.xadd(keys.STREAM, {"producer": "foreign", "number": "1", "event": "{}"})
    stream.client.xadd(keys.STREAM, {"producer": PRODUCER, "number": "9" * 5000, "event": "{}"})
    assert settle(stream, stream.read("worker", 10, 0)) == 2
    totals = stream.ledger.totals()
    assert (totals.settled, totals.strays, stream.backlog()) == (2, 3, 0)
    assert stream.client.xpending(keys.STREAM, keys.GROUP)["pending"] == 0

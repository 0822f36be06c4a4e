"""Admission of foreign events: each once, by any way, in any order, under a number that is its own or ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vigie.settings import RedisSettings
from vigie.telemetry.stream.admission import (
    LARGEST_EVENT_BYTES,
    LONGEST_STEP,
    MOST_FINGERPRINTS,
    PAGE,
    Admission,
    Admitted,
    Candidate,
    bridges,
    losses,
)
from vigie.telemetry.stream.items import Gap
from vigie.telemetry.stream.keys import FOREIGN_LIST, bitmap_key
from vigie.telemetry.stream.ledger_state import LedgerState
from vigie.telemetry.stream.stream import Record, Stream, Verdict

URL = "http://remote.example:7860"
ALIEN = "alien-1"
NATIVE = "5b1a3c1e-0000-4000-8000-000000000001"


@pytest.fixture
def stream(redis_settings: RedisSettings) -> Stream:
    """An empty stream with its group."""
    stream = Stream.open(redis_settings)
    stream.ensure_group()
    return stream


@pytest.fixture
def admission(stream: Stream) -> Admission:
    """Admission into that stream."""
    return Admission(stream.client, 1000)


def candidate(number: int, producer: str = ALIEN, *, text: str = "") -> Candidate:
    """An event of a page, its token in the order of the numbers."""
    event = (text or f"{producer} {number}").encode()
    return Candidate(f"{number}-1", producer, number, hashlib.sha256(event).hexdigest(), event)


def nameless(text: str, place: int = 1) -> Candidate:
    """An event without a number."""
    return Candidate(f"{place}-2", "", 0, hashlib.sha256(text.encode()).hexdigest(), text.encode())


def listed(admission: Admission, *items: Candidate) -> list[Candidate]:
    """Put the events into the list, as LPUSH does, and return them as they must be moved."""
    found = []
    for item in items:
        admission.client.lpush(FOREIGN_LIST, item.event)
        token = hashlib.sha1(item.event).hexdigest()
        found.append(Candidate(token, item.producer, item.number, item.fingerprint, b""))
    return found


def page(
    admission: Admission,
    *items: Candidate,
    cursor: str | None = None,
    oldest: str = "",
    complete: bool = True,
) -> Admitted:
    """Admit a page that follows the cursor."""
    after = admission.cursor(URL) if cursor is None else cursor
    return admission.admit_page(URL, after, oldest, items, complete=complete)


def entries(stream: Stream) -> list[tuple[str, int, bytes]]:
    """What is in the stream."""
    return [(one.producer, one.number, one.event) for one in stream.after("", 10_000)]


def own(stream: Stream, via: str) -> str:
    """The bridge's own producer."""
    return bridges(stream.client)[via]["producer"]


def settle_all(stream: Stream) -> int:
    """Index everything that waits; return how many events were settled for the first time."""
    return stream.settle([Verdict(entry, "indexed") for entry in stream.read("w", 500, 0)])


def gaps(stream: Stream, producer: str = ALIEN) -> list[Gap]:
    """The numbers declared lost."""
    return list(LedgerState(stream.client).producer(producer).gaps)


def test_an_event_keeps_its_own_number_and_is_admitted_once(admission: Admission, stream: Stream) -> None:
    """Through the page, the list and again through the page, in another order: one entry."""
    first = page(admission, candidate(1), candidate(3))
    assert first == Admitted(2, 2, 0, 0, 0, 0, "")
    assert admission.admit_list(listed(admission, candidate(3), candidate(2))) == Admitted(
        2, 1, 1, 0, 0, 0, ""
    )
    assert page(admission, candidate(1), candidate(2), candidate(3)).known == 3
    assert entries(stream) == [(ALIEN, number, f"{ALIEN} {number}".encode()) for number in (1, 3, 2)]
    assert admission.waiting() == 0
    assert bridges(stream.client)["list"] == {"taken": "2", "admitted": "1", "known": "1"}


def test_a_foreign_producer_is_declared_as_one(admission: Admission, stream: Stream) -> None:
    """Its hash says where it comes from, `high` is its highest number, and only what was admitted counts."""
    page(admission, candidate(1), candidate(7))
    state = LedgerState(stream.client).producer(ALIEN)
    assert (state.high, state.closed, state.gaps) == (7, None, ())
    about = dict(state.attributes)
    assert about.pop("started").endswith("Z")
    assert about == {"role": "foreign", "foreign": "1", "via": "http", "host": URL}
    bitmap = stream.client.get(bitmap_key(ALIEN, "admitted", 0))
    assert bitmap == bytes([0b10000010])
    assert stream.ledger.totals().backlog == 2
    assert settle_all(stream) == 2
    assert stream.ledger.totals().backlog == 0
    assert stream.ledger.totals().strays == 0


def test_what_a_producer_wrote_here_itself_is_skipped(admission: Admission, stream: Stream) -> None:
    """The front end that is polled may write to this very Redis."""
    stream.write(NATIVE, [Record(number, b"x") for number in range(1, 4)])
    did = page(admission, candidate(1, NATIVE), candidate(3, NATIVE))
    assert did == Admitted(2, 0, 2, 0, 0, 0, "")
    assert stream.length() == 3


def test_nobody_writes_under_the_name_of_a_producer_of_this_installation(
    admission: Admission, stream: Stream
) -> None:
    """A number beyond its highest is the bridge's; the producer's own later events all arrive."""
    stream.write(NATIVE, [Record(1, b"one")])
    did = page(admission, candidate(2, NATIVE, text="forged"))
    assert did == Admitted(1, 1, 0, 1, 1, 0, "")
    assert stream.write(NATIVE, [Record(2, b"two")]).written == 1
    assert entries(stream) == [(NATIVE, 1, b"one"), (own(stream, "http"), 1, b"forged"), (NATIVE, 2, b"two")]


def test_a_number_too_far_beyond_the_highest_is_the_bridges(admission: Admission, stream: Stream) -> None:
    """One bit at 2e9 would cost memory in Redis and in every proof; the event itself is not lost."""
    far = LONGEST_STEP + 1
    assert page(admission, candidate(far, text="far")).renamed == 1
    assert page(admission, candidate(far, text="far")).known == 1, "the same event again"
    assert page(admission, candidate(LONGEST_STEP)).renamed == 0
    assert page(admission, candidate(far, text="far")).known == 1, "also now that the number is in reach"
    assert [(producer, number) for producer, number, _ in entries(stream)] == [
        (own(stream, "http"), 1),
        (ALIEN, LONGEST_STEP),
    ]
    assert settle_all(stream) == 2


def test_an_event_without_a_number_gets_one_of_the_bridge(admission: Admission, stream: Stream) -> None:
    """Each bridge numbers under a producer of its own, which any later process goes on with."""
    admission.admit_list(listed(admission, nameless("a"), nameless("b")))
    Admission(stream.client, 1000).admit_list(listed(admission, nameless("c")))
    page(admission, nameless("d"))
    by_list, by_page = own(stream, "list"), own(stream, "http")
    assert by_list != by_page
    assert entries(stream) == [(by_list, 1, b"a"), (by_list, 2, b"b"), (by_list, 3, b"c"), (by_page, 1, b"d")]
    state = LedgerState(stream.client).producer(by_list)
    assert (state.high, state.attributes["role"], state.attributes["source"]) == (3, "bridge", FOREIGN_LIST)
    assert settle_all(stream) == 4
    assert stream.ledger.totals().backlog == 0


def test_the_same_event_without_a_number_is_admitted_once(admission: Admission, stream: Stream) -> None:
    """Posted again, or by both ways, it is known by its content."""
    admission.admit_list(listed(admission, nameless("same"), nameless("same")))
    assert page(admission, nameless("same")) == Admitted(1, 0, 1, 0, 0, 0, "")
    assert entries(stream) == [(own(stream, "list"), 1, b"same")]


def test_the_fingerprints_are_bounded(
    admission: Admission, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest are kept; the oldest leave first."""
    monkeypatch.setattr("vigie.telemetry.stream.admission.MOST_FINGERPRINTS", 3)
    admission.admit_list(listed(admission, *(nameless(text) for text in "abcde")))
    assert stream.client.zcard("api_logs:fingerprints") == 3
    assert admission.admit_list(listed(admission, nameless("e"), nameless("a"))).known == 1
    assert MOST_FINGERPRINTS == 100_000


def test_nothing_is_admitted_into_a_full_stream(stream: Stream) -> None:
    """List and cursor stay where they are, to the entry, until there is room."""
    admission = Admission(stream.client, 3)
    stream.write(NATIVE, [Record(1, b"x")])
    moving = listed(admission, nameless("a"), candidate(1), nameless("b"))
    assert admission.admit_list(moving) == Admitted(2, 2, 0, 1, 0, 0, "full")
    assert stream.client.lrange(FOREIGN_LIST, 0, -1) == [b"b"]
    did = page(admission, candidate(1), candidate(2), candidate(3))
    assert (did.taken, did.known, did.stopped, admission.cursor(URL)) == (1, 1, "full", "1-1")
    settle_all(stream)
    assert admission.admit_list(moving[2:]).stopped == ""
    assert page(admission, candidate(2), candidate(3)).admitted == 2
    assert (admission.cursor(URL), stream.ledger.totals().backlog) == ("3-1", 3)


def test_a_list_that_somebody_else_moved_is_left_alone(admission: Admission, stream: Stream) -> None:
    """What was looked at and is no longer at the end of the list was taken by another process."""
    moving = listed(admission, nameless("a"), nameless("b"), nameless("c"))
    other = Admission(stream.client, 1000)
    assert other.admit_list(moving[:1]).taken == 1
    assert admission.admit_list(moving) == Admitted(0, 0, 0, 0, 0, 0, "moved")
    assert admission.admit_list(moving[1:]).taken == 2
    assert [event for _, _, event in entries(stream)] == [b"a", b"b", b"c"]


def test_a_page_for_a_cursor_that_moved_is_not_admitted(admission: Admission, stream: Stream) -> None:
    """Of two processes that asked for the same page, the second changes nothing, not even the cursor."""
    assert page(admission, nameless("a", 5), cursor="").taken == 1
    assert page(admission, nameless("b", 4), cursor="").stopped == "moved"
    assert (admission.cursor(URL), stream.length()) == ("5-2", 1)


def test_an_event_that_is_too_large_is_cut_and_blocks_nothing(admission: Admission, stream: Stream) -> None:
    """It is moved one byte longer than an event may be, so that the filter names it."""
    admission.client.lpush(FOREIGN_LIST, b"x" * (LARGEST_EVENT_BYTES + 500), b"after")
    large, after = admission.peek()
    assert (large.size, large.event, after.event) == (LARGEST_EVENT_BYTES + 500, None, b"after")
    found = [Candidate(one.sha1, "", 0, one.sha1, b"") for one in (large, after)]
    assert admission.admit_list(found).taken == 2
    assert [len(event) for _, _, event in entries(stream)] == [LARGEST_EVENT_BYTES + 1, 5]


def test_peeking_is_bounded_by_number_and_size(admission: Admission) -> None:
    """A call stops Redis for everybody, so it looks at 500 events or 4 MiB, and at one at least."""
    for _ in range(7):
        admission.client.lpush(FOREIGN_LIST, b"x" * 1_000_000)
    assert len(admission.peek()) == 4
    admission.client.delete(FOREIGN_LIST)
    admission.client.lpush(FOREIGN_LIST, b"x" * 5_000_000, b"y")
    assert [one.size for one in admission.peek()] == [5_000_000]
    admission.client.delete(FOREIGN_LIST)
    admission.client.lpush(FOREIGN_LIST, *(b"%d" % number for number in range(PAGE + 1)))
    assert [one.event for one in admission.peek()] == [b"%d" % number for number in range(PAGE)]


def test_a_loss_is_declared_with_the_numbers_that_can_be_told(admission: Admission, stream: Stream) -> None:
    """Between the highest admitted number and the first one seen afterwards; later holes are no losses."""
    page(admission, candidate(1), candidate(2), candidate(4))
    did = page(admission, candidate(10), candidate(12), candidate(3, "other"), oldest="10-1")
    assert did.declared == 5 + 2
    reason = (
        f"lost before it was collected: http {URL} had nothing older than 10-1, asked for what follows 4-1"
    )
    assert gaps(stream) == [Gap(5, 9, reason)]
    assert gaps(stream, "other") == [Gap(1, 2, reason)]
    (loss,) = losses(stream.client)
    assert (loss.url, loss.cursor, loss.oldest) == (URL, "4-1", "10-1")
    assert f"{URL} no longer had its entries between 4-1 and 10-1" in str(loss)
    page(admission, candidate(20), candidate(8, "other"))
    assert (len(gaps(stream)), len(gaps(stream, "other"))) == (1, 1), "the loss is looked into, and closed"
    totals = stream.ledger.totals()
    assert (totals.declared, totals.backlog) == (7, stream.length())


def test_a_loss_is_looked_into_until_the_pages_after_it_end(admission: Admission, stream: Stream) -> None:
    """A producer that shows only on the second page after the loss is looked at there, once."""
    page(admission, candidate(1), candidate(1, "late"))
    page(admission, candidate(5), oldest="5-1", complete=False)
    page(admission, candidate(9), candidate(4, "late"), candidate(6, "late"), complete=True)
    assert [(gap.first, gap.last) for gap in gaps(stream)] == [(2, 4)]
    assert [(gap.first, gap.last) for gap in gaps(stream, "late")] == [(2, 3)]
    page(admission, candidate(50, "late"))
    assert len(gaps(stream, "late")) == 1


def test_what_was_declared_lost_and_comes_by_another_way_is_admitted(
    admission: Admission, stream: Stream
) -> None:
    """The declaration shrinks by that very number, and the account still adds up."""
    page(admission, candidate(1))
    page(admission, candidate(6), oldest="6-1")
    assert [(gap.first, gap.last) for gap in gaps(stream)] == [(2, 5)]
    for number, left in ((3, [(2, 2), (4, 5)]), (2, [(4, 5)]), (5, [(4, 4)]), (4, [])):
        assert admission.admit_list(listed(admission, candidate(number))).admitted == 1
        assert [(gap.first, gap.last) for gap in gaps(stream)] == left
    totals = stream.ledger.totals()
    assert (totals.declared, totals.high, totals.written, totals.backlog) == (0, 6, 6, 6)
    assert settle_all(stream) == 6
    assert stream.ledger.totals().backlog == 0


def test_the_installation_has_one_name(admission: Admission, redis_settings: RedisSettings) -> None:
    """It is random, and the same for every process."""
    assert admission.installation() == Admission(Stream.open(redis_settings).client, 1).installation()
    assert len(admission.installation()) == 32


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["list", "page"]), st.lists(st.integers(1, 30), max_size=12)), max_size=8
    )
)
def test_any_order_by_any_way_admits_each_number_once(
    redis_settings: RedisSettings, ways: list[tuple[str, list[int]]]
) -> None:
    """Numbers repeated and shuffled over both ways: one entry each, and the sums agree with the bitmaps."""
    client = Stream.open(redis_settings).client
    client.flushdb()
    stream, admission = Stream(client), Admission(client, 10_000)
    stream.ensure_group()
    for way, numbers in ways:
        if way == "list":
            admission.admit_list(listed(admission, *map(candidate, numbers)))
        else:
            page(admission, *map(candidate, numbers))
    wanted = {number for _, numbers in ways for number in numbers}
    written = [number for _, number, _ in entries(stream)]
    assert sorted(written) == sorted(wanted)
    assert client.bitcount(bitmap_key(ALIEN, "admitted", 0)) == len(wanted)
    totals = stream.ledger.totals()
    assert (totals.high, totals.written, totals.backlog) == (len(wanted),) * 3
    assert LedgerState(client).producer(ALIEN).high == max(wanted, default=0)
    assert settle_all(stream) == len(wanted)


def test_a_repetition_after_a_lost_answer_changes_nothing(admission: Admission, stream: Stream) -> None:
    """The client does not know whether its call arrived; calling again with the same arguments is safe."""
    moving = listed(admission, nameless("a"), candidate(2), nameless("b"))
    calls: Iterable[Admitted] = (admission.admit_list(moving) for _ in range(2))
    assert [did.taken for did in calls] == [3, 0]
    assert [page(admission, candidate(4), nameless("c", 9), cursor="").taken for _ in range(2)] == [2, 0]
    assert len(entries(stream)) == 5
    assert isinstance(stream.client, redis.Redis)

"""The load generators count and time what really happened."""

from __future__ import annotations

import pytest
from load import Load, Request, answer_length, percentile, read_wrk
from open_loop import LATE_SECONDS, Timetable, arrivals

WRK = """Running 2s test @ http://127.0.0.1:8000/predict
  1 threads and 32 connections
  Latency Distribution
     50%    1.63ms
     75%    2.10ms
     90%    3.00ms
     99%  500.00us
  26383 requests in 2.02s, 9.60MB read
Requests/sec:  13061.00
"""


def test_wrk_report_is_read() -> None:
    """Requests, time and percentiles of wrk's report arrive in one unit."""
    assert read_wrk(WRK) == Load(26383, 2.02, 1.63, 0.5, 0)
    assert read_wrk(WRK).per_second == pytest.approx(26383 / 2.02)


def test_wrk_failures_count() -> None:
    """Answers that were not 2xx and broken connections are failures, not answers."""
    said = WRK + "  Non-2xx or 3xx responses: 12\n  Socket errors: connect 0, read 3, write 0, timeout 1\n"
    assert read_wrk(said).failed == 16


def test_what_is_no_report_is_an_error() -> None:
    """A wrk that could not connect is not a measurement of zero."""
    with pytest.raises(ValueError, match="unable to connect"):
        read_wrk("unable to connect to 127.0.0.1:8000 Connection refused")


def test_a_request_goes_over_the_wire_with_its_headers() -> None:
    """The request is HTTP/1.1 with the body's length and the headers asked for."""
    wire = Request(80, "/predict", b'{"a": 1}', {"X-Profile": "1"}).wire()
    head, _, body = wire.partition(b"\r\n\r\n")
    assert body == b'{"a": 1}'
    assert head.split(b"\r\n") == [
        b"POST /predict HTTP/1.1",
        b"Host: 127.0.0.1",
        b"Content-Type: application/json",
        b"Content-Length: 8",
        b"X-Profile: 1",
    ]


def test_an_answer_in_pieces_is_read_to_its_end() -> None:
    """The length of an answer is known once its head is whole, and counts head and body."""
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    assert answer_length(whole[:30]) is None
    assert answer_length(whole) == len(whole)
    assert answer_length(whole + b"HTTP/1.1") == len(whole)


def test_percentiles_are_values_that_occurred() -> None:
    """A percentile is the nearest rank of the sorted values."""
    ordered = [float(value) for value in range(101)]
    assert [percentile(ordered, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]


def test_arrivals_are_the_same_for_a_seed_and_come_at_the_rate() -> None:
    """The schedule is fixed beforehand: sorted, repeatable, and of the rate asked for."""
    times = arrivals(1000, 10)
    assert times == arrivals(1000, 10)
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 10
    assert len(times) == pytest.approx(10_000, rel=0.05)
    assert times != arrivals(1000, 10, seed=7)


def test_a_stalled_server_is_charged_for_the_whole_wait() -> None:
    """Latency counts from the moment a request was due: a stall of a second is seen by all due in it."""
    table = Timetable([0.1 * number for number in range(10)])
    due = [table.send(0.0)]
    table.blocked()  # the one connection is taken until 1.0
    table.answer(due[0], 1.0, ok=True)
    while table.next_due() is not None:
        table.answer(table.send(1.0), 1.0, ok=True)
        if table.next_due() is not None:
            table.blocked()
    result = table.result(10, 0.1)
    assert sorted(table.latencies_ms) == pytest.approx([100.0 * number for number in range(1, 11)])
    assert result.max_ms == pytest.approx(1000)
    assert result.p50_ms == pytest.approx(500)
    assert (result.answered, result.failed, result.late_share) == (10, 0, 0.0)


def test_a_generator_that_is_late_says_so() -> None:
    """A send that is late though a connection was free is the generator's fault, and counted."""
    table = Timetable([0.0, 0.1, 0.2, 0.3])
    for now in (0.0, 0.1 + 2 * LATE_SECONDS, 0.2 + LATE_SECONDS / 2, 0.3):
        table.answer(table.send(now), now, ok=True)
    result = table.result(10, 0.99)
    assert result.late_share == 0.25
    assert not result.trustworthy


def test_what_was_never_answered_is_not_hidden() -> None:
    """Requests without an answer and answers that were errors are told apart from good ones."""
    table = Timetable([0.0, 0.1, 0.2])
    first, second = table.send(0.0), table.send(0.1)
    table.answer(first, 0.5, ok=True)
    table.answer(second, 0.5, ok=False)
    result = table.result(10, 0.1)
    assert (result.requests, result.answered, result.failed) == (3, 2, 1)
    assert not table.finished

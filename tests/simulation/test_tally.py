"""The live line and the summary say what was counted."""

from __future__ import annotations

from vigie.simulation.outcome_tally import OutcomeTally
from vigie.simulation.tally import NO_ANSWER, LiveText, Summary, Tally


def test_the_live_line_tells_the_rate_since_the_last_look() -> None:
    """Rate, counts, and latencies of the newest answers; a dash before there are any."""
    tally, times = Tally(), iter([10.0, 10.0, 12.0, 12.5])
    line = LiveText(tally, lambda: next(times))
    assert line() == "0/s  answered 0  refused 0  failed 0  p50 –  p95 – ms"
    for latency in range(1, 102):
        tally.count("predict", 200, latency / 1000)
    assert line() == "50/s  answered 101  refused 0  failed 0  p50 51.0  p95 96.0 ms"
    tally.count("bad", 422, 0.2)
    assert line().startswith("2/s  answered 101  refused 1 ")


def test_outcomes_are_in_line_and_summary() -> None:
    """Those taken of those that are or will be sent; without feedback nothing is said of any."""
    outcomes = OutcomeTally(waiting=30)
    outcomes.statuses.update({"recorded": 1200, "kept": 11, "conflict": 1})
    assert LiveText(Tally(), outcomes=outcomes)().endswith("p95 – ms  outcomes 1,211/1,242")
    summary = Summary(Tally(), 2.0, 3, "the cohort", 7, outcomes)
    assert list(summary.lines())[2:] == [
        "1,212 outcomes sent, 1,211 taken (1 conflict, 11 kept, 1,200 recorded)",
        "30 outcomes were not sent: they were not due when it ended",
    ]
    assert summary.as_dict()["outcomes"] == outcomes.as_dict()
    assert "outcomes" not in Summary(Tally(), 2.0, 3, "the cohort", 7).as_dict()
    assert outcomes.faults == 0, "a conflict is the API's to decide"
    outcomes.statuses.update({"refused": 2, "invalid": 1})
    outcomes.failed = 4
    assert outcomes.faults == 7


def test_the_summary_says_what_failed_and_what_was_late() -> None:
    """Failures are told by status, late requests by number; counts per kind are in the JSON."""
    tally = Tally()
    for status in (200, 500, 504, 504, NO_ANSWER):
        tally.count("predict", status, 0.25, late=status == 504)
    tally.count_predictions(1)
    summary = Summary(tally, seconds=2.0, offered_per_second=3, source="the cohort", seed=7)
    assert list(summary.lines()) == [
        "5 requests in 2.0 s: 2.5/s of 3/s offered; 1 predictions",
        "rows of the cohort, seed 7",
        "2 were sent more than 0.1 s late: every user was waiting for an answer",
        "4 failed: 1 unanswered, 1 with 500, 2 with 504",
    ]
    found = summary.as_dict()
    assert found["statuses"] == {"none": 1, "200": 1, "500": 1, "504": 2}
    latencies = {"p50": 250.0, "p95": 250.0, "p99": 250.0, "max": 250.0}
    counts = {"sent": 5, "answered": 1, "refused": 0, "failed": 4}
    assert found["kinds"] == {"predict": {**counts, "latency_ms": latencies}}

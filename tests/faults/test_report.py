"""The table of the campaign says what the campaign measured."""

from __future__ import annotations

from dataclasses import replace

from tests.faults import report
from tests.faults.campaign import Row
from tests.faults.report import PAGE, Result

ROW = Row(
    faults={"disk full": 1, "redis lost": 3},
    events=5000,
    unanswered=2,
    lost=0,
    duplicated=0,
    unknown=0,
    dropped=12,
    unaccounted=0,
    recovery_seconds=1.25,
    attempts=1,
    missing=9,
)
RESULT = Result("embedded store", "6.2.14", "3.12.1", "short", 7, balanced=True, rows=(ROW, ROW))


def test_the_page_holds_the_tables_of_the_kept_results() -> None:
    """docs/reliability.md shows what results.json holds; `make faults RECORD=1` writes both."""
    page = PAGE.read_text(encoding="utf-8")
    assert report.with_tables(page) == page


def test_the_kept_results_are_of_100000_events_without_a_loss() -> None:
    """On both stores: nothing lost, doubled or unaccounted for, and the ledger agrees."""
    kept = report.kept()
    assert set(kept) == {"embedded", "elasticsearch"}
    for result in kept.values():
        assert result.clean
        assert result.events >= 100_000
        assert all(min(row.faults.values()) > 0 for row in result.rows)
        assert all(row.dropped == 0 or "disk full" in row.faults for row in result.rows)


def test_a_table_has_a_row_for_each_round_and_the_sums() -> None:
    """Every figure of a round is in its row."""
    table = report.table(RESULT)
    assert "`make faults CAMPAIGN=short SEED=7`" in table
    assert "| disk full (1), redis lost (3) | 5,000 | 0 | 0 | 0 | 12 | 1.2 |\n" in table
    assert "| **2 rounds** | **10,000** | **0** | **0** | **0** | **24** | at most 1.2 |\n" in table


def test_a_result_survives_its_json() -> None:
    """What is kept is read back as it was."""
    assert Result.read(RESULT.as_dict()) == RESULT


def test_a_result_of_before_is_read() -> None:
    """Results in which it was not recorded how many answered events were missing are read as they are."""
    before = RESULT.as_dict()
    for row in before["rows"]:
        del row["missing"]
    found = Result.read(before)
    assert found.clean
    assert {row.missing for row in found.rows} == {None}


def test_a_single_loss_makes_a_result_unclean() -> None:
    """Lost, doubled, made up or unaccounted for: one is enough, and so is a ledger that disagrees."""
    assert RESULT.clean
    assert not replace(RESULT, balanced=False).clean
    for row in (
        replace(ROW, lost=1),
        replace(ROW, duplicated=1),
        replace(ROW, unknown=1),
        replace(ROW, unaccounted=1),
    ):
        assert not replace(RESULT, rows=(ROW, row)).clean


def test_a_drop_needs_a_reached_bound_and_as_many_missing() -> None:
    """Without a full disk one declared drop is unclean; with one, the declared are the missing and few more."""
    without = replace(ROW, faults={"store SIGKILL": 1, "disk full": 0}, missing=0, dropped=0)
    assert without.clean
    assert not replace(without, dropped=1).clean
    assert not replace(without, missing=1).clean
    served = replace(ROW, unanswered=0, missing=500, dropped=500)
    assert served.clean
    assert replace(served, dropped=503).clean, "a few reports"
    assert not replace(served, dropped=499).clean, "one is missing undeclared"
    assert not replace(served, dropped=600).clean, "declared, and nobody knows of what"
    assert replace(served, dropped=600, unanswered=1).clean, "a request that had no answer had events"

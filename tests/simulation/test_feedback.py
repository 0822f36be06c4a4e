"""Which outcomes come back, and when: the share asked for, within the delay, the same for a seed."""

from __future__ import annotations

import itertools
import random

import pytest

from vigie.schema import FeatureSchema
from vigie.simulation.drift import Drift, turning
from vigie.simulation.feedback import Delay, Feedback, read_delay
from vigie.simulation.rows import Row, SimulationError, cohort_rows, range_rows, repeated_rows

ROWS = 4000


def test_the_share_comes_back_within_the_delay(schema: FeatureSchema) -> None:
    """Three in four, evenly between 2 and 20 s; records and labels stay; the same again for the same seed."""
    feedback = Feedback(0.75, Delay(2, 20))

    def made(seed: int) -> list[Row]:
        return list(itertools.islice(feedback.of(cohort_rows(schema, 1), seed), ROWS))

    rows = made(5)
    delays = [row.known_after_seconds for row in rows if row.known_after_seconds is not None]
    assert len(delays) / ROWS == pytest.approx(0.75, abs=0.03)
    assert 2 <= min(delays) < 2.1
    assert 19.9 < max(delays) <= 20
    assert sum(delays) / len(delays) == pytest.approx(11, abs=0.3)
    plain = list(itertools.islice(cohort_rows(schema, 1), ROWS))
    assert [(row.record, row.label) for row in rows] == [(row.record, row.label) for row in plain]
    assert made(5) == rows != made(6)


def test_an_outcome_that_nobody_knows_does_not_come_back(schema: FeatureSchema) -> None:
    """Rows without a label have none, whatever the share."""
    rows = itertools.islice(Feedback(1, Delay(0, 0)).of(range_rows(schema, 1), 1), 20)
    assert {row.known_after_seconds for row in rows} == {None}


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("2s..20s", Delay(2, 20)),
        ("500ms..1.5m", Delay(0.5, 90)),
        ("1h", Delay(3600, 3600)),
        ("0s", Delay(0, 0)),
    ],
)
def test_delays_are_read(text: str, delay: Delay) -> None:
    """One length of time, or two; drawn delays lie between them."""
    assert read_delay(text) == delay
    assert delay.shortest_seconds <= delay.drawn(random.Random(1)) <= delay.longest_seconds


@pytest.mark.parametrize("text", ["", "20", "2..20s", "20s..2s", "2s..", "-2s", "2s-20s", "2d"])
def test_a_delay_that_cannot_be_read_is_refused(text: str) -> None:
    """The message names the option."""
    with pytest.raises(SimulationError, match=f"--feedback-delay {text}: "):
        read_delay(text)


def test_concept_drift_turns_outcomes_and_nothing_else(schema: FeatureSchema) -> None:
    """From its row on the share asked for has the other class, of either class; no input changes."""
    drift = Drift((), after=100, concept=0.2)
    plain = list(itertools.islice(cohort_rows(schema, 3), ROWS))
    turned = list(itertools.islice(turning(cohort_rows(schema, 3), schema.target.classes, drift, 3), ROWS))
    assert [row.record for row in turned] == [row.record for row in plain]
    changed = [one.label for one, other in zip(turned, plain, strict=True) if one.label != other.label]
    assert turned[:100] == plain[:100]
    assert len(changed) / (ROWS - 100) == pytest.approx(0.2, abs=0.02)
    assert changed.count("NO") / len(changed) == pytest.approx(0.86, abs=0.05), "as frequent as YES was"


def test_of_many_classes_every_other_one_comes() -> None:
    """With a share of 1 no outcome stays, and each of the other classes has its turn."""
    rows = [Row({}, label="b")] * 200
    turned = [row.label for row in turning(iter(rows), ("a", "b", "c"), Drift((), concept=1.0), 1)]
    assert {*turned} == {"a", "c"}
    assert turned.count("a") == pytest.approx(100, abs=30)


def test_held_out_rows_repeat_in_another_order() -> None:
    """Each pass has every row once; the seed decides the order."""
    rows = [Row({}, number) for number in range(50)]
    drawn = list(itertools.islice(repeated_rows(rows, 1), 100))
    first, second = [row.number for row in drawn[:50]], [row.number for row in drawn[50:]]
    assert sorted(first) == sorted(second) == list(range(50))  # type: ignore[type-var]
    assert first != second
    assert drawn == list(itertools.islice(repeated_rows(rows, 1), 100))

"""A prediction that was answered is stored, whenever its API is killed."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from tests.faults.client import Load
from tests.faults.faults import seen
from tests.faults.judge import Judgement, judge, read_ledger
from tests.faults.place import Place

from vigie.telemetry.journal.survey import survey

EVENTS = 500
"""Answers between two kills, at least."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_answered_before_a_kill_is_stored_after_the_next_start(
    place: Place, records: list[dict[str, Any]]
) -> None:
    """SIGKILL of the API under load, while Redis takes its events and twice while Redis is away.

    The client's list of answered ids minus the stored ones is empty, nothing is stored twice, and nothing
    is stored that nobody asked for.
    """
    chance = random.Random(3)
    load = Load(place.url("api"), records, "kills", 3 * EVENTS)
    load.start()
    unshipped = []
    try:
        for redis_is_away in (False, True, True):
            if redis_is_away:
                place.redis_wire.break_down("refuse")
            _await_answers(load, EVENTS)
            assert seen(lambda: load.in_flight > 0)
            time.sleep(chance.uniform(0.0, 0.05))
            place.kill("api")
            unshipped.append(
                sum(last - first + 1 for found in survey(place.home) for first, last in found.unshipped)
            )
            if redis_is_away:
                place.redis_wire.heal()
            place.start("api")
    finally:
        load.stop()
    assert min(unshipped[1:]) >= EVENTS, "with Redis away the journals alone held what was answered"
    place.await_settled(240)
    assert judge(place, load, 0) == Judgement(lost=0, duplicated=0, unknown=0, dropped=0)
    assert read_ledger(place).problems == ()


def _await_answers(load: Load, count: int) -> None:
    upto = len(load.answered) + count
    assert seen(lambda: len(load.answered) >= upto, 120)

"""The clock that the campaign steps is the one that API and pipeline go by, and it decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.faults.client import Load
from tests.faults.faults import seen
from tests.faults.judge import Judgement, judge, read_ledger
from tests.faults.place import Place
from tests.servers import wait_for

from vigie.telemetry.journal.survey import survey

EVENTS = 200
"""Answers under each clock, at least."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stepped_clock_of_api_and_pipeline_loses_and_doubles_nothing(
    place: Place, records: list[dict[str, Any]]
) -> None:
    """One hour back, where a pipeline begins anew, and over midnight under load: what was answered is stored once."""
    load = Load(place.url("api"), records, "stepped", 3 * EVENTS)
    load.start()
    try:
        _await_answers(load)
        place.clock.step(-3600.0)
        old = load.newest
        assert seen(lambda: load.newest < old), "the API's clock is back"
        place.kill("pipeline")
        place.start("pipeline")
        _await_answers(load)
        wait_for(lambda: _pipelines_of_the_past(place) == 1, 120, "a pipeline that began an hour ago")
        place.clock.to_midnight(0.5)
        assert seen(lambda: load.newest[:10] > old[:10]), "the API's clock is over midnight"
        _await_answers(load)
    finally:
        load.stop()
    place.await_settled(240)
    assert judge(place, load, 0) == Judgement(lost=0, duplicated=0, unknown=0, dropped=0)
    assert read_ledger(place).problems == ()


def _await_answers(load: Load) -> None:
    upto = len(load.answered) + EVENTS
    assert seen(lambda: len(load.answered) >= upto, 120)


def _pipelines_of_the_past(place: Place) -> int:
    """How many pipelines say in their journals that they began half an hour ago or before."""
    since = datetime.now(UTC) - timedelta(minutes=30)
    found = [one.attributes for one in survey(place.home)]
    return sum(
        one.get("role") == "pipeline" and datetime.fromisoformat(one["started"]) < since for one in found
    )

"""A store that refuses for want of room, and kills of the pipeline and of the store meanwhile."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import redis
from tests.faults.client import Load
from tests.faults.faults import seen
from tests.faults.judge import Judgement, judge, read_ledger
from tests.faults.place import Place
from tests.faults.store_faults import BulkFault

from vigie.telemetry.stream.keys import GROUP, STREAM

EVENTS = 500
ATTEMPTS = 5
"""How often a kill is done until it met refused events in hand."""
KILLS: tuple[tuple[BulkFault, str], ...] = (
    ("429", "pipeline"),
    ("429", "pipeline"),
    ("429", "store"),
    ("429 for some documents", "pipeline"),
    ("429 for some documents", "pipeline"),
    ("429 for some documents", "store"),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_while_the_store_answers_429_lose_and_double_nothing(
    place: Place, records: list[dict[str, Any]]
) -> None:
    """Bulks refused as a whole, then in part: the pipeline is killed twice and the store once in each, with
    refused events in hand; afterwards what was answered is stored once."""
    load = Load(place.url("api"), records, "refused", EVENTS)
    load.start()
    try:
        for fault, name in KILLS:
            _kill_amid_refusals(place, fault, name)
        place.store_faults.fault = None
    finally:
        load.stop()
    place.await_settled(240)
    assert judge(place, load, 0) == Judgement(lost=0, duplicated=0, unknown=0, dropped=0)
    ledger = read_ledger(place)
    assert (ledger.problems, ledger.dropped) == ((), 0)


def _kill_amid_refusals(place: Place, fault: BulkFault, name: str) -> None:
    """Kill `name` after the running pipeline was refused something, with entries in flight; start it again.

    The fault stays on, so that the next kill meets it with what this one left behind. Of refusals in part the
    last may be overcome just before the kill: that one does not count, and it is done again.
    """
    store = place.store_faults
    store.fault = fault
    for _ in range(ATTEMPTS):
        assert seen(lambda: _in_hand(place) > 0, 120), "the pipeline never had an event in hand"
        refused = store.acted[fault]
        assert seen(lambda count=refused: store.acted[fault] > count and _in_hand(place) > 0, 120)
        place.kill(name)
        overlapped = place.in_flight() > 0
        place.start(name)
        if overlapped:
            return
    raise AssertionError(f"in {ATTEMPTS} kills {name} never died with refused events in hand")


def _in_hand(place: Place) -> int:
    """Entries that the running pipeline holds; those of killed ones are not among them."""
    own = f"-{place.processes['pipeline'].pid}-"
    with place.redis as client, suppress(redis.ResponseError):  # the first pipeline makes the group
        consumers: Any = client.xinfo_consumers(STREAM, GROUP)
        return sum(one["pending"] for one in consumers if own in one["name"].decode())
    return 0

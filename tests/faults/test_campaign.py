"""A short campaign of faults, and that its judge can find a fault at all."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.faults import campaign
from tests.faults.__main__ import EVENTS, ROUNDS
from tests.faults.client import Load
from tests.faults.faults import ACCIDENTS, CLOCK, DISK, REDIS_WIRE, STORE_TROUBLE
from tests.faults.judge import Judgement, judge, read_ledger
from tests.faults.place import Place

SEED = 46
CLEAN = Judgement(lost=0, duplicated=0, unknown=0, dropped=0)


@pytest.mark.slow
@pytest.mark.every_store
@pytest.mark.timeout(900)
def test_a_short_campaign_loses_and_doubles_nothing(place: Place, records: list[dict[str, Any]]) -> None:
    """Kills, stops, cuts, lost answers and refusals, composed: the client's list and the store agree, the ledger too.

    Then one document is deleted, one copied and one made up: the same judge names each.
    """
    rounds = campaign.plan(SEED, ROUNDS["short"], with_disk=False)
    rows = campaign.run(place, rounds, records, EVENTS["short"], SEED, print)
    assert [row for row in rows if not row.clean] == []
    assert all(min(row.faults.values()) > 0 for row in rows), "each fault was seen to act"
    assert sum(row.dropped for row in rows) == 0, "no bound was reached"
    assert place.finish("verify") == 0, place.output("verify")
    _tamper_and_judge(place, records)


def _tamper_and_judge(place: Place, records: list[dict[str, Any]]) -> None:
    load = Load(place.url("api"), records, "tampered", 300)
    load.start()
    load.stop()
    place.await_settled(240)
    assert judge(place, load, 0) == CLEAN
    with httpx.Client(base_url=place.store_url, timeout=60) as store:
        query = {"prefix": {"correlation_id": "tampered-"}}
        alias = f"{place.settings.store.es_index_prefix}ml-api-message"
        found = store.post(f"/{alias}/_search", json={"size": 3, "query": query}).raise_for_status()
        removed, copied, invented = found.json()["hits"]["hits"]
        store.delete(_path(removed, removed["_id"])).raise_for_status()
        store.put(_path(copied, "a-copy"), json=copied["_source"]).raise_for_status()
        foreign = {**invented["_source"], "transaction_id": "nobody's", "correlation_id": "tampered-never"}
        store.put(_path(invented, "invented"), json=foreign).raise_for_status()
    assert judge(place, load, 0) == Judgement(lost=1, duplicated=1, unknown=1, dropped=0, missing=1)
    assert read_ledger(place).unaccounted > 0


def _path(hit: dict[str, Any], key: str) -> str:
    return f"/{hit['_index']}/_doc/{key}?refresh=true"


def test_a_plan_deals_every_fault_and_is_made_of_its_seed() -> None:
    """The same seed gives the same rounds, another one others; a long plan leaves no fault out."""
    rounds = campaign.plan(7, ROUNDS["long"], with_disk=True)
    assert rounds == campaign.plan(7, ROUNDS["long"], with_disk=True)
    assert rounds != campaign.plan(8, ROUNDS["long"], with_disk=True)
    assert {fault for faults in rounds for fault in faults} == {
        *ACCIDENTS,
        *CLOCK,
        DISK,
        *REDIS_WIRE,
        *STORE_TROUBLE,
    }
    assert all(len(faults) == (2 if DISK in faults else 3) for faults in rounds)

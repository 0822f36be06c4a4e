"""Bulk requests when the disk or the index fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from vigie.store.bulk import bulk
from vigie.store.engine import Engine
from vigie.store.index import StoreIndex
from vigie.store.write_ahead_log import LoggedOperation, WriteAheadLog

FIELDS = {"l": {"type": "long"}}


def test_a_write_that_fails_is_retriable_per_item(
    engine: Engine, fill: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one index cannot be written, its items are 503 and those of the others are written."""
    fill(FIELDS, [], name="good")
    fill(FIELDS, [], name="bad")
    bad = engine.index("bad")
    append = WriteAheadLog.append

    def failing(log: WriteAheadLog, operations: Sequence[LoggedOperation]) -> None:
        if log is bad.log:
            raise OSError("no space left")
        append(log, operations)

    monkeypatch.setattr(WriteAheadLog, "append", failing)
    body = (
        b'{"create":{"_index":"good","_id":"1"}}\n{"l":1}\n{"create":{"_index":"bad","_id":"1"}}\n{"l":1}\n'
    )
    with ThreadPoolExecutor(2) as executor:
        answer = bulk(engine, body, None, executor, refreshed=False)
    good, refused = (item["create"] for item in answer["items"])
    assert good["status"] == 201
    assert refused["status"] == 503
    assert refused["error"]["type"] == "unavailable_shards_exception"
    assert "no space left" in refused["error"]["reason"]


def test_an_index_under_two_names_keeps_the_order_of_items(
    engine: Engine, fill: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items that reach one index by its name and by an alias are applied in the order sent, in one write."""
    fill(FIELDS, [], name="real")
    with engine.changing() as catalog:
        catalog.indices["real"].aliases["alias"] = {}
    writes: list[int] = []
    original = StoreIndex.write
    monkeypatch.setattr(
        StoreIndex, "write", lambda self, ops: (writes.append(len(ops)), original(self, ops))[1]
    )
    body = (
        b'{"create":{"_index":"real","_id":"1"}}\n{"l":1}\n{"index":{"_index":"alias","_id":"1"}}\n{"l":2}\n'
    )
    items = bulk(engine, body + b'{"delete":{"_index":"alias","_id":"1"}}\n', None, None, refreshed=False)[
        "items"
    ]
    assert [next(iter(item.values()))["result"] for item in items] == ["created", "updated", "deleted"]
    assert {next(iter(item.values()))["_index"] for item in items} == {"real"}
    assert writes == [3]

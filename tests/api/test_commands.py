"""`vigie history` and `vigie trace` against a served API."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.api.conftest import StartApi
from tests.api.served import serving
from tests.logs_pipeline.events import prediction, record
from tests.store_proxy import StoreProxy
from typer.testing import CliRunner

from vigie.api import commands
from vigie.cli import app
from vigie.logs_pipeline.pipeline import run_once
from vigie.telemetry.ids import new_id
from vigie.telemetry.stream.stream import Stream
from vigie.terminal import out

PRODUCER = "5b1a3c1e-0000-4000-8000-000000000001"


async def test_history_and_trace_are_printed(
    start_api: StartApi, store_server: StoreProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tables of 80 columns and as the API's own JSON; what there is none of gives exit status 1."""
    api = await start_api(
        ES_HOST="127.0.0.1", ES_PORT=store_server.port, LOG_LEVEL="CRITICAL", REQUEST_TIMEOUT=120
    )
    sent = [prediction(1, profiled=True, subject_id="p-7"), prediction(2)]
    Stream.open(api.service.settings.redis).write(PRODUCER, [record(one, n) for n, one in enumerate(sent, 1)])
    await asyncio.to_thread(run_once, api.service.settings)
    first, second = (one["data"]["transaction_id"] for one in sent)
    async with serving(api, monkeypatch) as served:
        monkeypatch.setenv("API_URL", served.url)

        async def vigie(*arguments: str) -> tuple[int, str]:
            ran = await asyncio.to_thread(CliRunner().invoke, app, arguments)
            return ran.exit_code, ran.output

        await api.client.get(
            f"/predict/{first}"
        )  # where an index is not searched, this lets the store show it
        status, text = await vigie("trace", first)
        assert status == 0, text
        for shown in ("stored", "POST /predict: 200 ok", "p-7", "YES 0.900", "inference_time_ms 0.5", "f1"):
            assert shown in text
        assert max(map(len, text.splitlines())) <= 80
        status, text = await vigie("trace", first, "--json")
        assert (status, json.loads(text)["event"]) == (0, sent[0])

        status, text = await vigie("history", "--limit", "1")
        assert (status, second in text, first in text) == (0, True, False)
        assert max(map(len, text.splitlines()[:2])) <= 80
        following = text.strip().splitlines()[-1].removeprefix("more: --cursor ")
        status, text = await vigie("history", "--cursor", following, "--json")
        assert [item["transaction_id"] for item in json.loads(text)["items"]] == [first]

        assert await vigie("history", "--subject", "nobody") == (1, "no prediction fits\n")
        unknown = new_id()
        assert await vigie("trace", unknown) == (
            1,
            f"There is no request {unknown}: never made, expired or erased\n",
        )


def test_what_is_long_is_cut_and_not_the_columns_beside_it() -> None:
    """In 80 columns a long list of faults leaves time and status whole, a long function its figures."""
    refused = {
        "timestamp": "2026-11-21T06:53:01.338987Z", "transaction_id": new_id(), "status": "refused",
        "errors": [{"field": f"F{number}", "reason": "is required"} for number in range(14)],
    }  # fmt: skip
    called = {"function": "f" * 90, "file": f"<{'m' * 60}>", "line": 0, "calls": 12_345, "own_ms": 1234.5678}
    with out.capture() as printed:
        out.print(commands._table([refused]), width=80)
        out.print(commands._functions([called]), width=80)
    rows, row, _, function = printed.get().splitlines()
    assert row.split()[:4] == ["11-21T06:53:01.338", refused["transaction_id"], "refused", "F0"]
    assert function.split()[2:] == ["12345", "1234.568"]
    assert max(map(len, (rows, row, function))) <= 80

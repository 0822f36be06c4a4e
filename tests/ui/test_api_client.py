"""One pooled client, time-outs, an id with every request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from uuid import UUID

import pytest
from tests.servers import free_port
from tests.ui.doubles import TRANSACTION, ApiDouble

from vigie.settings import Settings
from vigie.ui import api_client
from vigie.ui.api_client import ApiClient
from vigie.ui.outcome import Failure, Prediction


@pytest.fixture
async def client(
    api_double: ApiDouble, settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ApiClient]:
    """A client of the double that soon gives up."""
    monkeypatch.setattr(api_client, "ANSWER_MARGIN_SECONDS", 0.1)
    client = ApiClient(settings_for(API_URL=f"{api_double.url}/", REQUEST_TIMEOUT=0.1).api)
    yield client
    await client.close()


async def test_a_request_carries_the_record_and_an_id_of_its_own(
    client: ApiClient, api_double: ApiDouble
) -> None:
    """The API keeps the X-Request-ID, a UUID version 7 that no two requests share."""
    outcomes = [await client.predict({"AGE": 60}) for _ in range(2)]
    assert all(isinstance(outcome, Prediction) for outcome in outcomes)
    assert [request["record"] for request in api_double.requests] == [{"AGE": 60}] * 2
    ids = [UUID(request["headers"][b"x-request-id"].decode()) for request in api_double.requests]
    assert [found.version for found in ids] == [7, 7]
    assert len(set(ids)) == 2


async def test_a_fault_of_the_api_is_an_outcome(client: ApiClient, api_double: ApiDouble) -> None:
    """A 503 with its transaction id is described, not raised."""
    api_double.answer_with(503, {"title": "Queue full", "transaction_id": TRANSACTION})
    outcome = await client.predict({})
    assert isinstance(outcome, Failure)
    assert (outcome.said, outcome.transaction_id) == ("Queue full", TRANSACTION)


async def test_an_api_that_is_too_slow_is_given_up(client: ApiClient, api_double: ApiDouble) -> None:
    """After REQUEST_TIMEOUT and a margin the visitor reads that the API is slow."""
    api_double.answer_with(200, {}, delay_seconds=2)
    outcome = await client.predict({})
    assert isinstance(outcome, Failure)
    assert (outcome.title, outcome.status) == ("failure.too_slow", None)
    assert UUID(outcome.request_id).version == 7


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "nonsense", "http://[broken"])
async def test_an_api_that_is_away_is_an_outcome(settings_for: Callable[..., Settings], url: str) -> None:
    """Nobody at the address, or no address at all: a failure that names it."""
    address = url.format(port=free_port())
    client = ApiClient(settings_for(API_URL=address).api)
    outcome = await client.predict({})
    assert isinstance(outcome, Failure)
    assert (outcome.what_happened, outcome.url) == ("failure.nothing_answers", address)
    assert not await client.reachable()
    await client.close()


async def test_reachable_is_whether_the_process_answers(client: ApiClient, api_double: ApiDouble) -> None:
    """A 500 of the probe is no sign of life."""
    assert await client.reachable()
    api_double.answer_with(500, {})
    assert not await client.reachable()

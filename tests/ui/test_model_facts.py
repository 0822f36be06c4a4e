"""What is known of the model that answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.ui.doubles import ApiDouble

from vigie.settings import Settings
from vigie.ui.api_client import ApiClient
from vigie.ui.predict import model_facts
from vigie.ui.predict.model_facts import ModelFacts

MODEL: dict[str, Any] = {
    "version": "1.2.3",
    "threshold": 0.5,
    "simulated": True,
    "metrics": {"rows": 4000, "correct": 3700, "calibration_error": 0.0127, "brier": 0.05},
    "columns": [],
}


@pytest.fixture
async def facts(api_double: ApiDouble, settings_for: Callable[..., Settings]) -> AsyncIterator[ModelFacts]:
    """The facts of the double's model."""
    api_double.elsewhere["/model"] = (200, MODEL)
    client = ApiClient(settings_for(API_URL=api_double.url).api)
    yield ModelFacts(client)
    await client.close()


async def test_they_are_asked_once_and_then_kept(facts: ModelFacts, api_double: ApiDouble) -> None:
    """Many answers make one question."""
    found = [await facts.now() for _ in range(3)]
    assert found[0] is not None
    assert (found[0].threshold, found[0].metrics.calibration_error) == (0.5, 0.0127)
    assert found == [found[0]] * 3
    assert api_double.asked == [("/model", None)]


async def test_a_model_that_took_its_place_is_seen(
    facts: ModelFacts, api_double: ApiDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time for which they are kept, the API is asked again."""
    monkeypatch.setattr(model_facts, "KEEP_SECONDS", 0)
    await facts.now()
    api_double.elsewhere["/model"] = (200, MODEL | {"version": "2.0.0", "threshold": None})
    found = await facts.now()
    assert found is not None
    assert (found.version, found.threshold) == ("2.0.0", None)


@pytest.mark.parametrize("answer", [(503, {}), (200, {"version": "1"}), (200, "<h1>x</h1>")])
async def test_what_is_not_known_is_none(facts: ModelFacts, api_double: ApiDouble, answer: Any) -> None:
    """An API that fails, or something else at its address, costs the page its figures and nothing more."""
    api_double.elsewhere["/model"] = answer
    assert await facts.now() is None

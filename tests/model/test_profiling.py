"""Which predictions are profiled, and that their weights add up whatever ran at the same time."""

from __future__ import annotations

import asyncio
import cProfile
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vigie.model.batcher import InferenceError
from vigie.model.inference import Inference
from vigie.model.model_loader import load_model
from vigie.model.predictor import FloatArray, Predictor, Record
from vigie.schema import FeatureSchema
from vigie.settings import ObservingSettings
from vigie.telemetry.profile_budget import ProfileBudget

UNLUCKY = 13


class Model:
    """Answers what it is asked, but fails on a row of 13."""

    row_cost_ms = 0.01

    def __init__(self, schema: FeatureSchema) -> None:
        self.schema = schema

    def features(self, records: Sequence[Record]) -> FloatArray:
        """One column."""
        return np.array([[float(record["n"])] for record in records])

    def predict_proba(self, matrix: FloatArray) -> FloatArray:
        """The same for everybody."""
        if (matrix == UNLUCKY).any():
            raise ValueError("unlucky")
        return np.tile([0.25, 0.75], (len(matrix), 1))


@pytest.mark.parametrize("budget", [0.0, 0.05, 1.0])
async def test_weights_add_up_under_concurrency(schema: FeatureSchema, budget: float) -> None:
    """Singles, forced ones, small calls on the loop, large ones in the thread, and rows that fail."""
    predictor = Predictor(Model(schema), ObservingSettings(profile_budget=budget))
    chosen = random.Random(7)

    async def client() -> list[Inference | InferenceError]:
        answers = []
        for _ in range(40):
            rows = chosen.choice([1, 1, 1, 1, 5, 150])
            records = [
                {"n": chosen.choice([1, 2, 3, UNLUCKY if chosen.random() < 0.1 else 4])} for _ in range(rows)
            ]
            answers += await predictor.predict(records, force_profile=chosen.random() < 0.02)
            if chosen.random() < 0.2:
                await asyncio.sleep(0)
        return answers

    answers = [one for found in await asyncio.gather(*(client() for _ in range(12))) for one in found]
    answers += await predictor.predict([{"n": 1}], force_profile=True)
    predictor.close()
    answered = [one for one in answers if isinstance(one, Inference)]
    costs = {id(one.cost): one.cost for one in answered}
    assert len(answered) < len(answers)
    assert all((cost.weight > 0) == cost.profiled for cost in costs.values() if cost.profiled or cost.weight)
    assert sum(cost.weight for cost in costs.values()) == len(answered)
    reasons = {(cost.profiled, cost.profile_reason) for cost in costs.values()}
    assert {(True, "forced"), (False, "batch")} <= reasons


@pytest.mark.usefixtures("no_inference_is_slow")
async def test_of_the_reference_model_every_click_is_profiled_and_of_a_load_some(package_path: Path) -> None:
    """Ten a second all carry a profile that stands for themselves alone; without a pause it ends with the budget."""
    now = 1000.0
    model = load_model(package_path)
    predictor = Predictor(model, ObservingSettings(profile_budget=0.05))
    predictor.budget = ProfileBudget(0.05, lambda: now, usual_seconds=model.row_cost_ms / 1e3)

    async def predict() -> tuple[bool, str, int]:
        (answer,) = await predictor.predict([model.schema.example()])
        assert isinstance(answer, Inference)
        return answer.cost.profiled, answer.cost.profile_reason, answer.cost.weight

    clicks = []
    for _ in range(100):
        clicks.append(await predict())
        now += 0.1
    assert clicks == [(True, "budget", 1)] * 100
    load = [await predict() for _ in range(4000)]
    predictor.close()
    profiled = [one for one, _, _ in load]
    last = max(number for number, one in enumerate(profiled) if one)
    assert 0 < profiled[: last + 1].count(True) <= last // 2 + 2
    assert last < len(load) - 100
    assert load[-1] == (False, "budget", 0)


@pytest.mark.usefixtures("no_inference_is_slow")
def test_somebody_elses_profiler_is_left_alone(schema: FeatureSchema) -> None:
    """In a thread that somebody watches by `sys.setprofile` nothing is profiled, and the watching goes on."""
    predictor = Predictor(Model(schema), ObservingSettings())
    seen: list[str] = []
    sys.setprofile(lambda frame, event, _: seen.append(frame.f_code.co_name) if event == "call" else None)
    try:
        answers = [*predictor.predict_now([{"n": 1}], 0), *predictor.predict_now([{"n": 2}], 0)]
    finally:
        sys.setprofile(None)
    answers += predictor.predict_now([{"n": 3}], 0)
    predictor.close()
    reasons = []
    for one in answers:
        assert isinstance(one, Inference)
        reasons.append((one.cost.profiled, one.cost.profile_reason))
    assert reasons == [(False, "disabled"), (False, "disabled"), (True, "budget")]
    assert (seen.count("predict_now"), seen.count("features")) == (2, 2)


def test_predictions_under_cprofile_are_answered_and_seen_by_it(schema: FeatureSchema) -> None:
    """Before Python 3.12 it takes the thread's profile function; from then on it is interpreter-wide."""
    predictor = Predictor(Model(schema), ObservingSettings())
    with cProfile.Profile() as watching:
        answers = [*predictor.predict_now([{"n": 1}], 0), *predictor.predict_now([{"n": 2}], 0)]
    predictor.close()
    assert all(isinstance(one, Inference) for one in answers)
    calls = {
        entry.code.co_name: entry.callcount for entry in watching.getstats() if hasattr(entry.code, "co_name")
    }
    assert (calls["predict_now"], calls["features"]) == (2, 2)

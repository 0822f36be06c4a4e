"""From records to predictions: right rows, right measures, right profiles."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.schemas import mixed_schema

from vigie.model.batcher import InferenceError, QueueFullError
from vigie.model.inference import Inference
from vigie.model.predictor import LARGE_CALL_ROWS, FloatArray, Predictor, Record
from vigie.schema import FeatureSchema
from vigie.settings import InferenceMode, ObservingSettings


class Tenths:
    """A model of one number: P(second class) is a tenth of it; 13 is a row it fails on."""

    def __init__(self, schema: FeatureSchema, row_cost_ms: float) -> None:
        self.schema = schema
        self.row_cost_ms = row_cost_ms
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[str] = set()
        self.sizes: list[int] = []

    def features(self, records: Sequence[Record], /) -> FloatArray:
        """One column."""
        return np.array([[record["YEARS"]] for record in records], dtype=np.float64)

    def predict_proba(self, matrix: FloatArray, /) -> FloatArray:
        """Two classes."""
        self.gate.wait(10)
        self.threads.add(threading.current_thread().name)
        self.sizes.append(len(matrix))
        if (matrix == 13).any():
            raise RuntimeError("thirteen")
        tenths = matrix[:, 0] / 10
        return np.column_stack((1 - tenths, tenths))


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> FeatureSchema:
    """A schema with the classes stays and leaves."""
    return mixed_schema(tmp_path_factory.mktemp("two"))


def predictor(
    schema: FeatureSchema, row_cost_ms: float = 0.01, max_waiting: int = 1024, **observing: object
) -> tuple[Predictor, Tenths]:
    """Return a predictor and its model."""
    model = Tenths(schema, row_cost_ms)
    return Predictor(model, ObservingSettings.model_validate(observing), max_waiting=max_waiting), model


def answered(results: Sequence[Inference | InferenceError]) -> list[Inference]:
    """Return the results, all of which must be answers."""
    assert all(isinstance(result, Inference) for result in results), results
    return [result for result in results if isinstance(result, Inference)]


async def test_probability_is_of_the_positive_class_and_confidence_of_the_one_given(
    two_classes: FeatureSchema,
) -> None:
    """Also when the answer is the other class."""
    subject, _ = predictor(two_classes)
    low, high = answered(await subject.predict([{"YEARS": 2}, {"YEARS": 9}]))
    assert (low.prediction, low.label, low.probability, low.confidence) == (0, "stays", 0.2, 0.8)
    assert (high.prediction, high.label, high.probability, high.confidence) == (1, "leaves", 0.9, 0.9)
    assert high.probabilities == pytest.approx([0.1, 0.9])


async def test_the_threshold_of_the_schema_decides(tmp_path: Path) -> None:
    """From the threshold on the positive class is the answer, with the confidence of what is given."""
    target = {"name": "T", "title": "T", "classes": ["a", "b"], "positive": "b", "threshold": 0.3}
    subject, _ = predictor(mixed_schema(tmp_path / "low", target=target))
    below, at = answered(await subject.predict([{"YEARS": 2}, {"YEARS": 3}]))
    assert (below.prediction, below.label, below.confidence) == (0, "a", 0.8)
    assert (at.prediction, at.label, at.probability, at.confidence) == (1, "b", 0.3, 0.3)


async def test_of_three_classes_probability_is_of_the_class_given(tmp_path: Path) -> None:
    """With more than two classes there is no positive one to speak of."""
    target = {"name": "T", "title": "T", "classes": ["a", "b", "c"], "positive": "c"}
    schema = mixed_schema(tmp_path / "three", target=target)

    class Three(Tenths):
        def predict_proba(self, matrix: FloatArray, /) -> FloatArray:
            return np.array([[0.2, 0.7, 0.1]])

    subject = Predictor(Three(schema, 0.01), ObservingSettings())
    (only,) = answered(await subject.predict([{"YEARS": 1}]))
    assert (only.prediction, only.label, only.probability, only.confidence) == (1, "b", 0.7, 0.7)


@pytest.mark.parametrize("answer", [[[np.nan, 1.0]], [[0.5]], [[0.5, 0.5], [0.5, 0.5]]])
async def test_an_answer_that_is_none_is_a_failure(
    two_classes: FeatureSchema, answer: list[list[float]]
) -> None:
    """A probability that is not finite, or a matrix of another shape, never becomes a prediction."""

    class Broken(Tenths):
        def predict_proba(self, matrix: FloatArray, /) -> FloatArray:
            return np.array(answer)

    (result,) = await Predictor(Broken(two_classes, 0.01), ObservingSettings()).predict([{"YEARS": 1}])
    assert isinstance(result, InferenceError)


@pytest.mark.parametrize(("row_cost_ms", "inline"), [(0.29, True), (0.3, False)])
async def test_a_cheap_model_runs_on_the_loop_and_a_slow_one_in_its_thread(
    two_classes: FeatureSchema, row_cost_ms: float, inline: bool
) -> None:
    """The cost of a row decides; either way concurrent callers share batches."""
    subject, model = predictor(two_classes, row_cost_ms)
    await asyncio.gather(*(subject.predict([{"YEARS": n}]) for n in range(8)))
    assert model.threads == ({threading.current_thread().name} if inline else {"inference_0"})
    assert sum(model.sizes) == 8
    assert max(model.sizes) > 1
    subject.close()


@pytest.mark.parametrize(("mode", "row_cost_ms"), [("inline", 5.0), ("thread", 0.01)])
async def test_a_setting_overrules_the_measurement(
    two_classes: FeatureSchema, mode: InferenceMode, row_cost_ms: float
) -> None:
    """INFERENCE_MODE decides where the model runs, and is the reason given."""
    model = Tenths(two_classes, row_cost_ms)
    subject = Predictor(model, ObservingSettings(), mode=mode)
    await asyncio.gather(*(subject.predict([{"YEARS": n}]) for n in range(8)))
    assert model.threads == ({threading.current_thread().name} if mode == "inline" else {"inference_0"})
    assert (subject.runs_inline, subject.mode_reason) == (mode == "inline", f"INFERENCE_MODE={mode}")
    subject.close()


@pytest.mark.parametrize("mode", ["inline", "thread"])
async def test_batching_can_be_bounded(two_classes: FeatureSchema, mode: InferenceMode) -> None:
    """INFERENCE_BATCH_ROWS is the most rows of different callers in one run; a call of more stays whole."""
    model = Tenths(two_classes, 0.01)
    subject = Predictor(model, ObservingSettings(), mode=mode, batch_rows=2)
    calls = [[{"YEARS": 1}]] * 5 + [[{"YEARS": 2}] * 3]
    await asyncio.gather(*(subject.predict(call) for call in calls))
    assert sorted(model.sizes) == [1, 2, 2, 3]
    subject.predict_now([{"YEARS": 1}] * 3, 0)
    assert model.sizes[-2:] == [2, 1]
    subject.close()


async def test_a_large_call_leaves_the_loop_free(two_classes: FeatureSchema) -> None:
    """Even of a cheap model, many rows are computed in the thread."""
    subject, model = predictor(two_classes)
    await subject.predict([{"YEARS": 1}] * (LARGE_CALL_ROWS + 1))
    assert model.threads == {"inference_0"}
    subject.close()


async def test_of_many_rows_only_the_guilty_ones_fail(two_classes: FeatureSchema) -> None:
    """A call whose matrix fails is repeated row by row."""
    subject, _ = predictor(two_classes)
    results = await subject.predict([{"YEARS": n} for n in (1, 13, 3)])
    assert [getattr(result, "probability", None) for result in results] == [0.1, None, 0.3]
    assert isinstance(results[1], InferenceError)


async def test_when_the_queue_is_full_the_caller_hears_it_at_once(two_classes: FeatureSchema) -> None:
    """The bound of the queue reaches the caller as QueueFullError."""
    subject, model = predictor(two_classes, row_cost_ms=5, max_waiting=1)
    model.gate.clear()
    tasks = []
    for _ in range(3):
        tasks.append(asyncio.create_task(subject.predict([{"YEARS": 1}])))
        await asyncio.sleep(0.02)
    results = await asyncio.wait_for(asyncio.gather(tasks[2], return_exceptions=True), 5)
    assert isinstance(results[0], QueueFullError)
    model.gate.set()
    assert [len(found) for found in await asyncio.gather(*tasks[:2])] == [1, 1]
    subject.close()


async def test_a_lone_prediction_carries_all_its_measures(two_classes: FeatureSchema) -> None:
    """At human rates each prediction is profiled: calls, costly functions, memory, CPU time, stages."""
    subject, _ = predictor(two_classes)
    (first,) = answered(await subject.predict([{"YEARS": 5}]))
    (second,) = answered(await subject.predict([{"YEARS": 5}]))
    assert (first.cost.profiled, first.cost.profile_reason, first.cost.weight, first.cost.batch_size) == (
        True,
        "budget",
        1,
        1,
    )
    assert first.cost.function_calls == second.cost.function_calls
    assert first.cost.function_calls is not None
    assert first.cost.function_calls >= 4
    assert first.cost.top_functions is not None
    assert [function["rank"] for function in first.cost.top_functions] == [
        *range(1, len(first.cost.top_functions) + 1)
    ]
    assert first.cost.memory_mb > 10
    assert first.cost.inference_time_ms == pytest.approx(first.cost.features_ms + first.cost.predict_ms)
    assert 0 < first.cost.cpu_time_ms < 1000
    assert first.queue_ms >= 0


async def test_a_shared_batch_is_not_profiled_and_its_cost_is_shared(two_classes: FeatureSchema) -> None:
    """CPU time is the row's share; wall time is the batch's; the next profile stands for the rows too."""
    subject, _ = predictor(two_classes)
    results = [
        answered(found)[0]
        for found in await asyncio.gather(*(subject.predict([{"YEARS": n}]) for n in range(5)))
    ]
    assert {(r.cost.profiled, r.cost.profile_reason, r.cost.weight, r.cost.batch_size) for r in results} == {
        (False, "batch", 0, 5)
    }
    assert {r.cost.function_calls for r in results} == {None}
    assert {r.cost.top_functions for r in results} == {None}
    assert len({r.cost.cpu_time_ms for r in results}) == 1
    assert len({r.cost.inference_time_ms for r in results}) == 1
    (after,) = answered(await subject.predict([{"YEARS": 1}]))
    assert (after.cost.profiled, after.cost.weight) == (True, 6)


async def test_a_profile_can_be_demanded(two_classes: FeatureSchema) -> None:
    """A forced profile is made even when the budget gives none."""
    subject, _ = predictor(two_classes, profile_budget=0)
    (unasked,) = answered(await subject.predict([{"YEARS": 1}]))
    (forced,) = answered(await subject.predict([{"YEARS": 1}], force_profile=True))
    assert (unasked.cost.profiled, unasked.cost.profile_reason) == (False, "budget")
    assert (forced.cost.profiled, forced.cost.profile_reason) == (True, "forced")


async def test_without_monitoring_there_is_no_profile_but_timings_stay(two_classes: FeatureSchema) -> None:
    """ENABLE_PERFORMANCE_MONITORING=false: null with the reason disabled, even on demand."""
    subject, _ = predictor(two_classes, enable_performance_monitoring=False)
    (result,) = answered(await subject.predict([{"YEARS": 1}], force_profile=True))
    assert (result.cost.function_calls, result.cost.top_functions) == (None, None)
    assert (result.cost.profiled, result.cost.profile_reason, result.cost.weight) == (False, "disabled", 0)
    assert result.cost.inference_time_ms > 0


async def test_a_slow_inference_asks_for_a_profile_of_the_next(
    two_classes: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was slow without a profile is looked into at once."""
    monkeypatch.setattr("vigie.model.predictor.SLOW_INFERENCE_MS", 0.0)
    subject, _ = predictor(two_classes)
    await asyncio.gather(*(subject.predict([{"YEARS": 1}]) for _ in range(2)))
    (result,) = answered(await subject.predict([{"YEARS": 1}]))
    assert (result.cost.profiled, result.cost.profile_reason) == (True, "slow")


@given(
    calls=st.lists(st.lists(st.integers(0, 10), min_size=1, max_size=4), min_size=1, max_size=30),
    mode=st.sampled_from(["inline", "thread"]),
)
@settings(max_examples=40, deadline=None)
def test_concurrent_rows_are_never_mixed(
    two_classes: FeatureSchema, calls: list[list[int]], mode: InferenceMode
) -> None:
    """Each caller gets the probabilities of its own rows, in its own order."""

    async def run() -> list[list[float]]:
        subject = Predictor(Tenths(two_classes, 0.01), ObservingSettings(), mode=mode)
        found = await asyncio.gather(*(subject.predict([{"YEARS": n} for n in call]) for call in calls))
        subject.close()
        return [[inference.probability for inference in answered(results)] for results in found]

    assert asyncio.run(run()) == [[n / 10 for n in call] for call in calls]

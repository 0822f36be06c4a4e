"""From valid records to predictions: batched, measured, profiled; the core behind every transport."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

import vigie
from vigie.model.batcher import Batcher, InferenceError, QueueFullError
from vigie.model.decision import given_positions
from vigie.model.inference import BatchCost, Inference
from vigie.schema import FeatureSchema, Value
from vigie.settings import InferenceMode, ObservingSettings
from vigie.telemetry.event import FunctionCost
from vigie.telemetry.metrics.figures import Figures
from vigie.telemetry.profile_budget import Decision, ProfileBudget
from vigie.telemetry.profiler import FunctionCost as ProfiledFunction
from vigie.telemetry.profiler import Profile, profile
from vigie.telemetry.resident import resident_bytes

MEBIBYTE = 1024 * 1024
CHEAP_ROW_MS = 0.3
"""A row that costs less runs on the event loop: a hop to a thread and back costs about as much."""
LARGE_CALL_ROWS = 128
"""A call of more rows runs in the thread whatever the model, since it would hold up the loop."""
INLINE_BATCH_ROWS = 64
THREAD_BATCH_ROWS = 1024
MAX_WAITING = 1024
"""Calls that may wait for the model; at a few thousand rows a second, a fraction of a second of work."""
SLOW_INFERENCE_MS = 50.0
"""An inference that takes longer asks for a profile of the next (the first threshold for alerts)."""
SOURCE_ROOT = Path(vigie.__file__).parent
"""Profiles name files relative to it."""

Record = Mapping[str, Value]
FloatArray = npt.NDArray[np.float64]


class Servable(Protocol):
    """What the predictor needs of a model; `LoadedModel` is one."""

    @property
    def schema(self) -> FeatureSchema:
        """The model's declaration."""

    @property
    def row_cost_ms(self) -> float:
        """Wall time of one row."""

    def features(self, records: Sequence[Record], /) -> FloatArray:
        """Return the matrix (n, columns) of n valid records."""

    def predict_proba(self, matrix: FloatArray, /) -> FloatArray:
        """Return P(class), shape (n, classes)."""


@dataclass(slots=True)
class _Call:
    records: Sequence[Record]
    forced: bool
    submitted_ns: int

    def __len__(self) -> int:
        return len(self.records)


class Predictor:
    """Predicts with one model, for any number of concurrent callers."""

    def __init__(
        self,
        model: Servable,
        observing: ObservingSettings,
        *,
        mode: InferenceMode = "auto",
        batch_rows: int = THREAD_BATCH_ROWS,
        max_waiting: int = MAX_WAITING,
        figures: Figures | None = None,
    ) -> None:
        """Count into `figures`, those of the process, when given."""
        self._model = model
        self.figures = figures or Figures()
        self._classes = model.schema.target.classes
        self._threshold = model.schema.target.threshold
        self._enabled = observing.enable_performance_monitoring
        self.budget = ProfileBudget(observing.profile_budget, usual_seconds=model.row_cost_ms / 1e3)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._in_thread = Batcher(
            self._infer, executor=self._thread, max_rows=batch_rows, max_waiting=max_waiting
        )
        self._inline_rows = min(batch_rows, INLINE_BATCH_ROWS)
        self.runs_inline, self.mode_reason = _runs_inline(mode, model.row_cost_ms)
        self._on_loop = (
            Batcher(self._infer, executor=None, max_rows=self._inline_rows, max_waiting=max_waiting)
            if self.runs_inline
            else self._in_thread
        )

    async def predict(
        self, records: Sequence[Record], *, force_profile: bool = False
    ) -> list[Inference | InferenceError]:
        """Return one answer per record, in order; a record the model fails on gets its InferenceError.

        Raises QueueFullError when too many calls wait already.
        """
        try:
            return [*await self.submit(records, force_profile=force_profile)]
        except InferenceError as error:
            if len(records) == 1:
                return [error]
        # The call failed as a whole: halve it until the rows that are to blame stand alone.
        middle = len(records) // 2
        return [*await self.predict(records[:middle]), *await self.predict(records[middle:])]

    def predict_now(self, records: Sequence[Record], since_ns: int) -> list[Inference | InferenceError]:
        """Return one answer per record at once, in this thread: for a model that `runs_inline`.

        They have waited since `since_ns`, by `time.perf_counter_ns`. When the batch fails its records are run
        one by one, so that only the guilty one gets an InferenceError.
        """
        calls = [_Call((record,), False, since_ns) for record in records]
        return [
            outcome if isinstance(outcome, InferenceError) else outcome[0]
            for start in range(0, len(calls), self._inline_rows)
            for outcome in self._on_loop.attempt(calls[start : start + self._inline_rows])
        ]

    def close(self) -> None:
        """End the inference thread after what it has in hand; what comes later fails."""
        self._thread.shutdown(wait=False)
        self._in_thread.close()
        self._on_loop.close()

    def submit(
        self, records: Sequence[Record], *, force_profile: bool = False
    ) -> asyncio.Future[list[Inference]]:
        """Queue `records` as one call; the future gets their answers, or InferenceError for them as a whole.

        Raises QueueFullError when too many calls wait already.
        """
        batcher = self._on_loop if len(records) <= LARGE_CALL_ROWS else self._in_thread
        try:
            return batcher.submit(_Call(records, force_profile, time.perf_counter_ns()))
        except QueueFullError:
            self.figures.queue_full()
            raise

    def _infer(self, calls: Sequence[_Call]) -> list[list[Inference]]:
        """Answer the calls of one batch: one feature matrix, one `predict_proba`."""
        records = calls[0].records if len(calls) == 1 else [row for call in calls for row in call.records]
        # There is nothing to decide on when monitoring is off, or for several rows.
        watching = self._watching()
        decision = self.budget.decide(calls[0].forced) if watching and len(records) == 1 else None
        try:
            probabilities, cost = self._measured(records, decision is not None and decision.profiled)
            answers = self._answers(calls, probabilities, cost)
        except BaseException:
            if decision is not None:
                self.budget.failed(decision)
            raise
        self._account(calls, cost, decision, watching)
        return answers

    def _watching(self) -> bool:
        """Say whether there may be profiles: a debugger's or cProfile's own is not pushed aside."""
        return self._enabled and sys.getprofile() is None

    def _account(
        self, calls: Sequence[_Call], cost: BatchCost, decision: Decision | None, watching: bool
    ) -> None:
        """Say in `cost` whether it was profiled, and why; charge the budget; count."""
        seconds = cost.inference_time_ms / 1e3
        if not watching:
            cost.profile_reason = "disabled"
        elif decision is None:
            self.budget.passed(cost.batch_size, len(calls))
        else:
            cost.profile_reason, cost.weight = decision.reason, decision.weight
            if decision.profiled:
                self.figures.profiling(self.budget.spent(seconds, charged=decision.charged))
            else:
                self.budget.unprofiled(seconds)
        if seconds * 1e3 > SLOW_INFERENCE_MS:
            self.budget.note_slow()
        waits = self._waits(calls, cost)
        self.figures.inference(
            cost.batch_size, cost.inference_time_ms, cost.profiled, cost.profile_reason, waits
        )

    @staticmethod
    def _waits(calls: Sequence[_Call], cost: BatchCost) -> list[tuple[float, int]]:
        """Return how long the calls waited in milliseconds, each wait with the number of calls."""
        started, oldest = cost.started_ns, calls[0].submitted_ns
        if oldest == calls[-1].submitted_ns:  # as on the express lane: they came together
            return [((started - oldest) / 1e6, len(calls))]
        return [((started - call.submitted_ns) / 1e6, 1) for call in calls]

    def _measured(self, records: Sequence[Record], profiled: bool) -> tuple[FloatArray, BatchCost]:
        found: Profile | None = None
        memory = resident_bytes()
        cpu = time.thread_time_ns()
        started = time.perf_counter_ns()
        if profiled:
            (probabilities, prepared), found = profile(lambda: self._stages(records), SOURCE_ROOT)
        else:
            probabilities, prepared = self._stages(records)
        ended = time.perf_counter_ns()
        cpu = time.thread_time_ns() - cpu
        after = resident_bytes()
        if probabilities.shape != (len(records), len(self._classes)):
            raise ValueError(f"the model answered {probabilities.shape} for {len(records)} rows")
        if not math.isfinite(probabilities.sum()):  # a sum is finite when every part of it is
            raise ValueError("the model answered a probability that is not finite")
        cost = BatchCost(
            started,
            (prepared - started) / 1e6,
            (ended - prepared) / 1e6,
            cpu / 1e6 / len(records),
            after / MEBIBYTE,
            (after - memory) / MEBIBYTE,
            len(records),
        )
        if found is not None:
            cost.function_calls = found.function_calls - 1  # our own reading of the clock, between the stages
            cost.top_functions = [_as_dict(function) for function in found.top_functions]
        return probabilities, cost

    def _stages(self, records: Sequence[Record]) -> tuple[FloatArray, int]:
        """Return the probabilities, and the clock's reading between features and model."""
        matrix = self._model.features(records)
        prepared = time.perf_counter_ns()
        return self._model.predict_proba(matrix), prepared

    def _answers(
        self, calls: Sequence[_Call], probabilities: FloatArray, cost: BatchCost
    ) -> list[list[Inference]]:
        given = given_positions(probabilities, self._threshold).tolist()
        rows = iter(zip(probabilities.tolist(), given, strict=True))
        classes, two_classes = self._classes, len(self._classes) == 2
        answers = []
        for call in calls:
            queue_ms = (cost.started_ns - call.submitted_ns) / 1e6
            answer = []
            for _ in call.records:
                each, position = next(rows)
                given = each[position]
                positive = each[1] if two_classes else given
                answer.append(Inference(position, classes[position], positive, given, each, queue_ms, cost))
            answers.append(answer)
        return answers


def _runs_inline(mode: InferenceMode, row_cost_ms: float) -> tuple[bool, str]:
    """Return whether a model runs on the event loop, and why."""
    if mode != "auto":
        return mode == "inline", f"INFERENCE_MODE={mode}"
    cheap = row_cost_ms < CHEAP_ROW_MS
    return cheap, f"a row costs {row_cost_ms:.3f} ms, {'below' if cheap else 'not below'} {CHEAP_ROW_MS:g} ms"


def _as_dict(function: ProfiledFunction) -> FunctionCost:
    return FunctionCost(
        rank=function.rank,
        function=function.function,
        file=function.file,
        line=function.line,
        calls=function.calls,
        own_ms=function.own_ms,
        cumulative_ms=function.cumulative_ms,
    )

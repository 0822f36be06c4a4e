"""What comes of an inference: each row's answer, and what the batch it ran in cost."""

from __future__ import annotations

from dataclasses import dataclass

from vigie.telemetry.event import FunctionCost, ProfileReason


@dataclass(slots=True)
class BatchCost:
    """What one batch cost; every row of it shares this object.

    The wall times are those of the batch, which is what each of its rows waited for; `cpu_time_ms` is one
    row's share.
    """

    started_ns: int
    features_ms: float
    predict_ms: float
    cpu_time_ms: float
    memory_mb: float
    memory_delta_mb: float
    batch_size: int
    function_calls: int | None = None
    """None when it was not profiled."""
    top_functions: list[FunctionCost] | None = None
    profile_reason: ProfileReason = "batch"
    weight: int = 0

    @property
    def inference_time_ms(self) -> float:
        """Wall time of features and model."""
        return self.features_ms + self.predict_ms

    @property
    def profiled(self) -> bool:
        """Whether it ran under the profiler."""
        return self.function_calls is not None


@dataclass(slots=True)
class Inference:
    """One row's answer.

    `probability` is P(positive class) for two classes, P(class given) for more.
    """

    prediction: int
    label: str
    probability: float
    confidence: float
    probabilities: list[float]
    queue_ms: float
    cost: BatchCost

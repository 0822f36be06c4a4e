"""Which runtime serves an estimator: ONNX where it agrees with the estimator, else the estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vigie.model.artefacts import onnx_bytes
from vigie.model.decision import EVEN_THRESHOLD, given_positions
from vigie.model.feature_engineering import FloatArray
from vigie.model.package import Parity, RuntimeChoice
from vigie.model.runtime import OnnxRuntime, Runtime, SklearnRuntime


@dataclass(frozen=True, slots=True)
class Serving:
    """The runtime that serves, why, and its graph when it is ONNX."""

    runtime: Runtime
    choice: RuntimeChoice
    graph: bytes | None


def choose_runtime(estimator: Any, rows: FloatArray, threshold: float = EVEN_THRESHOLD) -> Serving:
    """Convert `estimator` and compare both runtimes on the reference `rows` (n, columns).

    `threshold` is the probability from which on the positive one of two classes is given.
    """
    sklearn = SklearnRuntime(estimator)
    try:
        graph = onnx_bytes(estimator, rows.shape[1])
        onnx = OnnxRuntime(graph)
    except Exception as error:  # noqa: BLE001 (skl2onnx and ONNX Runtime share no error for it)
        reason = f"the estimator cannot be converted to ONNX: {str(error).splitlines()[0]}"
        return Serving(sklearn, RuntimeChoice(name="sklearn", reason=reason), None)
    parity = compare(onnx, sklearn, rows, threshold)
    figures = (
        f"{parity.rows} reference rows: label flips {parity.label_flips}, "
        f"max |Δp| {parity.max_difference:.1e}"
    )
    if parity.agrees:
        return Serving(
            onnx, RuntimeChoice(name="onnx", reason=f"ONNX agrees on {figures}", parity=parity), graph
        )
    choice = RuntimeChoice(name="sklearn", reason=f"ONNX disagrees on {figures}", parity=parity)
    return Serving(sklearn, choice, None)


def compare(onnx: Runtime, sklearn: Runtime, rows: FloatArray, threshold: float = EVEN_THRESHOLD) -> Parity:
    """Compare the answers to `rows` (n, columns), asked all at once and one by one.

    Both, because a batch may round otherwise than its rows alone, and either may come in a request.
    """
    expected = sklearn.predict_proba(rows)
    answers = (onnx.predict_proba(rows), np.vstack([onnx.predict_proba(row[np.newaxis]) for row in rows]))
    labels = given_positions(expected, threshold)
    flipped = np.logical_or.reduce([given_positions(answer, threshold) != labels for answer in answers])
    difference = max(float(np.abs(answer - expected).max()) for answer in answers)
    return Parity(rows=len(rows), label_flips=int(flipped.sum()), max_difference=difference)

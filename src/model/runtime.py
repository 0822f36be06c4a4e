"""The two runtimes that can serve a package: ONNX Runtime, else the scikit-learn estimator itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from vigie.model.feature_engineering import FloatArray
from vigie.model.package import TRAIN_AGAIN, PackageError

TRUSTED_TYPES = ("sklearn.tree._tree.Tree",)
"""Types beyond skops' own list that a package may hold: the one that scikit-learn's tree ensembles need."""

INPUT = "features"
"""Name of the graph's input, of shape (n, columns)."""
OUTPUT = "probabilities"
"""Name of the graph's output, of shape (n, classes)."""

ZERO, ONE = np.zeros(1), np.ones(1)


class Runtime(Protocol):
    """Computes class probabilities."""

    name: Literal["onnx", "sklearn"]

    def predict_proba(self, matrix: FloatArray) -> FloatArray:
        """Return P(class) for each row of `matrix` (n, columns), shape (n, classes)."""


class OnnxRuntime:
    """ONNX Runtime at float32, on the calling thread alone."""

    name: Literal["onnx", "sklearn"] = "onnx"

    def __init__(self, graph: bytes) -> None:
        """Open a session on the serialised `graph`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def predict_proba(self, matrix: FloatArray) -> FloatArray:
        """Return P(class) for each row of `matrix` (n, columns), shape (n, classes)."""
        (probabilities,) = self._session.run([OUTPUT], {INPUT: matrix.astype(np.float32, order="C")})
        result: FloatArray = probabilities.astype(np.float64)
        # A float32 sum over the trees of an ensemble can end at 1 + 1.2e-7, and its complement below 0.
        np.maximum(result, ZERO, out=result)
        return np.minimum(result, ONE, out=result)


class SklearnRuntime:
    """The estimator itself, on one thread."""

    name: Literal["onnx", "sklearn"] = "sklearn"

    def __init__(self, estimator: Any) -> None:
        """Serve `estimator`, whose class order is that of the schema; its `n_jobs` are set to 1."""
        force_one_thread(estimator)
        self._estimator = estimator

    def predict_proba(self, matrix: FloatArray) -> FloatArray:
        """Return P(class) for each row of `matrix` (n, columns), shape (n, classes)."""
        result: FloatArray = self._estimator.predict_proba(matrix)
        return result


def force_one_thread(estimator: Any) -> None:
    """Set every `n_jobs` of `estimator`, nested ones too, to 1: requests are the unit of parallelism."""
    parameters = estimator.get_params()
    estimator.set_params(**{name: 1 for name in parameters if name.split("__")[-1] == "n_jobs"})


def untrusted_types(archive: bytes) -> list[str]:
    """Return the types in the skops `archive` that keep it from being loaded, sorted."""
    import skops.io

    return sorted(set(skops.io.get_untrusted_types(data=archive)) - set(TRUSTED_TYPES))


def load_estimator(file: Path) -> Any:
    """Return the estimator of the skops `file`.

    Raises PackageError when it holds a type that is not trusted, or cannot be read.
    """
    import skops.io

    try:
        archive = file.read_bytes()
        unknown = untrusted_types(archive)
        if unknown:
            raise PackageError(f"{file}: holds types that are not trusted: {', '.join(unknown)}")
        return skops.io.loads(archive, trusted=list(TRUSTED_TYPES))
    except PackageError:
        raise
    except Exception as error:  # skops raises whatever its archive, JSON and constructors raise
        raise PackageError(f"{file}: cannot be loaded ({error}); {TRAIN_AGAIN}") from error

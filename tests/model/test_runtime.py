"""Runtimes, their parity, and the archives they load."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from vigie.model.artefacts import onnx_bytes, skops_bytes
from vigie.model.feature_engineering import FloatArray
from vigie.model.package import PackageError
from vigie.model.parity import choose_runtime, compare
from vigie.model.runtime import OnnxRuntime, SklearnRuntime, force_one_thread, load_estimator

ROWS = np.random.RandomState(4).normal(size=(200, 3))
LABELS = (ROWS[:, 0] + ROWS[:, 1] ** 2 > 0.5).astype(int)


def double(x: FloatArray) -> FloatArray:
    """A function of the tests' own, which no package may hold."""
    return x * 2


class Fixed:
    """A runtime that answers what it is told: `whole` for a batch, `single` for each row alone."""

    name: Literal["onnx", "sklearn"] = "onnx"

    def __init__(self, whole: list[list[float]], single: list[list[float]] | None = None) -> None:
        self.whole = whole
        self.singles = iter(single or whole)

    def predict_proba(self, matrix: FloatArray) -> FloatArray:
        return np.array([next(self.singles)] if len(matrix) == 1 else self.whole)


def test_every_n_jobs_becomes_one() -> None:
    """Nested estimators lose their threads too."""
    inner = RandomForestClassifier(2, n_jobs=-1)
    outer = make_pipeline(StandardScaler(), OneVsRestClassifier(inner, n_jobs=4))
    force_one_thread(outer)
    assert inner.n_jobs == 1
    assert outer.get_params()["onevsrestclassifier__n_jobs"] == 1


def test_onnx_answers_as_the_estimator_within_zero_and_one() -> None:
    """A forest's float32 sums do not leave the range of a probability."""
    forest = RandomForestClassifier(50, random_state=1).fit(ROWS, LABELS)
    answers = OnnxRuntime(onnx_bytes(forest, 3)).predict_proba(ROWS)
    assert np.abs(answers - forest.predict_proba(ROWS)).max() < 1e-5
    assert answers.min() == 0
    assert answers.max() == 1


def test_parity_counts_flips_and_the_largest_difference() -> None:
    """Both are taken over all rows and classes."""
    estimator = Fixed([[0.6, 0.4], [0.2, 0.8], [0.51, 0.49]])
    onnx = Fixed([[0.6, 0.4], [0.25, 0.75], [0.49, 0.51]])
    parity = compare(onnx, estimator, np.zeros((3, 1)))
    assert (parity.rows, parity.label_flips) == (3, 1)
    assert parity.max_difference == pytest.approx(0.05)
    assert not parity.agrees


def test_parity_asks_rows_alone_as_well() -> None:
    """A row that flips only when asked alone counts."""
    whole = [[0.6, 0.4], [0.5000001, 0.4999999]]
    parity = compare(Fixed(whole, [whole[0], whole[1][::-1]]), Fixed(whole), np.zeros((2, 1)))
    assert parity.label_flips == 1
    assert not parity.agrees


@pytest.mark.parametrize(("difference", "agrees"), [(0.9e-5, True), (1.1e-5, False)])
def test_parity_has_the_bound_of_the_platform(difference: float, agrees: bool) -> None:
    """Without a flip, 1e-5 decides."""
    parity = compare(
        Fixed([[0.6, 0.4], [0.3 + difference, 0.7 - difference]]),
        Fixed([[0.6, 0.4], [0.3, 0.7]]),
        np.zeros((2, 1)),
    )
    assert parity.agrees is agrees


def test_an_estimator_whose_graph_disagrees_is_served_by_itself() -> None:
    """Values that float32 cannot tell apart take ONNX out of service, with the figures as reason."""
    rows = np.array([[1e9 + i] for i in range(64)])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, np.arange(64) // 32)
    serving = choose_runtime(pipeline, rows)
    assert serving.graph is None
    assert serving.runtime.name == serving.choice.name == "sklearn"
    assert serving.choice.reason.startswith("ONNX disagrees on 64 reference rows: label flips")
    assert serving.choice.parity is not None


def test_an_archive_gives_back_the_estimator(tmp_path: Path) -> None:
    """Pipelines and tree ensembles load with the trusted types, and answer the same."""
    for estimator in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=3, random_state=0),
    ):
        estimator.fit(ROWS, LABELS)
        file = tmp_path / "model.skops"
        file.write_bytes(skops_bytes(estimator))
        loaded = SklearnRuntime(load_estimator(file))
        assert loaded.predict_proba(ROWS).tolist() == estimator.predict_proba(ROWS).tolist()


def test_an_archive_is_the_same_for_the_same_fit() -> None:
    """Memory addresses and dates do not reach the file, so that hashes can be compared."""
    archives = {
        skops_bytes(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS)) for _ in range(3)
    }
    assert len(archives) == 1


def test_types_that_are_not_trusted_are_named(tmp_path: Path) -> None:
    """An archive cannot bring functions of its own into the service."""
    file = tmp_path / "model.skops"
    pipeline = make_pipeline(FunctionTransformer(double), LogisticRegression()).fit(ROWS, LABELS)
    file.write_bytes(skops.io.dumps(pipeline))
    with pytest.raises(PackageError, match=r"model.skops: holds types that are not trusted: .*double"):
        load_estimator(file)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x05\x06" + bytes(18)])
def test_a_broken_archive_is_a_package_error(content: bytes, tmp_path: Path) -> None:
    """Whatever skops raises, the user reads one line with the file and what to do."""
    file = tmp_path / "model.skops"
    file.write_bytes(content)
    with pytest.raises(PackageError, match=r"model.skops: cannot be loaded .*; run `make train`"):
        load_estimator(file)

"""Packages from estimators made elsewhere."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tests.servers import ROOT

from vigie.model.cohort import draw
from vigie.model.dataset import Dataset
from vigie.model.export import ExportError, export
from vigie.model.feature_engineering import FloatArray
from vigie.model.feature_matrix import FeatureMatrix
from vigie.model.model_loader import load_model
from vigie.model.training import split
from vigie.schema import FeatureSchema

REFERENCE = ROOT / "model" / "lung_cancer"
Parts = tuple[Dataset, Dataset]


def linear() -> Any:
    """The pipeline that the platform itself trains."""
    return make_pipeline(StandardScaler(), LogisticRegression())


@pytest.fixture(scope="module")
def parts(schema: FeatureSchema) -> Parts:
    """Training and held-out rows of a small cohort."""
    records, labels = draw(schema, 400, seed=11)
    return split(Dataset(records, labels, "a small cohort", simulated=True), schema)


@pytest.fixture(scope="module")
def columns(schema: FeatureSchema, parts: Parts) -> tuple[FloatArray, Any]:
    """The training rows as matrix and positions."""
    return FeatureMatrix(schema)(parts[0].records), parts[0].positions(schema)


def test_a_trusted_pickle_becomes_a_package(
    schema: FeatureSchema, parts: Parts, columns: tuple, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """The way that the refusal of a pickle names works: a forest fitted on a DataFrame, on many threads."""
    spaced = [name.replace("_", " ") for name in FeatureMatrix(schema).columns]
    frame = pd.DataFrame(columns[0], columns=spaced)
    forest = RandomForestClassifier(10, random_state=0, n_jobs=2).fit(frame, columns[1])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(forest))
    expected = forest.predict_proba(frame)
    estimator = pickle.loads((tmp_path / "model.pkl").read_bytes())
    manifest = export(estimator, REFERENCE, tmp_path / "package", *parts)
    model = load_model(tmp_path / "package")
    assert np.abs(model.predict_proba(model.features(parts[0].records)) - expected).max() < 1e-5
    assert model.runtime_name == "onnx"
    assert manifest.algorithm == "RandomForestClassifier"
    assert estimator.n_jobs == 1
    assert not [warning for warning in recwarn if "feature names" in str(warning.message)]


def test_an_estimator_that_onnx_cannot_hold_is_served_by_itself(
    parts: Parts, columns: tuple, tmp_path: Path
) -> None:
    """Without a graph the estimator answers, and the package says why; an old graph does not stay."""
    out = tmp_path / "package"
    export(linear().fit(*columns), REFERENCE, out, *parts)
    assert (out / "model.onnx").is_file()
    pipeline = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression()).fit(
        *columns
    )
    export(pipeline, REFERENCE, out, *parts)
    assert not (out / "model.onnx").exists()
    model = load_model(out)
    assert model.runtime_name == "sklearn"
    assert model.runtime_reason.startswith("the estimator cannot be converted to ONNX: FunctionTransformer")
    matrix = model.features(parts[1].records)
    assert model.predict_proba(matrix).tolist() == pipeline.predict_proba(matrix).tolist()
    assert model.golden_ok()


def test_a_package_reports_the_served_runtimes_metrics(
    schema: FeatureSchema, parts: Parts, columns: tuple, tmp_path: Path
) -> None:
    """Correct answers in the manifest are those that the loaded model gives."""
    manifest = export(linear().fit(*columns), REFERENCE, tmp_path / "p", *parts)
    model = load_model(tmp_path / "p")
    given = model.predict_proba(model.features(parts[1].records)).argmax(axis=1)
    assert manifest.metrics.correct == int((given == parts[1].positions(schema)).sum())
    assert manifest.simulated


def fitted_on_other_names(x: FloatArray, y: Any) -> Any:
    """Fit on a DataFrame whose first two columns are the schema's in the other order."""
    return linear().fit(pd.DataFrame(x, columns=["GENDER", "AGE", *map(str, range(26))]), y)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda x, y: RidgeClassifier().fit(x, y), "RidgeClassifier: has no predict_proba"),
        (
            lambda x, y: linear().fit(x, np.where(y, "ill", "well")),
            "its classes are .*ill.*; train it on positions in the schema's classes",
        ),
        (
            lambda x, y: linear().fit(x[:, :14], y),
            "takes 14 columns, the schema gives 28: AGE, GENDER",
        ),
        (fitted_on_other_names, "its column 1 is GENDER, the schema's is AGE"),
        (
            lambda x, y: HistGradientBoostingClassifier(max_iter=2).fit(x, y),
            "holds types that a package may not hold: .*TreePredictor",
        ),
    ],
    ids=["no probability", "classes", "columns", "order", "types"],
)
def test_an_estimator_that_does_not_fit_is_refused_and_nothing_written(
    make: Callable[[FloatArray, Any], Any], reason: str, parts: Parts, columns: tuple, tmp_path: Path
) -> None:
    """The refusal says what differs, before any file is made."""
    with pytest.raises(ExportError, match=reason):
        export(make(*columns), REFERENCE, tmp_path / "package", *parts)
    assert not (tmp_path / "package").exists()


def test_held_out_rows_without_a_class_are_refused(parts: Parts, columns: tuple, tmp_path: Path) -> None:
    """Metrics over one class alone would be undefined."""
    training, held_out = parts
    only_yes = held_out.take(np.flatnonzero(np.array(held_out.labels) == "YES"))
    with pytest.raises(ExportError, match="a small cohort: none of the held-out rows is LUNG_CANCER NO"):
        export(linear().fit(*columns), REFERENCE, tmp_path, training, only_yes)


def test_a_folder_that_takes_no_files_is_told_in_one_line(
    parts: Parts, columns: tuple, tmp_path: Path
) -> None:
    """A file where the folder should be is an error for people, not a traceback."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ExportError, match="taken: cannot be written"):
        export(linear().fit(*columns), REFERENCE, tmp_path / "taken", *parts)

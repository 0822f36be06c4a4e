"""Loading a package for serving."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from vigie.model.cohort import draw
from vigie.model.model_loader import LoadedModel, load_model
from vigie.model.package import PackageError, sha256


@pytest.fixture(scope="module")
def model(package_path: Path) -> LoadedModel:
    """The reference model."""
    return load_model(package_path)


def test_a_loaded_model_answers_every_record_with_probabilities(model: LoadedModel) -> None:
    """One row per record, one column per class, all from 0 to 1, rows summing to 1."""
    records, _ = draw(model.schema, 500, seed=9)
    probabilities = model.predict_proba(model.features(records))
    assert probabilities.shape == (500, 2)
    assert probabilities.dtype == np.float64
    assert probabilities.min() >= 0
    assert probabilities.max() <= 1
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-6


def test_a_loaded_model_finds_the_direction_of_the_figures(model: LoadedModel) -> None:
    """Somebody with every symptom is more at risk than somebody with none."""
    none = model.schema.example()
    every = dict.fromkeys(model.schema.names, 1) | {"AGE": 60}
    p_none, p_every = model.predict_proba(model.features([none, every]))[:, 1]
    assert p_none < 0.2
    assert p_every > 0.99


def test_a_loaded_model_tells_what_it_is(model: LoadedModel) -> None:
    """Version, runtime, its reason and the cost of a row are there for health, events and batching."""
    assert model.version == model.manifest.version == model.schema.version
    assert model.runtime_name == "onnx"
    assert "label flips 0" in model.runtime_reason
    assert 0 < model.row_cost_ms < 1000
    assert model.golden_ok()


def test_serving_by_onnx_imports_neither_scikit_learn_nor_pandas(package_path: Path) -> None:
    """Start-up does not pay for libraries that only training needs."""
    code = (
        "import sys; from pathlib import Path; from vigie.model.model_loader import load_model; "
        f"m = load_model(Path({str(package_path)!r})); m.predict_proba(m.features([m.schema.example()])); "
        "print([name for name in ('sklearn', 'skops', 'pandas', 'skl2onnx', 'onnx') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"


def rewrite(package: Path, name: str, content: object) -> None:
    """Replace a JSON file of the package, hash included."""
    (package / name).write_bytes(orjson.dumps(content))
    manifest = orjson.loads((package / "manifest.json").read_bytes())
    manifest["files"][name] = sha256(package / name)
    (package / "manifest.json").write_bytes(orjson.dumps(manifest))


def test_a_model_that_answers_its_golden_rows_otherwise_is_refused(
    package_path: Path, tmp_path: Path
) -> None:
    """A difference above the bound, in one row, keeps the model from serving."""
    package = Path(shutil.copytree(package_path, tmp_path / "model"))
    golden = orjson.loads((package / "golden.json").read_bytes())
    golden["probabilities"][3] = [
        value + sign * 5e-5 for value, sign in zip(golden["probabilities"][3], (1, -1), strict=True)
    ]
    rewrite(package, "golden.json", golden)
    with pytest.raises(
        PackageError, match=r"golden.json: the onnx runtime answers the golden rows otherwise"
    ):
        load_model(package)


@pytest.mark.parametrize("content", [{}, {"records": [], "probabilities": "x"}, []])
def test_golden_rows_that_are_none_are_refused(content: object, package_path: Path, tmp_path: Path) -> None:
    """Without golden rows nothing can be checked."""
    package = Path(shutil.copytree(package_path, tmp_path / "model"))
    rewrite(package, "golden.json", content)
    with pytest.raises(PackageError, match=r"golden.json: holds no golden rows"):
        load_model(package)


def test_the_golden_rows_hold_the_example_and_the_extremes(model: LoadedModel) -> None:
    """They spread over the probabilities and reach the ends of every range."""
    assert len(model.golden.records) == 19
    assert model.golden.records[16] == model.schema.example()
    assert set(model.golden.records[17].values()) == {0}
    assert model.golden.records[18] == dict.fromkeys(model.schema.names, 1) | {"AGE": 120}
    positive = model.golden.probabilities[:16, 1]
    assert positive.tolist() == sorted(positive.tolist())
    assert positive[0] < 0.05
    assert positive[-1] > 0.99

"""The breast cancer example: a second model on the platform, from its schema alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer
from tests.servers import ROOT

from vigie.model.model_loader import LoadedModel, load_model
from vigie.model.package import notice
from vigie.model.training import train
from vigie.schema import load_schema

EXAMPLE = ROOT / "examples" / "breast_cancer"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """The example's model, trained for this module."""
    folder = tmp_path_factory.mktemp("packages") / "breast_cancer"
    train(EXAMPLE, folder)
    return load_model(folder)


def test_the_example_trains_on_the_real_data_set(model: LoadedModel) -> None:
    """All 569 real rows, nothing simulated, classes told by name, ONNX serving."""
    data = model.manifest.training_data
    assert (data.rows, data.held_out_rows) == (569, 114)
    assert data.classes == {"benign": 357, "malignant": 212}
    assert not model.manifest.simulated
    assert notice(model.schema, model.manifest) == "not a medical device"
    assert model.runtime_name == "onnx"
    assert model.manifest.metrics.correct >= 107
    assert model.manifest.metrics.roc_auc > 0.98


def test_the_example_learned_the_right_way_round(model: LoadedModel) -> None:
    """Large, irregular nuclei are malignant: the positive class is the second one, unlike in the data."""
    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    records = [dict(zip(names, row, strict=True)) for row in bunch.data.tolist()]
    given = model.predict_proba(model.features(records)).argmax(axis=1)
    truth = [bunch.target_names[target] == "malignant" for target in bunch.target]
    assert (given == truth).mean() > 0.97


def test_every_real_row_is_a_valid_request(model: LoadedModel) -> None:
    """The ranges in the schema hold all values of the data set, and its default is a plain case."""
    schema = model.schema
    assert len(schema.features) == 30
    assert {feature.type for feature in schema.features} == {"number"}
    assert {feature.minimum for feature in schema.features} == {0}
    largest = dict(zip(schema.names, load_breast_cancer().data.max(axis=0).tolist(), strict=True))
    for feature in schema.features:
        assert feature.maximum is not None
        assert largest[feature.name] < feature.maximum
    assert schema.request_model.model_validate(schema.example()).model_dump() == schema.example()


def test_the_example_is_nothing_but_its_schema() -> None:
    """A new tabular model needs a schema and no change to the platform."""
    assert [file.name for file in EXAMPLE.iterdir()] == ["schema.yaml"]
    sources = [file for file in (ROOT / "src").rglob("*") if file.suffix in {".py", ".yaml", ".lua", ".json"}]
    assert len(sources) > 20
    named: list[Path] = [
        file for file in sources for word in ("breast", "malignant") if word in file.read_text().lower()
    ]
    assert named == []


def test_the_example_speaks_english_and_french() -> None:
    """No label or help is the same in both languages by having been left out."""
    schema = load_schema(EXAMPLE)
    texts = [schema.title, schema.description, *(group.title for group in schema.groups)]
    texts += [feature.label for feature in schema.features]
    texts += [feature.help for feature in schema.features if feature.help]
    assert len(texts) == 2 + 3 + 30 + 30
    assert [text.en for text in texts if text.en == text.fr] == []

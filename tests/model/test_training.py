"""Training, from data to package."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.model.schemas import mixed_csv, mixed_schema
from tests.servers import ROOT

from vigie.model.cohort import draw
from vigie.model.dataset import Dataset
from vigie.model.model_loader import load_model
from vigie.model.package import MANIFEST, notice, read_manifest
from vigie.model.training import TrainingError, split, train
from vigie.schema import FeatureSchema, load_schema

REFERENCE = ROOT / "model" / "lung_cancer"
NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)


@pytest.fixture
def survey(schema: FeatureSchema, tmp_path: Path) -> Path:
    """A survey of 300 rows coded 1/2."""
    records, labels = draw(schema, 300, seed=3)
    lines = [",".join([*schema.names, "LUNG_CANCER"])]
    for record, label in zip(records, labels, strict=True):
        cells = [
            "FM"[int(v)] if n == "GENDER" else str(v) if n == "AGE" else str(int(v) + 1)
            for n, v in record.items()
        ]
        lines.append(",".join([*cells, label]))
    file = tmp_path / "survey.csv"
    file.write_text("\n".join([*lines, lines[1]]))
    return file


def replayed(package: Path) -> tuple[int, int]:
    """Send the held-out rows one by one through the loaded model: (correct, rows)."""
    model = load_model(package)
    schema, correct, rows = model.schema, 0, 0
    with (package / "holdout.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            label = row.pop(schema.target.name)
            record = {
                name: text
                if schema.by_name[name].type == "category"
                else float(text)
                if schema.by_name[name].type == "number"
                else int(text)
                for name, text in row.items()
            }
            valid = schema.request_model.model_validate(record).model_dump()
            given = model.predict_proba(model.features([valid])).argmax()
            correct += schema.target.classes[given] == label
            rows += 1
    return correct, rows


def test_the_reference_model_beats_the_majority_and_its_accuracy_can_be_replayed(package_path: Path) -> None:
    """The manifest's accuracy is exactly what the served model answers to the held-out rows one by one."""
    manifest = read_manifest(package_path)
    metrics = manifest.metrics
    assert replayed(package_path) == (metrics.correct, metrics.rows)
    assert metrics.accuracy == metrics.correct / metrics.rows
    assert metrics.rows == manifest.training_data.held_out_rows == 4000
    assert manifest.training_data.rows == 20_000
    assert metrics.accuracy > metrics.majority_accuracy + 0.04
    assert metrics.roc_auc > 0.93
    assert metrics.brier < 0.07
    assert sum(sum(given.values()) for given in metrics.confusion.values()) == 4000


def test_the_reference_model_says_that_it_was_simulated(package_path: Path, schema: FeatureSchema) -> None:
    """The manifest carries what every place that shows the model has to say."""
    manifest = read_manifest(package_path)
    assert manifest.simulated
    assert (
        notice(schema, manifest) == "demonstration model trained on a simulated cohort; not a medical device"
    )
    assert notice(schema, manifest, "fr").startswith("modèle de démonstration")
    assert "simulated cohort; not a medical device" in (package_path / "MODEL_CARD.md").read_text()


def test_the_reference_model_is_served_by_onnx(package_path: Path) -> None:
    """Both runtimes agree on all held-out rows, within the platform's bound."""
    runtime = read_manifest(package_path).runtime
    assert runtime.name == "onnx"
    assert runtime.parity is not None
    assert runtime.parity.rows >= 4000
    assert runtime.parity.label_flips == 0
    assert runtime.parity.max_difference <= 1e-5


def test_training_twice_gives_the_same_package(survey: Path, tmp_path: Path) -> None:
    """Every file is the same, byte for byte."""
    for name in ("one", "two"):
        train(REFERENCE, tmp_path / name, survey, created_at=NOW)
    one, two = tmp_path / "one", tmp_path / "two"
    names = sorted(file.name for file in one.iterdir())
    assert len(names) == 8
    assert [(one / name).read_bytes() for name in names] == [(two / name).read_bytes() for name in names]


def test_a_survey_of_ones_own_is_not_simulated(survey: Path, tmp_path: Path, schema: FeatureSchema) -> None:
    """Trained on a file, the notice is the caution alone, and the report tells what was dropped."""
    report = train(REFERENCE, tmp_path / "own", survey)
    assert notice(schema, report.manifest) == "not a medical device"
    assert notice(schema, report.manifest, "fr") == "n’est pas un dispositif médical"
    data = report.manifest.training_data
    assert data.source == "survey survey.csv"
    assert (data.rows, data.training_rows, data.held_out_rows) == (300, 240, 60)
    assert "1 duplicate rows dropped (rows 302)" in report.notices[0]
    assert data.notices == report.notices
    card = (tmp_path / "own" / "MODEL_CARD.md").read_text()
    assert "| simulated | no |" in card
    assert "simulated cohort" not in card


def test_a_schema_of_every_type_trains_and_replays(tmp_path: Path) -> None:
    """Categories are one-hot encoded in both runtimes; the package needs no code of its own."""
    mixed_schema(tmp_path / "contract")
    report = train(tmp_path / "contract", tmp_path / "contract", mixed_csv(tmp_path / "contracts.csv"))
    assert report.manifest.runtime.name == "onnx"
    assert report.manifest.algorithm == "ColumnTransformer, LogisticRegression"
    metrics = report.manifest.metrics
    assert replayed(tmp_path / "contract") == (metrics.correct, metrics.rows)
    assert metrics.accuracy > metrics.majority_accuracy


def test_a_threshold_is_stored_in_the_package_and_decides_everywhere(tmp_path: Path) -> None:
    """The schema's threshold travels with the model: metrics, card, parity and reference are of its labels."""
    target = {"name": "LEAVES", "title": "Leaves", "classes": ["stays", "leaves"], "positive": "leaves"}
    data = mixed_csv(tmp_path / "contracts.csv")
    given = {}
    for threshold in (0.5, 0.1):
        folder = tmp_path / f"{threshold}"
        mixed_schema(folder, target={**target, "threshold": threshold})
        manifest = train(folder, folder, data).manifest
        model = load_model(folder)
        assert model.schema.target.threshold == threshold
        assert f"leaves from a probability of {threshold} on" in (folder / "MODEL_CARD.md").read_text()
        confusion = manifest.metrics.confusion
        given[threshold] = sum(row["leaves"] for row in confusion.values())
        labels = json.loads((folder / "reference.json").read_text())["prediction"]["labels"]
        assert dict(zip(labels["levels"], labels["counts"], strict=True))["leaves"] == given[threshold]
    assert given[0.1] > given[0.5]


def test_three_classes_train_with_averaged_metrics(tmp_path: Path) -> None:
    """More than two classes go the same way."""
    target = {"name": "LEAVES", "title": "Leaves", "classes": ["no", "soon", "now"], "positive": "now"}
    mixed_schema(tmp_path / "three", target=target)
    lines = ["plan,monthly_spend,years,online,gender,leaves"]
    lines += [f"Pro,{i % 97},{i % 40},{i % 2},F,{('no', 'soon', 'now')[i % 40 // 14]}" for i in range(240)]
    (tmp_path / "three.csv").write_text("\n".join(lines))
    metrics = train(tmp_path / "three", tmp_path / "out", tmp_path / "three.csv").manifest.metrics
    assert replayed(tmp_path / "out") == (metrics.correct, metrics.rows)
    assert metrics.roc_auc > 0.9
    assert set(metrics.confusion) == {"no", "soon", "now"}


def test_the_split_is_stratified_fixed_and_complete(schema: FeatureSchema) -> None:
    """Each row is in exactly one part, one fifth is held out of each class, the same rows each time."""
    records = [{**schema.example(), "AGE": i % 121, "GENDER": i // 121 % 2} for i in range(200)]
    whole = Dataset(list(records), ["YES"] * 150 + ["NO"] * 50, "here")
    training, held_out = split(whole, schema)
    assert training.counts(schema) == {"NO": 40, "YES": 120}
    assert held_out.counts(schema) == {"NO": 10, "YES": 30}
    parts = [tuple(record.values()) for record in (*training.records, *held_out.records)]
    assert sorted(parts) == sorted(tuple(record.values()) for record in records)
    assert split(whole, schema) == (training, held_out)


def test_a_class_with_too_few_rows_is_refused(schema: FeatureSchema) -> None:
    """A file without enough of one class is refused by the class, instead of a model that never says it."""
    whole = Dataset([schema.example()] * 50, ["YES"] * 46 + ["NO"] * 4, "survey few.csv")
    with pytest.raises(TrainingError, match=r"survey few.csv: 4 rows of LUNG_CANCER NO; .* at least 5"):
        split(whole, schema)


def test_a_refused_training_leaves_the_old_package_serving(
    survey: Path, tmp_path: Path, schema: FeatureSchema
) -> None:
    """A bad file changes nothing on disk."""
    out = tmp_path / "package"
    train(REFERENCE, out, survey)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    survey.write_text(survey.read_text().replace("SMOKING", "SMOKE"))
    with pytest.raises(Exception, match="SMOKING is missing"):
        train(REFERENCE, out, survey)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_training_into_the_schemas_own_folder_keeps_its_source(survey: Path, tmp_path: Path) -> None:
    """schema.yaml is not rewritten, other files stay, and the package replaces an older one."""
    folder = tmp_path / "lung_cancer"
    folder.mkdir()
    source = folder / "schema.yaml"
    source.write_bytes((REFERENCE / "schema.yaml").read_bytes())
    (folder / "NOTES.txt").write_text("mine")
    inode = source.stat().st_ino
    for seconds in (0, 1):
        train(folder, folder, survey, created_at=NOW.replace(second=seconds))
    assert source.stat().st_ino == inode
    assert (folder / "NOTES.txt").read_text() == "mine"
    assert load_model(folder).manifest.created_at == NOW.replace(second=1)
    assert load_schema(folder).name == "lung_cancer"
    assert (folder / MANIFEST).is_file()
    assert np.isclose(load_model(folder).predict_proba(np.zeros((1, 28))).sum(), 1)

"""Writes a fitted estimator as a model package: artefacts, golden rows, profile, card and manifest."""

from __future__ import annotations

import csv
import io
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from vigie.errors import VigieError
from vigie.model import package
from vigie.model.artefacts import skops_bytes
from vigie.model.dataset import Dataset
from vigie.model.evaluation import evaluate
from vigie.model.feature_matrix import FeatureMatrix
from vigie.model.golden import GoldenRows, choose_golden
from vigie.model.model_card import model_card
from vigie.model.package import Manifest, TrainingData
from vigie.model.parity import Serving, choose_runtime
from vigie.model.reference_profile import profile
from vigie.model.runtime import force_one_thread, untrusted_types
from vigie.schema import FeatureSchema, load_schema


class ExportError(VigieError):
    """A package cannot be written: estimator or rows do not fit the schema, or the folder takes no files."""


def export(
    estimator: Any,
    schema_dir: Path,
    out_dir: Path,
    training: Dataset,
    held_out: Dataset,
    created_at: datetime | None = None,
) -> Manifest:
    """Write the package of `estimator` to `out_dir`, which may be the folder of its schema.

    `estimator` is a fitted scikit-learn classifier over the model's columns (inputs in the schema's
    order, then the derived features) that was trained on positions in `target.classes`; its `n_jobs` are
    set to 1 and the names of its columns forgotten. `training` becomes the reference profile; the metrics
    and the reference of the predictions are those of the served runtime on `held_out`. A pickle that you
    trust becomes a package so:

        schema = load_schema(schema_dir)
        training, held_out = split(read_survey(Path("survey.csv"), schema), schema)
        export(joblib.load("model.pkl"), schema_dir, out_dir, training, held_out)

    Everything is written beside `out_dir` first, then moved in file by file, the manifest last: whoever
    looks meanwhile finds the old package, a refusal by hash, or the new package.

    Returns the manifest. Raises ExportError when the estimator or the rows do not fit the schema, or the
    folder cannot be written.
    """
    schema = load_schema(schema_dir)
    features = FeatureMatrix(schema)
    _check_estimator(estimator, features)
    _check_rows(held_out, schema)
    force_one_thread(estimator)
    _forget_names(estimator)
    golden = choose_golden(held_out.records, features, estimator.predict_proba)
    reference = features([*held_out.records, *golden.records])
    serving = choose_runtime(estimator, reference, schema.target.threshold)
    answers = serving.runtime.predict_proba(features(held_out.records))
    manifest = Manifest(
        name=schema.name,
        version=schema.version,
        created_at=created_at or datetime.now(UTC),
        simulated=training.simulated,
        algorithm=_algorithm(estimator),
        columns=features.columns,
        runtime=serving.choice,
        training_data=_training_data(schema, training, held_out),
        metrics=evaluate(held_out.positions(schema), answers, schema),
        libraries={"python": platform.python_version(), **package.library_versions()},
        files={},
    )
    contents: dict[str, bytes] = {
        package.SCHEMA: (schema_dir / package.SCHEMA).read_bytes(),
        package.ESTIMATOR: _archive(estimator),
        **_serving_files(serving, golden),
        package.REFERENCE: _json(profile(training, answers, schema).model_dump()),
        package.HOLDOUT: _holdout(held_out, schema).encode(),
        package.CARD: model_card(schema, manifest).encode(),
    }
    return _write(contents, manifest, out_dir)


def _check_estimator(estimator: Any, features: FeatureMatrix) -> None:
    kind = type(estimator).__name__
    if not hasattr(estimator, "predict_proba"):
        raise ExportError(f"{kind}: has no predict_proba, so it gives no probability")
    labels = list(features.schema.target.classes)
    classes = list(estimator.classes_)
    if classes not in (list(range(len(labels))), labels):
        raise ExportError(
            f"{kind}: its classes are {classes}; train it on positions in the schema's classes {labels}"
        )
    columns = features.columns
    if estimator.n_features_in_ != len(columns):
        raise ExportError(
            f"{kind}: takes {estimator.n_features_in_} columns, the schema gives {len(columns)}: "
            f"{', '.join(columns)}"
        )
    named = [str(name).replace(" ", "_") for name in getattr(estimator, "feature_names_in_", columns)]
    for position, (found, expected) in enumerate(zip(named, columns, strict=True), start=1):
        if found != expected:
            raise ExportError(f"{kind}: its column {position} is {found}, the schema's is {expected}")


def _check_rows(held_out: Dataset, schema: FeatureSchema) -> None:
    for label, rows in held_out.counts(schema).items():
        if rows == 0:
            raise ExportError(f"{held_out.source}: none of the held-out rows is {schema.target.name} {label}")


def _forget_names(estimator: Any) -> None:
    """Drop the names of a fit on a DataFrame: served arrays, the estimator would warn at each call."""
    for part in (estimator, *estimator.get_params().values()):
        if "feature_names_in_" in getattr(part, "__dict__", {}):
            del part.feature_names_in_


def _algorithm(estimator: Any) -> str:
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    return ", ".join(type(step).__name__ for step in steps)


def _training_data(schema: FeatureSchema, training: Dataset, held_out: Dataset) -> TrainingData:
    whole = Dataset([*training.records, *held_out.records], [*training.labels, *held_out.labels], "")
    return TrainingData(
        source=training.source,
        rows=len(whole),
        training_rows=len(training),
        held_out_rows=len(held_out),
        classes=whole.counts(schema),
        fingerprint=whole.fingerprint(schema),
        notices=training.notices,
    )


def _archive(estimator: Any) -> bytes:
    archive = skops_bytes(estimator)
    unknown = untrusted_types(archive)
    if unknown:
        raise ExportError(
            f"{type(estimator).__name__}: holds types that a package may not hold: {', '.join(unknown)}"
        )
    return archive


def _serving_files(serving: Serving, golden: GoldenRows) -> dict[str, bytes]:
    graph = {} if serving.graph is None else {package.ONNX: serving.graph}
    return {**graph, package.GOLDEN: golden.to_json()}


def _json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _holdout(held_out: Dataset, schema: FeatureSchema) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*schema.names, schema.target.name])
    for record, label in zip(held_out.records, held_out.labels, strict=True):
        writer.writerow([*(record[name] for name in schema.names), label])
    return stream.getvalue()


def _write(contents: dict[str, bytes], manifest: Manifest, out_dir: Path) -> Manifest:
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=f".{out_dir.name}-") as folder:
            draft = Path(folder)
            for name, content in contents.items():
                (draft / name).write_bytes(content)
            files = {name: package.sha256(draft / name) for name in sorted(contents)}
            manifest = manifest.model_copy(update={"files": files})
            (draft / package.MANIFEST).write_bytes(_json(manifest.model_dump(mode="json")))
            _move_in(draft, [*sorted(contents), package.MANIFEST], out_dir)
    except OSError as error:
        raise ExportError(f"{out_dir}: cannot be written ({error.strerror})") from error
    return manifest


def _move_in(draft: Path, names: list[str], out_dir: Path) -> None:
    for name in names:
        source, target = draft / name, out_dir / name
        if name == package.SCHEMA and target.is_file() and target.read_bytes() == source.read_bytes():
            continue  # the schema's own folder: its source stays untouched
        source.replace(target)
    if package.ONNX not in names:
        (out_dir / package.ONNX).unlink(missing_ok=True)

"""The model package: a folder of artefacts and the manifest that says what each of them is.

`vigie.model.export` writes it, `vigie.model.model_loader` serves it. This module reads and verifies it
without importing scikit-learn, numpy or ONNX Runtime, so that the front end can show its notice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vigie.errors import VigieError
from vigie.schema import FeatureSchema, load_schema

SCHEMA = "schema.yaml"
ESTIMATOR = "model.skops"
ONNX = "model.onnx"
GOLDEN = "golden.json"
REFERENCE = "reference.json"
HOLDOUT = "holdout.csv"
CARD = "MODEL_CARD.md"
MANIFEST = "manifest.json"

ALWAYS = (SCHEMA, ESTIMATOR, GOLDEN, REFERENCE, HOLDOUT, CARD)
"""Files that every package holds beside its manifest; model.onnx only where ONNX serves."""

MAX_DIFFERENCE = 1e-5
"""Largest |Δp| at which two runtimes agree (see docs/architecture.md); float32 gives about 1e-6."""

STRICT_LIBRARIES = ("scikit-learn", "skops")
"""Libraries whose major.minor must be the one the package was written with."""

LIBRARIES = (*STRICT_LIBRARIES, "numpy", "scipy", "onnx", "onnxruntime", "skl2onnx")
"""Libraries whose versions the manifest records."""

PICKLES = {".pkl", ".pickle", ".joblib"}


TRAIN_AGAIN = "run `make train` (for an example: `make train MODEL=its folder`)"
"""What to do about a package that is not whole."""


class PackageError(VigieError):
    """A package cannot be served; the message names the file and what to do."""


class Recorded(BaseModel):
    """Part of a manifest: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Parity(Recorded):
    """How far ONNX and the estimator agree on the reference rows."""

    rows: int
    label_flips: int
    max_difference: float
    """Largest |Δp| over all rows and classes."""

    @property
    def agrees(self) -> bool:
        """Whether ONNX may serve."""
        return self.label_flips == 0 and self.max_difference <= MAX_DIFFERENCE


class RuntimeChoice(Recorded):
    """Which runtime serves the package, and why."""

    name: Literal["onnx", "sklearn"]
    reason: str
    parity: Parity | None = None
    """None when the estimator could not be converted."""


class TrainingData(Recorded):
    """What the model was trained on."""

    source: str
    rows: int
    training_rows: int
    held_out_rows: int
    classes: dict[str, int]
    """Rows per class label, both parts together."""
    fingerprint: str
    """SHA-256 over the training rows, then the held-out rows, with their labels."""
    notices: tuple[str, ...] = ()


class Metrics(Recorded):
    """Quality of the served runtime on the held-out rows.

    Precision, recall and F1 are of the positive class, or the unweighted mean over more than two classes;
    ROC AUC is one-vs-rest there and the Brier score the sum over the classes.
    """

    rows: int
    correct: int
    accuracy: float
    majority_accuracy: float
    """Accuracy of always answering the most frequent class."""
    precision: float
    recall: float
    f1: float
    roc_auc: float
    brier: float
    log_loss: float
    calibration_error: float | None = None
    """Mean distance of probability and share of rows it came true for; older packages have none."""
    confusion: dict[str, dict[str, int]]
    """True label → label given → rows."""


class Manifest(Recorded):
    """What `manifest.json` holds."""

    format: Literal[2] = 2
    name: str
    version: str
    created_at: datetime
    simulated: bool
    """Whether the training data was simulated."""
    algorithm: str
    """The estimator's steps."""
    columns: tuple[str, ...]
    """The model's columns in their order: inputs, then derived features."""
    runtime: RuntimeChoice
    training_data: TrainingData
    metrics: Metrics
    libraries: dict[str, str]
    """Versions the package was written with."""
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")], str]
    """SHA-256 of each file."""


def sha256(file: Path) -> str:
    """Return the SHA-256 of the bytes of `file`, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def refuse_pickle(path: Path) -> None:
    """Raise PackageError, with the way to convert it, when `path` names a pickle."""
    if path.suffix.lower() in PICKLES:
        raise PackageError(
            f"{path}: a pickle is not served, since opening one runs whatever code it holds; make a package "
            "with `make train`, or, where you trust the file, load it yourself and write the package with "
            "vigie.model.export.export(estimator, schema_dir, out_dir, training, held_out)"
        )


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of the package folder `path`.

    Raises PackageError when `path` is not a trained package.
    """
    refuse_pickle(path)
    file = path / MANIFEST
    if not path.is_dir():
        raise PackageError(f"{path}: no such folder; MODEL_PATH names a package, made by `make train`")
    if not file.is_file():
        raise PackageError(f"{path}: no {MANIFEST}, the model is not trained yet; {TRAIN_AGAIN}")
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
        raise PackageError(f"{file}: not a manifest ({faults}); {TRAIN_AGAIN}") from error
    except OSError as error:
        raise PackageError(f"{file}: cannot be read ({error.strerror})") from error


def verify(path: Path, manifest: Manifest) -> FeatureSchema:
    """Check the package folder `path` against its `manifest` and return its schema.

    Raises PackageError naming the file when one is missing or its SHA-256 differs, when the schema's
    name or version differs, or when scikit-learn or skops has another major.minor; SchemaError when the
    schema itself does not fit.
    """
    needed = (*ALWAYS, ONNX) if manifest.runtime.name == "onnx" else ALWAYS
    for name in sorted({*needed, *manifest.files}):
        _verify_file(path / name, manifest.files.get(name))
    schema = load_schema(path)
    for what, trained, declared in (
        ("name", manifest.name, schema.name),
        ("version", manifest.version, schema.version),
    ):
        if trained != declared:
            raise PackageError(
                f"{path / SCHEMA}: its {what} is {declared}, the model was trained as {trained}; "
                f"{TRAIN_AGAIN}"
            )
    _verify_libraries(path, manifest)
    return schema


def _verify_file(file: Path, recorded: str | None) -> None:
    if recorded is None:
        raise PackageError(f"{file}: the manifest does not record it; {TRAIN_AGAIN}")
    if not file.is_file():
        raise PackageError(f"{file}: missing, though the manifest records it; {TRAIN_AGAIN}")
    if sha256(file) != recorded:
        raise PackageError(
            f"{file}: its SHA-256 is not the manifest's: it has changed since the model was trained; "
            f"{TRAIN_AGAIN}"
        )


def _verify_libraries(path: Path, manifest: Manifest) -> None:
    for library in STRICT_LIBRARIES:
        trained, installed = manifest.libraries.get(library, "none"), version(library)
        if _major_minor(trained) != _major_minor(installed):
            raise PackageError(
                f"{path / MANIFEST}: written with {library} {trained}, installed is {installed}; "
                f"{TRAIN_AGAIN}; or install that version"
            )


def _major_minor(text: str) -> tuple[str, ...]:
    return tuple(text.split(".")[:2])


def package_folder(source: Path, home: Path, default: Path) -> Path:
    """Return where the package trained from the schema in `source` goes.

    The default model's package stands beside its schema, that of any other under `home`/models/<name>, so
    that an example stays one schema. Raises SchemaError when `source` has no schema.
    """
    return source if source.resolve() == default.resolve() else home / "models" / load_schema(source).name


def library_versions(names: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Return the installed version of each library in `names`."""
    return {name: version(name) for name in names}


def notice(schema: FeatureSchema, manifest: Manifest, language: str = "en") -> str:
    """Return what has to be said wherever the model is shown, in `language` ("fr" … or English).

    A model trained on a simulated cohort is called a demonstration; the schema's caution always stands.
    """
    caution = schema.caution.in_language(language)
    if not manifest.simulated:
        return caution
    if language.lower().startswith("fr"):
        return f"modèle de démonstration entraîné sur une cohorte simulée ; {caution}"
    return f"demonstration model trained on a simulated cohort; {caution}"

"""The model card: what the model is, what it was trained on and how good it is, in its manifest's numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vigie.model.package import Manifest, Metrics, notice
from vigie.schema import FeatureSchema

NORMAL_QUANTILE_95 = 1.959964
"""Two-sided 95 % quantile of the standard normal distribution."""

MEANING_OF_SIMULATED = (
    "The rows were simulated, the held-out ones by the same draw as the training ones. The figures say how "
    "well the model recovers that simulation; they say nothing about real people, and the model is not to "
    "be used on any."
)
MEANING_OF_REAL = (
    "The held-out rows come from the same data as the training rows and took no part in the training. On "
    "people or cases from elsewhere expect other figures, as a rule worse ones."
)
SAME_BY_API = (
    "These are the figures of the runtime that serves; sending the rows of `holdout.csv` to the API gives "
    "the same number of correct answers."
)


def model_card(schema: FeatureSchema, manifest: Manifest) -> str:
    """Return the card as Markdown; every number in it stands in the manifest too."""
    sections = [
        f"# {schema.title.en}\n\n**{_sentence(notice(schema, manifest))}**\n\n{schema.description.en}",
        f"## Model\n\n{_model(schema, manifest)}",
        f"## Training data\n\n{_training_data(manifest)}",
        f"## Quality on the held-out rows\n\n{_quality(schema, manifest)}",
        f"## Serving\n\n{_serving(manifest)}",
    ]
    return "\n\n".join(sections) + "\n"


def wilson_interval(correct: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy of `correct` in `rows`.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    share, z2 = correct / rows, NORMAL_QUANTILE_95**2
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    spread = share * (1 - share) / rows + z2 / (4 * rows**2)
    half = NORMAL_QUANTILE_95 * math.sqrt(spread) / (1 + z2 / rows)
    return centre - half, centre + half


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _model(schema: FeatureSchema, manifest: Manifest) -> str:
    inputs, columns = schema.names, manifest.columns
    derived = columns[len(inputs) :]
    rows = [
        ("name, version", f"{manifest.name} {manifest.version}"),
        ("trained", f"{manifest.created_at:%Y-%m-%d %H:%M} UTC"),
        ("algorithm", manifest.algorithm),
        ("target", f"{schema.target.name}: {', '.join(schema.target.classes)}"),
        ("positive class", schema.target.positive),
        ("decision", _decision(schema)),
        (f"inputs ({len(inputs)})", ", ".join(inputs)),
        (f"derived ({len(derived)})", ", ".join(derived) or "none"),
    ]
    return _table(("", ""), rows)


def _decision(schema: FeatureSchema) -> str:
    if len(schema.target.classes) > 2:
        return "the most probable class"
    return f"{schema.target.positive} from a probability of {schema.target.threshold:g} on"


def _training_data(manifest: Manifest) -> str:
    data = manifest.training_data
    rows = [
        ("source", data.source),
        ("simulated", "yes" if manifest.simulated else "no"),
        ("rows", f"{data.rows}: {data.training_rows} for training, {data.held_out_rows} held out"),
        ("rows per class", ", ".join(f"{label} {count}" for label, count in data.classes.items())),
        ("SHA-256 of the rows", f"`{data.fingerprint}`"),
    ]
    return "\n\n".join([_table(("", ""), rows), *data.notices])


def _quality(schema: FeatureSchema, manifest: Manifest) -> str:
    metrics = manifest.metrics
    confusion = [
        (f"**{true}**", *(metrics.confusion[true][label] for label in schema.target.classes))
        for true in schema.target.classes
    ]
    return "\n\n".join(
        [
            MEANING_OF_SIMULATED if manifest.simulated else MEANING_OF_REAL,
            _table(("metric", "value"), _figures(metrics, binary=len(schema.target.classes) == 2)),
            _table(("true ↓ given →", *schema.target.classes), confusion),
            SAME_BY_API,
        ]
    )


def _figures(metrics: Metrics, *, binary: bool) -> list[tuple[str, str]]:
    low, high = wilson_interval(metrics.correct, metrics.rows)
    error = metrics.calibration_error
    of = "of the positive class" if binary else "mean over the classes"
    return [
        ("accuracy", f"{metrics.accuracy!r} ({metrics.correct}/{metrics.rows})"),
        ("accuracy, 95 % interval", f"{low:.4f} to {high:.4f}"),
        ("accuracy of always giving the most frequent class", f"{metrics.majority_accuracy:.4f}"),
        (f"precision, {of}", f"{metrics.precision:.4f}"),
        (f"recall, {of}", f"{metrics.recall:.4f}"),
        (f"F1, {of}", f"{metrics.f1:.4f}"),
        ("ROC AUC", f"{metrics.roc_auc:.4f}"),
        ("Brier score", f"{metrics.brier:.4f}"),
        ("log loss", f"{metrics.log_loss:.4f}"),
        *([] if error is None else [("calibration error", f"{error:.4f}")]),
    ]


def _serving(manifest: Manifest) -> str:
    runtime = "ONNX Runtime at float32" if manifest.runtime.name == "onnx" else "scikit-learn"
    libraries = ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())
    return f"Served by {runtime}: {manifest.runtime.reason}.\n\nWritten with {libraries}."

"""The model that answers now, with everything that depends on it, in one immutable object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vigie.api.validation import RecordReader
from vigie.model.model_loader import LoadedModel
from vigie.model.package import notice
from vigie.model.predictor import Predictor
from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.telemetry.event import ModelIdentity
from vigie.telemetry.metrics.figures import Figures


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model in service.

    A request takes one at its beginning and stays with it to the end: its validation, answer and event
    are of the same model, whatever is loaded meanwhile.
    """

    model: LoadedModel
    identity: ModelIdentity
    notice: str
    """What has to be said wherever the model answers."""
    messages: Mapping[str, str]
    """Class label → the plain sentence of the answer."""
    records: RecordReader
    predictor: Predictor


def serve_model(
    model: LoadedModel, settings: Settings, records: RecordReader | None = None, *, figures: Figures
) -> ServedModel:
    """Put `model` into service, with the `records` of another that takes the same inputs, if there is one.

    It counts into `figures`, which outlive it.

    (A request model made anew would stay in memory: only the garbage collector frees classes.)
    """
    said = notice(model.schema, model.manifest)
    return ServedModel(
        model=model,
        identity=ModelIdentity(name=model.schema.name, version=model.version, runtime=model.runtime_name),
        notice=said,
        messages=messages(model.schema, said),
        records=records or RecordReader(model.schema),
        predictor=Predictor(
            model,
            settings.observing,
            mode=settings.model.inference_mode,
            batch_rows=settings.model.inference_batch_rows,
            figures=figures,
        ),
    )


def messages(schema: FeatureSchema, notice_text: str) -> Mapping[str, str]:
    """Return the plain sentence of an answer, by class label: what the label means, and the notice."""
    target = schema.target
    return {
        label: f"{target.meaning[label].en if label in target.meaning else _plain(schema, label)} "
        f"Please note: {notice_text}."
        for label in target.classes
    }


def _plain(schema: FeatureSchema, label: str) -> str:
    return f"{schema.target.title.en}: {label}."

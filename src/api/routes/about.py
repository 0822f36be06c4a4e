"""GET /, /model and /model/schema: what is served here."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from vigie.api.problems import documented
from vigie.api.roles import ENDPOINTS
from vigie.api.service import Service
from vigie.model.package import Metrics, Parity, TrainingData
from vigie.schema import FeatureSchema


class ModelLine(BaseModel):
    """The model in one line."""

    name: str
    version: str
    runtime: str


class Endpoint(BaseModel):
    """One way in."""

    method: str
    path: str
    role: str = Field(description="The role it asks for; while security is off every role is granted")


class About(BaseModel):
    """What this service is."""

    name: str
    version: str
    model: ModelLine
    notice: str = Field(description="What has to be said wherever the model is shown")
    endpoints: list[Endpoint]


class RuntimeDocument(BaseModel):
    """Which runtime answers, and why."""

    name: str
    reason: str
    parity: Parity | None
    row_cost_ms: float = Field(description="CPU time of one row, measured at load")
    inference: Literal["inline", "thread"] = Field(
        description="Where it runs: on the event loop or beside it"
    )
    inference_reason: str


class ModelDocument(BaseModel):
    """What is served."""

    name: str
    version: str
    title: str
    description: str
    created_at: str
    simulated: bool = Field(description="Whether the training data was simulated")
    notice: str
    threshold: float | None = Field(
        description="P(positive class) from which on it is the answer; null with more than two classes"
    )
    runtime: RuntimeDocument
    refused: str | None = Field(
        description="Why the package at MODEL_PATH is not this model; null while it is"
    )
    columns: list[str]
    artefacts: dict[str, str] = Field(description="File of the package → SHA-256")
    training_data: TrainingData
    metrics: Metrics
    libraries: dict[str, str]


def about_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["about"], responses=documented(413, 500, 504))

    @router.get("/", summary="Name, version, model and endpoints")
    async def root() -> About:
        return _about(service)

    @router.get("/model", summary="What is served: runtime, artefacts, training data, metrics")
    async def served_model() -> ModelDocument:
        return _model(service)

    @router.get(
        "/model/schema",
        summary="The feature schema, texts in English and French",
        response_model=FeatureSchema,
    )
    async def model_schema() -> Any:
        return service.model.schema.model_dump(mode="json")

    return router


def _about(service: Service) -> About:
    return About(
        name="vigie",
        version=version("vigie"),
        model=ModelLine(**service.identity),
        notice=service.notice,
        endpoints=[
            Endpoint(method=method, path=path, role=role.value) for (method, path), role in ENDPOINTS.items()
        ],
    )


def _model(service: Service) -> ModelDocument:
    manifest, schema = service.model.manifest, service.model.schema
    return ModelDocument(
        name=schema.name,
        version=service.model.version,
        title=schema.title.en,
        description=schema.description.en,
        created_at=manifest.created_at.isoformat(),
        simulated=manifest.simulated,
        notice=service.notice,
        threshold=schema.target.threshold if len(schema.target.classes) == 2 else None,
        runtime=RuntimeDocument(
            name=service.model.runtime_name,
            reason=service.model.runtime_reason,
            parity=manifest.runtime.parity,
            row_cost_ms=service.model.row_cost_ms,
            inference="inline" if service.predictor.runs_inline else "thread",
            inference_reason=service.predictor.mode_reason,
        ),
        refused=service.refusal,
        columns=list(manifest.columns),
        artefacts=manifest.files,
        training_data=manifest.training_data,
        metrics=manifest.metrics,
        libraries=manifest.libraries,
    )

"""POST /explain."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from vigie.api.exchange import exchange_of
from vigie.api.limits import check_json
from vigie.api.problems import documented
from vigie.api.routes.predict import RECORD
from vigie.api.service import Service
from vigie.model.explanation import METHOD


class Contribution(BaseModel):
    """What one input did to the probability."""

    feature: str
    value: int | float | str
    effect: float = Field(ge=-1, le=1, description="How much it raised the probability; below 0, lowered it")
    standard_error: float = Field(ge=0, description="Of the effect, which is estimated from a sample")


class ExplanationAnswer(BaseModel):
    """Answer of POST /explain: the baseline and the effects add up to the probability."""

    transaction_id: str
    model_name: str
    model_version: str
    label: str = Field(
        description="The class whose probability it is: of two the positive one, of more the one given"
    )
    probability: float = Field(ge=0, le=1)
    baseline: float = Field(
        ge=0, le=1, description="Mean probability of that class over the rows compared with"
    )
    contributions: list[Contribution] = Field(description="One per input, the largest effect first")
    method: str
    rows: int = Field(ge=1, description="Held-out rows compared with; a costly model is given fewer")


def explain_router(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["predict"], responses=documented(413, 415, 422, 500, 503, 504))

    @router.post(
        "/explain",
        summary="Say what moves the answer to a record",
        description="How much each input of the record raises or lowers the probability, compared with rows "
        "that the model was not fitted on. It is no prediction: none is counted or kept for feedback.",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": RECORD, "example": service.model.schema.example()}
                },
            }
        },
    )
    async def explain(request: Request) -> ExplanationAnswer:
        exchange, served = exchange_of(request.scope), service.served
        check_json(exchange.headers)
        exchange.body = await request.body()
        exchange.input_data = record = served.records.one(exchange.body)
        found = await service.explainer.explain(served.model, record)
        return ExplanationAnswer(
            transaction_id=exchange.instant.id,
            model_name=served.identity["name"],
            model_version=served.identity["version"],
            label=found.label,
            probability=found.probability,
            baseline=found.baseline,
            contributions=[
                Contribution(
                    feature=one.feature, value=one.value, effect=one.effect, standard_error=one.standard_error
                )
                for one in found.contributions
            ],
            method=METHOD,
            rows=found.rows,
        )

    return router

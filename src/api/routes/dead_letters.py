"""/pipeline/dead, /pipeline/replays and /pipeline/discards: what an operator does with dead letters."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from vigie.api.exchange import exchange_of
from vigie.api.limits import check_json
from vigie.api.problems import documented
from vigie.api.service import Service
from vigie.api.validation import invalid
from vigie.telemetry.event import FieldError
from vigie.telemetry.stream.replay_requests import MOST_LETTERS

LETTER_ID: Final = r"^[1-9][0-9]{0,14}-[0-9]{1,15}$"
LetterId = Annotated[str, Field(pattern=LETTER_ID)]


class Choice(BaseModel):
    """Some letters, or all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    letters: Literal["all"] | Annotated[list[LetterId], Field(min_length=1, max_length=MOST_LETTERS)] = Field(
        description=f"Ids of 1 to {MOST_LETTERS} letters, or `all` that wait now"
    )


class Refusal(BaseModel):
    """One document that the store refused."""

    index: str
    id: str
    status: int
    type: str
    reason: str


class DeadLetterLine(BaseModel):
    """An event that was refused for good, without the event itself."""

    id: str
    producer: str
    number: int = Field(description="0 when the entry had none")
    reason: str
    failures: list[Refusal] = Field(description="Empty when the event never became documents")
    stored: dict[str, int] = Field(description="Physical index → documents that are stored all the same")
    attempts: int
    first_at: str
    last_at: str
    event_bytes: int


class DeadLetterPage(BaseModel):
    """A page of letters, newest first."""

    total: int = Field(description="How many wait")
    letters: list[DeadLetterLine]
    next: str | None = Field(description="`before` of the page that follows; null after the last one")


class DeadLetterDocument(DeadLetterLine):
    """A letter with its event."""

    event: JsonValue = Field(description="As it was read; its text when it is no JSON object")


class ReplayCounts(BaseModel):
    """Letters by what became of them."""

    indexed: int
    filtered: int
    failed: int = Field(description="Refused once more; the letter stays, with one attempt more")
    left: int = Field(description="Not decided; the letter stays as it was")
    gone: int = Field(description="Decided by somebody else meanwhile")


class ReplayedLetter(BaseModel):
    """A letter that is still there."""

    id: str
    outcome: Literal["failed", "left"]
    reason: str


class ReplayDocument(BaseModel):
    """How far a replay is."""

    id: str
    asked_at: str
    state: Literal["waiting", "running", "done", "failed"]
    counts: ReplayCounts
    still_there: list[ReplayedLetter] = Field(description="The first of them, with the reason")
    problem: str | None = Field(description="Why nothing happens, or why it failed as a whole")


class Discarded(BaseModel):
    """What was thrown away."""

    discarded: int
    waiting: int = Field(description="Letters that wait still")


def dead_letters_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/pipeline", tags=["pipeline"], responses=documented(413, 422, 500, 503, 504))
    desk = service.dead_letters
    content = {"application/json": {"schema": Choice.model_json_schema(), "example": {"letters": "all"}}}
    choosing = {"requestBody": {"required": True, "content": content}}

    @router.get("/dead", summary="Dead letters, newest first", response_model=DeadLetterPage)
    async def dead_letters(
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        before: Annotated[str, Query(pattern=LETTER_ID, description="Older than this letter")] = "",
    ) -> Any:
        return await desk.page(limit, before)

    @router.get(
        "/dead/{letter_id}",
        summary="One dead letter with its event",
        response_model=DeadLetterDocument,
        responses=documented(404),
    )
    async def dead_letter(letter_id: Annotated[str, Path(pattern=LETTER_ID)]) -> Any:
        return await desk.letter(letter_id)

    @router.post(
        "/replays",
        status_code=202,
        summary="Let the pipeline index dead letters once more",
        response_model=ReplayDocument,
        responses=documented(404, 415),
        openapi_extra=choosing,
    )
    async def replay(request: Request) -> Any:
        return await desk.replay(await _chosen(request))

    @router.get(
        "/replays/{replay_id}",
        summary="How far a replay is",
        response_model=ReplayDocument,
        responses=documented(404),
    )
    async def progress(
        replay_id: Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")],
    ) -> Any:
        return await desk.progress(replay_id)

    @router.post(
        "/discards",
        summary="Throw dead letters away for good",
        response_model=Discarded,
        responses=documented(404, 415),
        openapi_extra=choosing,
    )
    async def discard(request: Request) -> Any:
        return await desk.discard(await _chosen(request))

    return router


async def _chosen(request: Request) -> list[str] | None:
    """Return the ids that the body names; None for all. Raises Problem (415, 422)."""
    exchange = exchange_of(request.scope)
    check_json(exchange.headers)
    exchange.body = await request.body()
    try:
        chosen = Choice.model_validate_json(exchange.body).letters
    except ValidationError:
        reason = f'must be "all", or a list of 1 to {MOST_LETTERS} ids such as 1790000000000-0'
        raise invalid([FieldError(field="letters", reason=reason)]) from None
    return None if chosen == "all" else list(chosen)

"""What a page remembers of its visitor's last answer: it stays there, and comes back with each event."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from vigie.schema import Value


class LastAnswer(BaseModel):
    """The prediction that an explanation and an outcome are about."""

    transaction_id: str
    record: dict[str, Value] | None = None
    """What was predicted; None where there is nothing to explain."""


class FoundMoves(BaseModel):
    """What moved an answer, as HTML, and which answer."""

    of: str
    html: str


def last_answer(kept: object) -> LastAnswer | None:
    """Return what the page kept, as JSON; None when it kept nothing."""
    if not isinstance(kept, str) or not kept:
        return None
    try:
        return LastAnswer.model_validate_json(kept)
    except ValidationError:
        return None

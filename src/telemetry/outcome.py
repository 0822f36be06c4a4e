"""What an event says of an outcome: the true label of a prediction, which arrives later."""

from __future__ import annotations

from typing import Annotated, TypedDict

from annotated_doc import Doc


class Outcome(TypedDict):
    """The true label of the prediction that has the event's transaction id."""

    label: Annotated[str, Doc("The true class")]
    position: Annotated[int, Doc("Its position in the schema's classes")]
    at: Annotated[str, Doc("When it came to be known: UTC with microseconds")]
    correction: Annotated[bool, Doc("Whether it takes the place of another label given before")]

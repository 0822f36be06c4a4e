"""What became of a request for a prediction, in terms that a visitor understands."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Prediction(BaseModel):
    """The API's answer, as far as the page shows it."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    prediction: int | float
    label: str | None = None
    probability: float | None = Field(default=None, ge=0, le=1)
    """Of two classes that of the positive one; of more, that of the class given; None for a regression."""
    model_name: str
    model_version: str
    transaction_id: str


class Fault(BaseModel):
    """One reason of a refusal: which field (empty: the whole record) and why."""

    field: str = ""
    reason: str


class Problem(BaseModel):
    """The part of an RFC 9457 document that the page shows."""

    title: str = ""
    detail: str = ""
    transaction_id: str | None = None
    errors: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no prediction."""

    title: str
    what_happened: str
    what_to_do: str
    request_id: str
    """The X-Request-ID that was sent."""
    transaction_id: str | None = None
    """The API's own id, when it got as far as giving one."""
    faults: tuple[Fault, ...] = ()

    def in_one_line(self) -> str:
        """Return it as one line of text, for programs."""
        reasons = "; ".join(f"{fault.field}: {fault.reason}" for fault in self.faults)
        reference = (
            f"transaction {self.transaction_id}" if self.transaction_id else f"request {self.request_id}"
        )
        return " — ".join((self.title, reasons or self.what_happened, reference))


Outcome = Prediction | Failure

_TRY_AGAIN = "Your answers are still in the form: wait a moment and press Predict again."
_REPORT = "If it happens again, give the id below to whoever runs this service."

_BY_STATUS: dict[int, tuple[str, str]] = {
    401: ("Predictions need a sign-in", "Ask whoever runs this service for access."),
    403: ("Predictions are not open to you", "Ask whoever runs this service for access."),
    413: ("The answers are too long", "Shorten what you typed and press Predict again."),
    422: ("Some answers were not accepted", "Correct them in the form and press Predict again."),
    429: ("Too many requests at the moment", _TRY_AGAIN),
    503: ("The prediction service is busy or starting", _TRY_AGAIN),
    504: ("The prediction took too long", f"{_TRY_AGAIN} {_REPORT}"),
}
"""HTTP status of the API's answer → title, what to do."""


def outcome_of(response: httpx.Response, request_id: str) -> Outcome:
    """Return the prediction in the API's `response`, else the failure that it describes."""
    if response.status_code == httpx.codes.OK:
        try:
            return Prediction.model_validate_json(response.content)
        except ValidationError:
            return _not_our_api(response, request_id)
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem()
    title, advice = _BY_STATUS.get(
        response.status_code, ("The prediction service could not answer", f"{_TRY_AGAIN} {_REPORT}")
    )
    return Failure(
        title=title,
        what_happened=_what_happened(problem, response.status_code),
        what_to_do=advice,
        request_id=request_id,
        transaction_id=problem.transaction_id or response.headers.get("x-transaction-id"),
        faults=problem.errors,
    )


def _what_happened(problem: Problem, status: int) -> str:
    if problem.errors:  # they say it better than the summary for programs
        return "This does not fit what the model was made for:"
    return problem.detail or problem.title or f"The service answered {status}."


def failure_of(error: httpx.HTTPError | httpx.InvalidURL, api_url: str, request_id: str) -> Failure:
    """Return the failure for an `error` that kept the API's answer from arriving."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Failure(
            title="The prediction service is too slow",
            what_happened="It took the request, but no answer came in time.",
            what_to_do=f"{_TRY_AGAIN} {_REPORT}",
            request_id=request_id,
        )
    return Failure(
        title="The prediction service cannot be reached",
        what_happened=f"Nothing answers at {api_url}, so nothing was predicted.",
        what_to_do=f"{_TRY_AGAIN} If it stays away, tell whoever runs it.",
        request_id=request_id,
    )


def _not_our_api(response: httpx.Response, request_id: str) -> Failure:
    return Failure(
        title="The answer could not be understood",
        what_happened="Something answered, but not with a prediction.",
        what_to_do="Tell whoever runs this service that API_URL seems to lead to something else.",
        request_id=request_id,
        transaction_id=response.headers.get("x-transaction-id"),
    )

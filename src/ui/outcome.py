"""What became of a request to the API, in terms that a visitor understands."""

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
    label: str = ""
    """The field's name in the form, once it is known who reads it."""


class Problem(BaseModel):
    """The part of an RFC 9457 document that the page shows."""

    title: str = ""
    detail: str = ""
    transaction_id: str | None = None
    errors: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer; the template `parts/failure.html` shows it in the visitor's language."""

    title: str
    """Key of a text, as the next two."""
    what_happened: str
    what_to_do: tuple[str, ...]
    summary: str
    """What happened, in English and one line: for logs and programs."""
    request_id: str
    """The X-Request-ID that was sent."""
    transaction_id: str | None = None
    """The API's own id, when it got as far as giving one."""
    faults: tuple[Fault, ...] = ()
    status: int | None = None
    """The API's status; None when no answer came."""
    said: str = ""
    """The API's own words, in English."""
    url: str = ""
    """Where it was asked."""

    @property
    def said_matters(self) -> bool:
        """Whether the API's own words are what a visitor needs."""
        return self.what_happened == "failure.said"

    def in_one_line(self) -> str:
        """Return it as one line of text, for programs."""
        reasons = "; ".join(f"{fault.field}: {fault.reason}" for fault in self.faults)
        reference = (
            f"transaction {self.transaction_id}" if self.transaction_id else f"request {self.request_id}"
        )
        return " — ".join((self.summary, *([reasons] if reasons else ()), reference))


Outcome = Prediction | Failure

_AGAIN = ("failure.try_again",)
_REPORT = ("failure.try_again", "failure.report")

_BY_STATUS: dict[int, tuple[str, tuple[str, ...]]] = {
    401: ("failure.sign_in", ("failure.ask_for_access",)),
    403: ("failure.not_open", ("failure.ask_for_access",)),
    404: ("failure.not_found", ()),
    409: ("failure.conflict", ()),
    413: ("failure.too_large", ("failure.shorten",)),
    422: ("failure.refused", ("failure.correct",)),
    429: ("failure.too_many", _AGAIN),
    503: ("failure.not_now", _AGAIN),
    504: ("failure.too_slow", _REPORT),
}
"""HTTP status of the API's answer → title, what to do."""


def outcome_of(response: httpx.Response, request_id: str) -> Outcome:
    """Return the prediction in the API's `response`, else the failure that it describes."""
    if response.status_code == httpx.codes.OK:
        try:
            return Prediction.model_validate_json(response.content)
        except ValidationError:
            return not_our_api(response, request_id)
    return refusal_of(response, request_id)


def refusal_of(response: httpx.Response, request_id: str) -> Failure:
    """Return the failure that the API's `response`, which is no success, describes."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem()
    status = response.status_code
    title, advice = _BY_STATUS.get(status, ("failure.no_answer", _REPORT))
    said = problem.detail or problem.title
    return Failure(
        title=title,
        what_happened=_what_happened(problem, said),
        what_to_do=advice,
        summary=said or f"The service answered {status}",
        request_id=request_id,
        transaction_id=problem.transaction_id or response.headers.get("x-transaction-id"),
        faults=problem.errors,
        status=status,
        said=said,
    )


def _what_happened(problem: Problem, said: str) -> str:
    if problem.errors:  # they say it better than the summary for programs
        return "failure.faults"
    return "failure.said" if said else "failure.status"


def failure_of(error: httpx.HTTPError | httpx.InvalidURL, api_url: str, request_id: str) -> Failure:
    """Return the failure for an `error` that kept the API's answer from arriving."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Failure(
            title="failure.too_slow",
            what_happened="failure.no_answer_in_time",
            what_to_do=_REPORT,
            summary="The service took the request, but no answer came in time",
            request_id=request_id,
            url=api_url,
        )
    return Failure(
        title="failure.away",
        what_happened="failure.nothing_answers",
        what_to_do=("failure.try_again", "failure.stays_away"),
        summary=f"Nothing answers at {api_url}",
        request_id=request_id,
        url=api_url,
    )


def not_our_api(response: httpx.Response, request_id: str) -> Failure:
    """Return the failure for a `response` that the API would not give."""
    return Failure(
        title="failure.not_understood",
        what_happened="failure.not_our_api",
        what_to_do=("failure.check_api_url",),
        summary="Something answered that is not this service's API",
        request_id=request_id,
        transaction_id=response.headers.get("x-transaction-id"),
        status=response.status_code,
    )

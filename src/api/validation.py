"""From a request body to records: strict, by the schema's own request model, with reasons in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError, conlist
from pydantic_core import ErrorDetails, from_json
from rapidfuzz import process

from vigie.api.problems import Problem
from vigie.schema import Feature, FeatureSchema, Value
from vigie.subject import SubjectRecord, Subjects
from vigie.telemetry.event import FieldError

LONGEST_ECHO = 40
"""Characters of a wrong value that a reason repeats."""
NEAR_NAME = 80
"""Similarity (0–100) from which an unknown name is taken for a misspelling."""

FIELDS_PER_FEATURE = 2
"""Fields per feature that a record may have to be told of each fault: both spellings of every one."""
MOST_NAMED = 20
"""Unknown fields of a batch that a refusal names."""

Record = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row of a batch that cannot be predicted."""

    row: object
    errors: list[FieldError]
    subject_id: str | None = None
    """Who it is about, as far as it says so."""


class RecordReader:
    """Reads request bodies into records of one schema."""

    def __init__(self, schema: FeatureSchema) -> None:
        self._schema = schema
        self._model: type[BaseModel] = schema.request_model
        self._all = TypeAdapter(conlist(self._model))
        self._subjects = Subjects(schema)
        self._all_with_subject = TypeAdapter(conlist(self._subjects.model))
        self._fewest_fields = len(schema.features)
        self._most_fields = FIELDS_PER_FEATURE * len(schema.features) + len(self._subjects.names)
        self._storage_name = {
            spelling: feature.name
            for feature in schema.features
            for spelling in (feature.name, feature.spaced_name)
        }

    def one(self, body: bytes) -> Record:
        """Return the record of a JSON object. Raises Problem (422) that names every field at fault."""
        # Every feature is there exactly once, so more colons than features mean a subject, a repeated key or
        # a colon inside a text: only then is it worth looking closer.
        colons = body.count(b":")
        if colons > self._fewest_fields:
            return self._longer(body, colons)
        try:
            record: dict[str, Value] = vars(self._model.model_validate_json(body))
        except ValidationError as error:
            return self._in_another_form(body, error)
        return record if self._subjects.feature is None else self._subjects.take(record)

    def _longer(self, body: bytes, colons: int) -> Record:
        if colons > self._most_fields:
            self._refuse_too_many(body)
        model = self._subjects.model if self._subjects.may_be_in(body) else self._model
        try:
            record: Record = self._subjects.take(vars(model.model_validate_json(body)))
        except ValidationError as error:
            record = self._in_another_form(body, error)
        beside = isinstance(record, SubjectRecord) and self._subjects.feature is None
        doubled = _repeated_keys(body) if colons > self._fewest_fields + beside else []
        if doubled:
            raise self._refusal(body, [FieldError(field=name, reason="is given twice") for name in doubled])
        return record

    def _in_another_form(self, body: bytes, error: ValidationError) -> Record:
        """Return the record if nothing but the form of its numbers is at fault, else raise Problem (422)."""
        if not any(_is_whole(detail) for detail in error.errors(include_url=False)):
            raise self._refusal(body, self._faults(error)) from None
        row = self.row(from_json(body))
        if isinstance(row, Rejected):
            raise self._refusal(body, row.errors) from None
        return row

    def _refusal(self, body: bytes, errors: list[FieldError]) -> Problem:
        """Return the problem of a refused record, which says who that is about where it can be read."""
        problem = invalid(errors)
        with suppress(orjson.JSONDecodeError):
            problem.subject_id = self._subjects.refused(orjson.loads(body))
        return problem

    def some(self, rows: Sequence[object]) -> list[Record | Rejected]:
        """Return the records of already parsed rows, each of them or why it is none."""
        subjects = self._subjects
        try:
            if subjects.feature is None and not subjects.named_in(rows[0]):
                return [vars(record) for record in self._all.validate_python(rows)]
            return [subjects.take(vars(record)) for record in self._all_with_subject.validate_python(rows)]
        except ValidationError:
            return [self.row(row) for row in rows]

    def row(self, row: object) -> Record | Rejected:
        """Return the record of one already parsed row, or why it is none."""
        if isinstance(row, dict) and len(row) > self._most_fields:
            return Rejected(row, [self._too_many(len(row))], self._subjects.refused(row))
        model = self._subjects.model if self._subjects.named_in(row) else self._model
        try:
            return self._subjects.take(vars(model.model_validate(row)))
        except ValidationError as error:
            details = error.errors(include_url=False)
            whole = {str(d["loc"][0]): int(d["input"]) for d in details if _is_whole(d)}
            if not whole or not isinstance(row, dict):
                return Rejected(row, self._faults(error), self._subjects.refused(row))
        again = self.row({**row, **whole})
        return Rejected(row, again.errors, again.subject_id) if isinstance(again, Rejected) else again

    def rows(self, body: bytes, most: int) -> list[object]:
        """Return the parsed rows of a batch: a JSON array, or {"records": [...]}.

        Raises Problem (422) when the body is neither, is empty, or has more than `most` rows.
        """
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise invalid([FieldError(field="", reason=_not_json(body, error))]) from None
        rows = content
        if isinstance(content, dict):
            unknown = sorted(content.keys() - {"records"})[:MOST_NAMED]
            if unknown:
                raise invalid(
                    [FieldError(field=name, reason="is not a field of a batch") for name in unknown]
                )
            if "records" not in content:
                raise invalid([FieldError(field="records", reason="is required")])
            rows = content["records"]
        if not isinstance(rows, list):
            reason = f"must be an array of records; got {_shown(rows)}"
            raise invalid([FieldError(field="records" if isinstance(content, dict) else "", reason=reason)])
        if not rows:
            raise invalid([FieldError(field="records", reason="must hold at least one record")])
        if len(rows) > most:
            reason = f"holds {len(rows)} records; at most {most} are taken at once (BATCH_MAX_RECORDS)"
            raise invalid([FieldError(field="records", reason=reason)])
        _refuse_repeated_keys(body, content, rows)
        return rows

    def _refuse_too_many(self, body: bytes) -> None:
        """Raise Problem (422) for an object of very many fields, before each of them is looked at."""
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            return
        if isinstance(content, dict) and len(content) > self._most_fields:
            raise invalid([self._too_many(len(content))])

    def _too_many(self, count: int) -> FieldError:
        features = len(self._schema.features)
        reason = f"must be an object with one value for each of {features} features; got {count} fields"
        return FieldError(field="", reason=reason)

    def _faults(self, error: ValidationError) -> list[FieldError]:
        return [self._fault(detail) for detail in error.errors(include_url=False)]

    def _fault(self, detail: ErrorDetails) -> FieldError:
        given = ".".join(str(part) for part in detail["loc"])
        name = self._storage_name.get(given, given)
        match detail["type"]:
            case "json_invalid":
                reason = f"is not valid JSON: {detail['ctx']['error']}"
            case "missing":
                reason = "is required"
            case "extra_forbidden":
                reason = self._unknown(given, name)
            case "value_error":
                reason = f"{detail['ctx']['error']}; got {_shown(detail['input'])}"
            case _ if name in self._schema.by_name:
                wanted = _expectation(self._schema.by_name[name])
                reason = f"must be {wanted}; got {_shown(detail['input'])}"
            case _:
                reason = f"must be an object with one value per feature; got {_shown(detail['input'])}"
        return FieldError(field=name, reason=reason)

    def _unknown(self, given: str, name: str) -> str:
        if name in self._schema.by_name:
            return "is given twice, in both spellings"
        known = (*self._schema.names, *self._subjects.names)
        near = process.extractOne(
            given.upper(), known, processor=lambda text: text.upper(), score_cutoff=NEAR_NAME
        )
        return "is not a feature of this model" + (f"; did you mean {near[0]}?" if near else "")


def _is_whole(detail: ErrorDetails) -> bool:
    """Say whether a number was refused only for its form: to JSON Schema, 60.0 is the integer 60."""
    value = detail["input"]
    return detail["type"] == "int_type" and isinstance(value, float) and value.is_integer()


def invalid(errors: Sequence[FieldError]) -> Problem:
    """Return the 422 problem of these faults."""
    count = f"{len(errors)} faults" if len(errors) > 1 else "1 fault"
    return Problem(422, f"The request is not valid: {count}; see errors", errors=errors)


def _expectation(feature: Feature) -> str:
    if feature.categories:
        return "one of " + ", ".join(feature.categories)
    if feature.type == "binary":
        return "0 or 1"
    low, high = feature.bounds
    kind = "a whole number" if feature.type == "integer" else "a finite number"
    return f"{kind} from {low:g} to {high:g}"


def _shown(value: object) -> str:
    """Return `value` as its sender wrote it, more or less, cut to a bearable length."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"


def _not_json(body: bytes, error: json.JSONDecodeError) -> str:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as undecodable:
        return f"is not valid JSON: not UTF-8 at byte {undecodable.start}"
    return f"is not valid JSON: {error.msg} at line {error.lineno} column {error.colno}"


def _refuse_repeated_keys(body: bytes, content: object, rows: Sequence[object]) -> None:
    """Raise Problem (422) for an object that holds one key twice; the parser would silently keep the last."""
    keys = sum(len(row) for row in rows if isinstance(row, dict)) + (isinstance(content, dict))
    if body.count(b":") > keys:
        doubled = _repeated_keys(body)
        if doubled:
            raise invalid([FieldError(field=name, reason="is given twice in one object") for name in doubled])


def _repeated_keys(body: bytes) -> list[str]:
    doubled: dict[str, None] = {}

    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for name, value in pairs:
            if name in seen:
                doubled[name] = None
            seen[name] = value
        return seen

    try:
        # Only the keys matter: numbers stay text, whatever their length.
        json.loads(body, object_pairs_hook=collect, parse_int=str, parse_float=str)
    except RecursionError:
        raise invalid([FieldError(field="", reason="is nested too deeply")]) from None
    return list(doubled)

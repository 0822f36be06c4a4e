"""From a request body to records: strict, by the schema's own request model, with reasons in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError, conlist
from pydantic_core import ErrorDetails, from_json
from rapidfuzz import process

from vigie.api.problems import Problem
from vigie.schema import Feature, FeatureSchema, Value
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


class RecordReader:
    """Reads request bodies into records of one schema."""

    def __init__(self, schema: FeatureSchema) -> None:
        self._schema = schema
        self._model: type[BaseModel] = schema.request_model
        self._all = TypeAdapter(conlist(self._model))
        self._most_fields = FIELDS_PER_FEATURE * len(schema.features)
        self._storage_name = {
            spelling: feature.name
            for feature in schema.features
            for spelling in (feature.name, feature.spaced_name)
        }

    def one(self, body: bytes) -> Record:
        """Return the record of a JSON object. Raises Problem (422) that names every field at fault."""
        if body.count(b":") > self._most_fields:
            self._refuse_too_many(body)
        try:
            record: Record = vars(self._model.model_validate_json(body))
        except ValidationError as error:
            if not any(_is_whole(detail) for detail in error.errors(include_url=False)):
                raise invalid(self._faults(error)) from None
            row = self.row(from_json(body))
            if isinstance(row, Rejected):
                raise invalid(row.errors) from None
            record = row
        # Every field is there exactly once, so more colons than fields mean a repeated key or a
        # colon inside a text: only then is it worth looking closer.
        if body.count(b":") > len(self._schema.features):
            doubled = _repeated_keys(body)
            if doubled:
                raise invalid([FieldError(field=name, reason="is given twice") for name in doubled])
        return record

    def some(self, rows: Sequence[object]) -> list[Record | Rejected]:
        """Return the records of already parsed rows, each of them or why it is none."""
        try:
            return [vars(record) for record in self._all.validate_python(rows)]
        except ValidationError:
            return [self.row(row) for row in rows]

    def row(self, row: object) -> Record | Rejected:
        """Return the record of one already parsed row, or why it is none."""
        if isinstance(row, dict) and len(row) > self._most_fields:
            return Rejected(row, [self._too_many(len(row))])
        try:
            return vars(self._model.model_validate(row))
        except ValidationError as error:
            details = error.errors(include_url=False)
            whole = {str(d["loc"][0]): int(d["input"]) for d in details if _is_whole(d)}
            if not whole or not isinstance(row, dict):
                return Rejected(row, self._faults(error))
        again = self.row({**row, **whole})
        return Rejected(row, again.errors) if isinstance(again, Rejected) else again

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
            case _ if name in self._schema.by_name:
                wanted = _expectation(self._schema.by_name[name])
                reason = f"must be {wanted}; got {_shown(detail['input'])}"
            case _:
                reason = f"must be an object with one value per feature; got {_shown(detail['input'])}"
        return FieldError(field=name, reason=reason)

    def _unknown(self, given: str, name: str) -> str:
        if name in self._schema.by_name:
            return "is given twice, in both spellings"
        near = process.extractOne(
            given.upper(), self._schema.names, processor=lambda text: text.upper(), score_cutoff=NEAR_NAME
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

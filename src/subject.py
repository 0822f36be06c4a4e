"""Who a record is about: a name that comes beside its features, and stays beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
)

from vigie.schema import FeatureSchema, Value

SUBJECT_ID: Final = "subject_id"
"""The field that every model takes; a schema may name another (`subject`) that means the same."""
LONGEST: Final = 128
"""Characters of a subject's id."""
SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""Whole numbers that every JSON parser here reads as they are."""


class SubjectRecord(dict[str, Value]):
    """A record that says who it is about. To the model it is a record like any other."""

    __slots__ = ("subject_id",)

    def __init__(self, values: Mapping[str, Value], subject_id: str) -> None:
        super().__init__(values)
        self.subject_id = subject_id


def subject_of(record: object) -> str | None:
    """Return who `record` is about; None when it does not say."""
    return record.subject_id if isinstance(record, SubjectRecord) else None


def subject_id(value: object) -> str:
    """Return the id as it is stored: 17 and "17" are one. Raises ValueError for what is none."""
    if isinstance(value, str) and 1 <= len(value) <= LONGEST:
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # to JSON Schema, 17.0 is the integer 17
    if isinstance(value, int) and not isinstance(value, bool) and SMALLEST <= value <= LARGEST:
        return str(value)
    raise ValueError(f"must be a text of 1 to {LONGEST} characters or a whole number")


SubjectId = Annotated[
    str,
    PlainValidator(subject_id),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": LONGEST},
                {"type": "integer", "minimum": SMALLEST, "maximum": LARGEST},
            ]
        }
    ),
]


class Subjects:
    """How records of one schema name their subject."""

    def __init__(self, schema: FeatureSchema) -> None:
        own = schema.subject
        self.feature = own if own in schema.by_name else None
        """The input that is the subject's id; then a client names it nowhere else."""
        given = () if self.feature else dict.fromkeys(name for name in (SUBJECT_ID, own) if name)
        self.names: tuple[str, ...] = tuple(name for name in given if name not in schema.by_name)
        """Names under which it may come beside the features."""
        self.model: type[BaseModel] = _with_subject(schema, self.names)
        """The request model, with the subject's fields."""
        self._keys = frozenset(self.names)
        self._marks = tuple(json.dumps(name).encode() for name in self.names)

    def may_be_in(self, body: bytes) -> bool:
        """Whether a record of this JSON text may name its subject beside its features."""
        return any(mark in body for mark in self._marks)

    def named_in(self, row: object) -> bool:
        """Whether the parsed `row` names its subject beside its features."""
        return isinstance(row, dict) and not self._keys.isdisjoint(row)

    def take(self, values: dict[str, Value]) -> dict[str, Value]:
        """Return valid `values` as a record, the subject's fields taken out of them."""
        if self.feature is not None:
            return SubjectRecord(values, str(values[self.feature]))
        given = [value for name in self.names if (value := values.pop(name, None)) is not None]
        return SubjectRecord(values, str(given[0])) if given else values

    def refused(self, row: object) -> str | None:
        """Return whom a record that is not valid is about; None when it does not say, or not validly."""
        if isinstance(row, dict):
            for name in (self.feature,) if self.feature else self.names:
                try:
                    return subject_id(row[name])
                except (KeyError, ValueError):
                    continue
        return None


def _with_subject(schema: FeatureSchema, names: tuple[str, ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (
            SubjectId,
            Field(
                default=None,
                description="Who the record is about: kept with the prediction, searchable, no input",
                json_schema_extra=_without_default,
            ),
        )
        for name in names
    }
    validators: dict[str, Callable[..., Any]] = {}
    if len(names) > 1:
        validators["_once"] = field_validator(names[1])(_given_once)
    return create_model(
        "Record",
        __base__=schema.request_model,
        __doc__=schema.description.en,
        __validators__=validators,
        **fields,
    )


def _given_once(value: str, info: ValidationInfo) -> str:
    if info.data.get(SUBJECT_ID) is not None:
        raise ValueError(f"is given beside {SUBJECT_ID}, which means the same")
    return value


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)

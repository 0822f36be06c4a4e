"""From the body of POST /feedback to outcomes: strict, with reasons in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import orjson

from vigie.api.validation import invalid
from vigie.schema import FeatureSchema
from vigie.telemetry.event import FieldError
from vigie.telemetry.stream.outcomes import MOST_OUTCOMES

FIELDS: Final = ("transaction_id", "label", "at", "correct")
LONGEST_ECHO: Final = 60
"""Characters of a wrong value that a reason repeats."""
EARLIEST_YEAR: Final = 1980
LATEST_YEAR: Final = 2199
"""The store's times in nanoseconds reach from 1677 to 2262."""
POSSIBLE_YEARS: Final = "^(19[89][0-9]|2[01][0-9]{2})-"
"""The same as a pattern, for the documentation."""
_UUID_CHARACTERS: Final = 36


@dataclass(frozen=True, slots=True)
class Given:
    """One valid outcome, as it came."""

    transaction_id: str
    label: str
    position: int
    at: str | None
    """UTC with microseconds; None: now."""
    correct: bool
    """Whether it may take the place of another label."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One item that is no outcome."""

    transaction_id: str | None
    errors: tuple[FieldError, ...]


Item = Given | Refused


def read_feedback(body: bytes, schema: FeatureSchema) -> Given | list[Item]:
    """Return the outcome of a JSON object, or the items of an array or of {"records": [...]}.

    Raises Problem (422) for what is none of them, for a single outcome that is not valid, and for a list
    that is empty or has more than 1,000 items.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = f"is not valid JSON: {error.msg} at line {error.lineno} column {error.colno}"
        raise invalid([_fault("", reason)]) from None
    if isinstance(content, dict) and "records" not in content:
        item = _item(content, schema)
        if isinstance(item, Refused):
            raise invalid(item.errors)
        return item
    if isinstance(content, dict) and len(content) > 1:
        unknown = sorted(content.keys() - {"records"})
        raise invalid([_fault(name, "is not a field of a list of outcomes") for name in unknown])
    items = content["records"] if isinstance(content, dict) else content
    if not isinstance(items, list) or not items:
        raise invalid([_fault("records", f"must be a list of 1 to {MOST_OUTCOMES} outcomes")])
    if len(items) > MOST_OUTCOMES:
        raise invalid([_fault("records", f"holds {len(items)} outcomes; at most {MOST_OUTCOMES} are taken")])
    return [_item(item, schema) for item in items]


def _item(item: object, schema: FeatureSchema) -> Item:
    if not isinstance(item, dict):
        return Refused(None, (_fault("", f"must be an object; got {_shown(item)}"),))
    errors = [
        _fault(str(name), "is not a field of an outcome") for name in sorted(item) if name not in FIELDS
    ]
    transaction_id, at, correct = _transaction_id(item, errors), _at(item, errors), item.get("correct", False)
    if not isinstance(correct, bool):
        errors.append(_fault("correct", f"must be true or false; got {_shown(correct)}"))
    position = _position(item, schema.target.classes, errors)
    if errors or transaction_id is None or position is None:
        return Refused(transaction_id, tuple(errors))
    return Given(transaction_id, schema.target.classes[position], position, at, correct is True)


def _transaction_id(item: Mapping[str, object], errors: list[FieldError]) -> str | None:
    given = item.get("transaction_id")
    if isinstance(given, str) and len(given) == _UUID_CHARACTERS:
        try:
            return str(UUID(given))
        except ValueError:
            pass
    said = "is required" if given is None else f"must be the UUID of a prediction; got {_shown(given)}"
    errors.append(_fault("transaction_id", said))
    return None


def _position(item: Mapping[str, object], classes: Sequence[str], errors: list[FieldError]) -> int | None:
    given = item.get("label")
    if isinstance(given, str) and given in classes:
        return classes.index(given)
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(classes):
        return given
    wanted = f"must be one of {', '.join(classes)}, or its position from 0 to {len(classes) - 1}"
    errors.append(_fault("label", "is required" if given is None else f"{wanted}; got {_shown(given)}"))
    return None


def _at(item: Mapping[str, object], errors: list[FieldError]) -> str | None:
    given = item.get("at")
    if given is None:
        return None
    try:
        when = datetime.fromisoformat(given) if isinstance(given, str) and "T" in given.upper() else None
        if when is not None and when.tzinfo is not None and EARLIEST_YEAR <= when.year <= LATEST_YEAR:
            return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except ValueError:
        pass
    wanted = (
        "must be a time of RFC 3339 with its offset, such as 2026-11-20T10:30:45Z, "
        f"from {EARLIEST_YEAR} to {LATEST_YEAR}"
    )
    errors.append(_fault("at", f"{wanted}; got {_shown(given)}"))
    return None


def _fault(field: str, reason: str) -> FieldError:
    return FieldError(field=field, reason=reason)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"

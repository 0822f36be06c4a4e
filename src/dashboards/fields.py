"""Whether every field that the dashboards name exists, with a type that its use allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vigie.dashboards.specification import Condition, Panel, Specification, SpecificationError
from vigie.schema import FeatureSchema

FieldTypes = Mapping[str, Mapping[str, str]]
"""Index (alias without prefix) → dotted path of a field → its type in the store."""

_NUMBERS: Final = frozenset({"integer", "long", "short", "double", "float"})
_WHOLE: Final = frozenset({"keyword", "boolean"})
_DATES: Final = frozenset({"date", "date_nanos"})
_INDEXED: Final = _NUMBERS | _WHOLE | _DATES
ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "time": _DATES,
    "terms": _NUMBERS | _WHOLE,
    "ranges": _NUMBERS,
    "average": _NUMBERS,
    "sum": _NUMBERS,
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "percentile": _NUMBERS,
    "counter_rate": _NUMBERS,
    "unique_count": _INDEXED,
    "condition": _INDEXED,
    "control": frozenset({"keyword"}),
}
"""Use of a field → the types it may have."""


@dataclass(frozen=True, slots=True)
class FieldUse:
    """A field that something names."""

    user: str
    """Such as `panel latency_over_time`."""
    index: str
    field: str
    use: str


def field_types(
    mappings: Mapping[str, Mapping[str, Mapping[str, Any]]], schema: FeatureSchema, message_index: str
) -> FieldTypes:
    """Return the type of each field of `mappings` (index → field → mapping).

    The inputs of `schema` are added to `message_index`, where each model brings its own.
    """
    types = {index: dict(_flat(fields)) for index, fields in mappings.items()}
    inputs = schema.index_properties()
    types[message_index] |= {f"input_data.{name}": field["type"] for name, field in inputs.items()}
    return types


def _flat(fields: Mapping[str, Mapping[str, Any]], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, mapping in fields.items():
        if "properties" in mapping:
            yield from _flat(mapping["properties"], f"{prefix}{name}.")
        elif mapping.get("enabled") is not False:
            yield f"{prefix}{name}", mapping["type"]


def field_uses(specification: Specification) -> Iterator[FieldUse]:
    """Yield each field that a panel or a control names."""
    for dashboard in specification.dashboards:
        for control in dashboard.controls:
            user = f"control {control.title} of dashboard {dashboard.id}"
            yield FieldUse(user, control.index, control.field, "control")
        for panel in dashboard.panels:
            for field, use in panel_fields(panel):
                yield FieldUse(f"panel {panel.id}", panel.index, field, use)


def panel_fields(panel: Panel) -> Iterator[tuple[str, str]]:
    """Yield each field that `panel` names, with its use."""
    conditions: list[Condition] = [*panel.where]
    for buckets in panel.buckets:
        yield buckets.field, buckets.by
    for metric in panel.metrics:
        conditions += [*metric.where, *metric.among]
        if metric.field is not None:
            yield metric.field, metric.operation
    for condition in conditions:
        yield condition.field, "condition"


def field_faults(specification: Specification, types: FieldTypes) -> list[str]:
    """Return a sentence for each use of a field that does not exist or has a type the use does not allow."""
    faults = []
    for one in field_uses(specification):
        fields = types.get(one.index)
        if fields is None:
            faults.append(f"{one.user}: there is no index {one.index}")
        elif one.field not in fields:
            faults.append(f"{one.user}: {one.index} has no field {one.field} (used for {one.use})")
        elif fields[one.field] not in ALLOWED[one.use]:
            allowed = ", ".join(sorted(ALLOWED[one.use]))
            faults.append(
                f"{one.user}: {one.field} of {one.index} is {fields[one.field]}; {one.use} needs {allowed}"
            )
    return list(dict.fromkeys(faults))


def check_fields(specification: Specification, types: FieldTypes) -> None:
    """Raise SpecificationError naming every panel and field that does not fit the mappings."""
    if faults := field_faults(specification, types):
        raise SpecificationError("; ".join(faults))

"""Conditions in Kibana's query language."""

from __future__ import annotations

from collections.abc import Sequence

from vigie.dashboards.specification import Condition, Scalar


def kql(conditions: Sequence[Condition]) -> str:
    """Return the KQL of documents that fulfil every condition; empty for no condition."""
    return " and ".join(map(_clause, conditions))


def _clause(condition: Condition) -> str:
    if condition.exists is not None:
        return f"{'' if condition.exists else 'not '}{condition.field}: *"
    values = condition.one_of or condition.none_of
    alternatives = " or ".join(map(_literal, values))
    text = f"{condition.field}: {alternatives if len(values) == 1 else f'({alternatives})'}"
    return f"not {text}" if condition.none_of else text


def _literal(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

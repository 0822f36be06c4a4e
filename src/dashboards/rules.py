"""The alert rules: `kibana/alerts.yaml`, read strictly, and the Kibana rules that are made of it.

Written for what Kibana 8.3 has on the free licence: `.index-threshold` aggregates a field and cannot
filter, `.es-query` filters and only counts.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vigie.dashboards.fields import FieldUse
from vigie.errors import VigieError

ALERTS_FILE: Final = "alerts.yaml"
TIME_FIELD: Final = "@timestamp"
MOST_GROUPS: Final = 10
Json = dict[str, Any]
Severity = Literal["warning", "critical"]
Aggregate = Literal["avg", "max", "min"]
_AGGREGATES: Final[Mapping[Aggregate, tuple[str, str]]] = {
    "avg": ("mean", "average"),
    "max": ("maximum", "maximum"),
    "min": ("minimum", "minimum"),
}
"""How an aggregate is called in a message, and as a use of a field."""


class RulesError(VigieError):
    """The file of the rules does not fit; the message names file, place and reason."""


class Declared(BaseModel):
    """Part of the file: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Rule(Declared):
    """What every rule has."""

    id: Identifier
    title: str
    index: str
    window_minutes: Annotated[int, Field(ge=1)]


class MetricRule(Rule):
    """Fires when the aggregate of a field over the window is above a threshold."""

    field: str
    aggregate: Aggregate
    group_by: str | None = None
    unit: str
    warning: float | None = None
    """None: there is nothing between right and critical."""
    critical: float

    @property
    def thresholds(self) -> dict[Severity, float]:
        """Its thresholds, the milder first."""
        mild: dict[Severity, float] = {} if self.warning is None else {"warning": self.warning}
        return {**mild, "critical": self.critical}

    @model_validator(mode="after")
    def _in_order(self) -> MetricRule:
        if self.warning is not None and self.critical <= self.warning:
            raise ValueError("critical must be above warning")
        return self


class QueryRule(Rule):
    """Counts the documents that match within the window."""

    where: Annotated[Mapping[str, str | bool], Field(min_length=1)]
    severity: Severity


class SilenceRule(QueryRule):
    """Fires when no document matches within the window."""


class OccurrenceRule(QueryRule):
    """Fires when any document matches within the window."""

    remedy: str
    """What to do then."""


class AlertRules(Declared):
    """The whole file."""

    check_seconds: Annotated[int, Field(ge=10)]
    metric: tuple[MetricRule, ...] = ()
    silence: tuple[SilenceRule, ...] = ()
    occurrence: tuple[OccurrenceRule, ...] = ()

    @property
    def queries(self) -> tuple[QueryRule, ...]:
        """The rules that count what a query finds."""
        return (*self.silence, *self.occurrence)

    @model_validator(mode="after")
    def _distinct(self) -> AlertRules:
        ids = [rule.id for rule in (*self.metric, *self.queries)]
        if len(set(ids)) < len(ids):
            raise ValueError("two rules have the same id")
        return self

    def field_uses(self) -> Iterator[FieldUse]:
        """Yield each field that a rule names."""
        for rule in self.metric:
            user = f"rule {rule.id}"
            yield FieldUse(user, rule.index, TIME_FIELD, "time")
            yield FieldUse(user, rule.index, rule.field, _AGGREGATES[rule.aggregate][1])
            if rule.group_by is not None:
                yield FieldUse(user, rule.index, rule.group_by, "terms")
        for query in self.queries:
            user = f"rule {query.id}"
            yield FieldUse(user, query.index, TIME_FIELD, "time")
            yield from (FieldUse(user, query.index, field, "condition") for field in query.where)


@dataclass(frozen=True, slots=True)
class KibanaRule:
    """A rule as Kibana's API takes it."""

    id: str
    name: str
    body: Json
    """What an update sends."""
    fixed: Json
    """What only the creation sends beside it."""


def load_rules(path: Path) -> AlertRules:
    """Read the rules. Raises RulesError naming file, place and reason."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return AlertRules.model_validate(content)
    except OSError as error:
        raise RulesError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise RulesError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise RulesError(f"{path}: {'; '.join(faults)}") from error


def kibana_rules(rules: AlertRules, connector_id: str, prefix: str = "") -> list[KibanaRule]:
    """Return the Kibana rules, whose alerts go through the `.index` connector `connector_id`.

    `prefix` is that of the indices (ES_INDEX_PREFIX): each has rules of its own.
    """
    made = []
    for rule in rules.metric:
        for severity, threshold in rule.thresholds.items():
            made.append(_metric_rule(rule, severity, threshold, connector_id, prefix))
    made += [_silence_rule(rule, connector_id, prefix) for rule in rules.silence]
    made += [_occurrence_rule(rule, connector_id, prefix) for rule in rules.occurrence]
    schedule = {"interval": f"{rules.check_seconds}s"}
    return [
        KibanaRule(one.id, one.name, {**one.body, "schedule": schedule}, {**one.fixed, "consumer": "alerts"})
        for one in made
    ]


def _metric_rule(
    rule: MetricRule, severity: str, threshold: float, connector_id: str, prefix: str
) -> KibanaRule:
    params = {
        "index": [f"{prefix}{rule.index}"],
        "timeField": TIME_FIELD,
        "aggType": rule.aggregate,
        "aggField": rule.field,
        **_grouping(rule.group_by),
        "timeWindowSize": rule.window_minutes,
        "timeWindowUnit": "m",
        "thresholdComparator": ">",
        "threshold": [threshold],
    }
    what = f"{_AGGREGATES[rule.aggregate][0]} of {rule.field} over {rule.window_minutes} min"
    where = f" ({rule.group_by} {{{{context.group}}}})" if rule.group_by else ""
    document = {"rule": rule.id, "severity": severity, "metric": rule.field, "threshold": threshold}
    fired = {
        **document,
        "value": "{{context.value}}",
        "message": f"{rule.title}: {what} is {{{{context.value}}}} {rule.unit}, "
        f"above {threshold:g} {rule.unit}{where}",
        "state": "active",
    }
    over = {
        **document,
        "message": f"{rule.title}: over; {what} is not above {threshold:g} {rule.unit} any more",
        "state": "recovered",
    }
    actions = [_action("threshold met", connector_id, fired), _action("recovered", connector_id, over)]
    return _rule(f"{rule.id}_{severity}", f"{rule.title} ({severity})", ".index-threshold",
                 params, actions, prefix)  # fmt: skip


def _silence_rule(rule: SilenceRule, connector_id: str, prefix: str) -> KibanaRule:
    fired = f"no document with {_named(rule)} for {rule.window_minutes} min"
    return _query_rule(rule, ("<", 1), fired, "documents come again", connector_id, prefix)


def _occurrence_rule(rule: OccurrenceRule, connector_id: str, prefix: str) -> KibanaRule:
    fired = f"{{{{context.value}}}} with {_named(rule)} in {rule.window_minutes} min; {rule.remedy}"
    return _query_rule(rule, (">", 0), fired, "no new ones", connector_id, prefix)


def _query_rule(
    rule: QueryRule, fires: tuple[str, int], fired: str, over: str, connector_id: str, prefix: str
) -> KibanaRule:
    comparator, threshold = fires
    conditions = [{"term": {field: value}} for field, value in rule.where.items()]
    params = {
        "index": [f"{prefix}{rule.index}"],
        "timeField": TIME_FIELD,
        "esQuery": orjson.dumps({"query": {"bool": {"filter": conditions}}}).decode(),
        "size": 1,
        "timeWindowSize": rule.window_minutes,
        "timeWindowUnit": "m",
        "thresholdComparator": comparator,
        "threshold": [threshold],
    }
    document = {"rule": rule.id, "severity": rule.severity, "metric": "documents", "threshold": threshold}
    met = {
        **document,
        "value": "{{context.value}}",
        "message": f"{rule.title}: {fired}",
        "state": "active",
    }
    recovered = {**document, "message": f"{rule.title}: over; {over}", "state": "recovered"}
    actions = [_action("query matched", connector_id, met), _action("recovered", connector_id, recovered)]
    return _rule(rule.id, f"{rule.title} ({rule.severity})", ".es-query", params, actions, prefix)


def _named(rule: QueryRule) -> str:
    return " and ".join(f"{field} {_written(value)}" for field, value in rule.where.items())


def _written(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value


def _grouping(field: str | None) -> Json:
    if field is None:
        return {"groupBy": "all"}
    return {"groupBy": "top", "termField": field, "termSize": MOST_GROUPS}


def _action(group: str, connector_id: str, document: Json) -> Json:
    return {"group": group, "id": connector_id, "params": {"documents": [document]}}


def _rule(key: str, title: str, kind: str, params: Json, actions: list[Json], prefix: str) -> KibanaRule:
    name = f"{prefix}{title}"
    body = {
        "name": name,
        "tags": ["vigie"],
        "params": params,
        "actions": actions,
        "notify_when": "onActionGroupChange",
        "throttle": None,
    }
    return KibanaRule(rule_id(key, prefix), name, body, {"rule_type_id": kind, "enabled": True})


def rule_id(key: str, prefix: str = "") -> str:
    """Return the stable id of a rule.

    Kibana takes ids of one's own for rules only when they look like its random ones (UUID version 4).
    """
    digest = hashlib.sha256(f"{prefix}/rule/{key}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))

"""The alert rules: thresholds as promised, bodies that Kibana takes, and conditions that fire when they should."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from elasticsearch import Elasticsearch
from tests.servers import ROOT, StoreServer

from vigie.dashboards.fields import ALLOWED, FieldTypes
from vigie.dashboards.rules import AlertRules, KibanaRule, RulesError, kibana_rules, load_rules, rule_id
from vigie.indices.mappings import ALERT_FIELDS, ALERTS
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.templates import Provisioner
from vigie.schema import FeatureSchema
from vigie.settings import Settings

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONNECTOR = "c0ffee"
Documents = Sequence[tuple[str, float, dict[str, Any]]]
"""Index, age in seconds, fields."""
METRICS = {
    "latency": ("latency_ms", "ms", 5, 100, 200),
    "cpu_time": ("cpu_time_ms", "ms", 5, 100, 200),
    "inference_time": ("inference_time_ms", "ms", 5, 50, 100),
    "memory_delta": ("memory_delta_mb", "MB", 5, 50, 100),
}


@pytest.fixture(scope="module")
def rules() -> AlertRules:
    """The committed rules."""
    return load_rules(ROOT / "kibana" / "alerts.yaml")


def test_the_thresholds_are_those_promised(rules: AlertRules) -> None:
    """Mean latency and CPU time 100 / 200 ms, inference 50 / 100 ms, memory change 50 / 100 MB, over 5 min."""
    found = {
        rule.id: (rule.field, rule.unit, rule.window_minutes, rule.warning, rule.critical)
        for rule in rules.metric
    }
    assert {name: found[name] for name in METRICS} == METRICS
    aggregates = {rule.id: rule.aggregate for rule in rules.metric}
    assert aggregates == {
        "latency": "avg", "cpu_time": "avg", "inference_time": "avg", "memory_delta": "max", "backlog": "min",
        "ledger_imbalance": "max",
    }  # fmt: skip
    assert {(rule.where["service"], rule.window_minutes, rule.severity) for rule in rules.silence} == {
        (service, 2, "critical") for service in ("api", "ui", "pipeline")
    }


def test_every_field_exists_with_a_type_that_its_use_allows(rules: AlertRules, types: FieldTypes) -> None:
    """A renamed field fails here, with the rule's name."""
    faults = [
        f"{use.user}: {use.field} of {use.index} cannot be used as {use.use}"
        for use in rules.field_uses()
        if types[use.index].get(use.field) not in ALLOWED[use.use]
    ]
    assert faults == []


def test_ids_are_stable_and_of_the_form_kibana_takes(rules: AlertRules) -> None:
    """A second provisioning meets its own rules; another prefix never does."""
    made = [rule.id for rule in kibana_rules(rules, CONNECTOR)]
    assert made == [rule.id for rule in kibana_rules(rules, "another connector")]
    assert len(set(made)) == 17
    assert {uuid.UUID(key).version for key in made} == {4}
    assert not set(made) & {rule.id for rule in kibana_rules(rules, CONNECTOR, "b-")}
    assert rule_id("latency_warning") in made


def test_a_rules_body_is_what_kibana_8_3_takes(rules: AlertRules) -> None:
    """One metric and one silence rule, whole."""
    made = {rule.id: rule for rule in kibana_rules(rules, CONNECTOR, "p-")}
    latency = made[rule_id("latency_critical", "p-")]
    assert latency.fixed == {"rule_type_id": ".index-threshold", "enabled": True, "consumer": "alerts"}
    assert {name: value for name, value in latency.body.items() if name != "actions"} == {
        "name": "p-Predictions answer slowly (critical)",
        "tags": ["vigie"],
        "schedule": {"interval": "60s"},
        "notify_when": "onActionGroupChange",
        "throttle": None,
        "params": {
            "index": ["p-ml-api-message"], "timeField": "@timestamp", "aggType": "avg",
            "aggField": "latency_ms", "groupBy": "top", "termField": "status", "termSize": 10,
            "timeWindowSize": 5, "timeWindowUnit": "m", "thresholdComparator": ">", "threshold": [200],
        },
    }  # fmt: skip
    silence = made[rule_id("api_down", "p-")]
    assert silence.fixed["rule_type_id"] == ".es-query"
    assert orjson.loads(silence.body["params"].pop("esQuery")) == {
        "query": {"bool": {"filter": [{"term": {"doc_type": "service"}}, {"term": {"service": "api"}}]}}
    }
    assert silence.body["params"] == {
        "index": ["p-ml-api-perfs"], "timeField": "@timestamp", "size": 1, "timeWindowSize": 2,
        "timeWindowUnit": "m", "thresholdComparator": "<", "threshold": [1],
    }  # fmt: skip
    groups = [(action["group"], action["id"]) for action in silence.body["actions"]]
    assert groups == [("query matched", CONNECTOR), ("recovered", CONNECTOR)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("check_seconds: 60\nmetrics: []", "metrics: Extra inputs are not permitted"),
        ("check_seconds: [", "not valid YAML"),
        (
            "check_seconds: 60\nsilence:\n"
            + 2 * "- {id: a, title: t, index: i, where: {x: y}, window_minutes: 1, severity: warning}\n",
            "two rules have the same id",
        ),
        (
            "check_seconds: 60\nmetric:\n- {id: a, title: t, index: i, field: f, aggregate: avg, "
            "window_minutes: 1, unit: ms, warning: 2, critical: 1}",
            "critical must be above warning",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, content: str, why: str) -> None:
    """File, place and reason are told."""
    path = tmp_path / "alerts.yaml"
    path.write_text(content)
    with pytest.raises(RulesError, match=f"{path}: .*{why}"):
        load_rules(path)
    with pytest.raises(RulesError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")


# The conditions, evaluated on a store as Kibana does


@dataclass
class Evaluating:
    """A provisioned store, and the rules over it."""

    client: Elasticsearch
    prefix: str
    rules: AlertRules

    def fill(self, documents: Documents) -> None:
        """Index documents of these ages."""
        for number, (index, age, fields) in enumerate(documents):
            when = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
            document = {"@timestamp": when, "producer": "p", "number": number, **fields}
            self.client.index(index=f"{self.prefix}{index}-2026.11.20", id=f"{number}", document=document)
        for index in ("ml-api-perfs", "ml-api-message", "ml-api-dead"):
            self.client.indices.refresh(index=f"{self.prefix}{index}")

    def firing(self, key: str) -> dict[str, float]:
        """Return group → value of the alerts that the rule `key` has at NOW."""
        (rule,) = (
            one
            for one in kibana_rules(self.rules, CONNECTOR, self.prefix)
            if one.id == rule_id(key, self.prefix)
        )
        return {
            group: value for group, value in self._values(rule).items() if _meets(value, rule.body["params"])
        }

    def _values(self, rule: KibanaRule) -> dict[str, float]:
        params = rule.body["params"]
        assert params["timeWindowUnit"] == "m"
        start = NOW - timedelta(minutes=params["timeWindowSize"])
        index = ",".join(params["index"])
        if rule.fixed["rule_type_id"] == ".es-query":
            window = {"range": {params["timeField"]: {"gte": start.isoformat(), "lte": NOW.isoformat()}}}
            query = {"bool": {"filter": [orjson.loads(params["esQuery"])["query"], window]}}
            return {"query matched": self.client.count(index=index, query=query)["count"]}
        metric = {"metric": {params["aggType"]: {"field": params["aggField"]}}}
        aggs: dict[str, Any] = metric
        if params["groupBy"] == "top":
            terms = {"field": params["termField"], "size": params["termSize"]}
            aggs = {"groups": {"terms": terms, "aggs": metric}}
        window = {"range": {params["timeField"]: {"gte": start.isoformat(), "lt": NOW.isoformat()}}}
        query = {"bool": {"filter": [window]}}
        found = self.client.search(index=index, size=0, query=query, aggs=aggs)["aggregations"]
        if params["groupBy"] == "all":
            return _present({"all documents": found["metric"]["value"]})
        return _present({one["key"]: one["metric"]["value"] for one in found["groups"]["buckets"]})


def _present(values: dict[str, float | None]) -> dict[str, float]:
    return {group: value for group, value in values.items() if value is not None}


def _meets(value: float, params: dict[str, Any]) -> bool:
    (threshold,) = params["threshold"]
    return bool({">": value > threshold, "<": value < threshold}[params["thresholdComparator"]])


@pytest.fixture
def evaluating(
    store_server: StoreServer,
    settings_for: Callable[..., Settings],
    schema: FeatureSchema,
    rules: AlertRules,
) -> Iterator[Evaluating]:
    """The rules over a provisioned store with a prefix of the test's own."""
    settings = settings_for(ES_HOST="127.0.0.1", ES_PORT=store_server.port)
    with connect_store(settings.store) as client:
        list(Provisioner(client, settings.store).run(schema, NOW))
        yield Evaluating(client, settings.store.es_index_prefix, rules)


def prediction(age: float, latency: float, status: str = "ok") -> tuple[str, float, dict[str, Any]]:
    """A document of ml-api-message."""
    return "ml-api-message", age, {"doc_type": "prediction", "status": status, "latency_ms": latency}


def request(age: float, **fields: float) -> tuple[str, float, dict[str, Any]]:
    """A document of a request in ml-api-perfs."""
    return "ml-api-perfs", age, {"doc_type": "request", **fields}


def report(age: float, service: str, **fields: float) -> tuple[str, float, dict[str, Any]]:
    """A service's report."""
    return "ml-api-perfs", age, {"doc_type": "service", "service": service, **fields}


def letter(age: float, state: str) -> tuple[str, float, dict[str, Any]]:
    """A dead letter."""
    return "ml-api-dead", age, {"doc_type": "dead", "state": state}


@pytest.mark.parametrize("key", ["cpu_time", "inference_time"])
def test_a_mean_above_the_threshold_fires(evaluating: Evaluating, key: str) -> None:
    """The mean of the requests within the window counts; other documents have no such field."""
    field, _, _, warning, _ = METRICS[key]
    slow, quick = request(299, **{field: 3.0 * warning}), request(1, **{field: 0.0})
    evaluating.fill([slow, quick, ("ml-api-perfs", 2, {"doc_type": "function", "own_ms": 9e9})])
    assert evaluating.firing(f"{key}_warning") == {"all documents": pytest.approx(1.5 * warning)}
    assert evaluating.firing(f"{key}_critical") == {}


@pytest.mark.parametrize("key", ["cpu_time", "inference_time"])
def test_a_mean_at_the_threshold_fires_nothing(evaluating: Evaluating, key: str) -> None:
    """Neither the threshold itself nor what lies before the window fires."""
    field, _, _, warning, _ = METRICS[key]
    slow, quick = request(299, **{field: 2.0 * warning}), request(1, **{field: 0.0})
    evaluating.fill([slow, quick, request(301, **{field: 100_000.0})])
    assert evaluating.firing(f"{key}_warning") == {}


def test_slow_answers_are_not_hidden_by_quick_refusals(evaluating: Evaluating) -> None:
    """Latency is looked at by status."""
    evaluating.fill(
        [prediction(5, 150), prediction(6, 170), *(prediction(7, 1, "refused") for _ in range(50))]
    )
    assert evaluating.firing("latency_warning") == {"ok": pytest.approx(160)}
    assert evaluating.firing("latency_critical") == {}


def test_quick_answers_fire_nothing(evaluating: Evaluating) -> None:
    """At the threshold itself nothing fires."""
    evaluating.fill([prediction(5, 50), prediction(6, 150), prediction(400, 5000)])
    assert evaluating.firing("latency_warning") == {}


def test_one_inference_that_takes_much_memory_fires(evaluating: Evaluating) -> None:
    """The maximum counts, whatever the others took."""
    evaluating.fill(
        [*(request(5, memory_delta_mb=0.0) for _ in range(20)), request(9, memory_delta_mb=120.0)]
    )
    assert evaluating.firing("memory_delta_warning") == {"all documents": 120.0}
    assert evaluating.firing("memory_delta_critical") == {"all documents": 120.0}


def test_memory_within_bounds_fires_nothing(evaluating: Evaluating) -> None:
    """Up to the threshold all is well."""
    evaluating.fill([request(5, memory_delta_mb=50.0), request(301, memory_delta_mb=500.0)])
    assert evaluating.firing("memory_delta_warning") == {}


def test_a_backlog_fires_when_it_is_not_worked_off(evaluating: Evaluating) -> None:
    """A peak that went away is none; one that stayed above for the whole window is, by service."""
    evaluating.fill(
        [
            *(report(age, "pipeline", backlog=1500 + age) for age in range(30, 300, 30)),
            report(40, "api", backlog=50_000),
            report(10, "api", backlog=3),
        ]
    )
    assert evaluating.firing("backlog_warning") == {"pipeline": 1530}
    assert evaluating.firing("backlog_critical") == {}


@pytest.mark.parametrize("service", ["api", "ui", "pipeline"])
def test_a_service_without_reports_for_two_minutes_is_down(evaluating: Evaluating, service: str) -> None:
    """The reports of others do not speak for it, nor do its own older ones."""
    others = [other for other in ("api", "ui", "pipeline") if other != service]
    evaluating.fill([report(121, service), *(report(20, other) for other in others), request(1)])
    assert evaluating.firing(f"{service}_down") == {"query matched": 0}
    for other in others:
        assert evaluating.firing(f"{other}_down") == {}


def test_an_event_that_is_not_accounted_for_fires_at_once(evaluating: Evaluating) -> None:
    """There is no harmless number of them: one is critical, none is right."""
    evaluating.fill([report(90, "pipeline", **{"ledger.unaccounted": 0}), report(60, "pipeline")])
    assert evaluating.firing("ledger_imbalance_critical") == {}
    evaluating.fill(
        [report(80, "pipeline"), report(70, "pipeline"), report(30, "pipeline", **{"ledger.unaccounted": 1})]
    )
    assert evaluating.firing("ledger_imbalance_critical") == {"all documents": 1}
    assert [rule.id for rule in evaluating.rules.metric if rule.warning is None] == ["ledger_imbalance"]


def test_a_dead_letter_fires(evaluating: Evaluating) -> None:
    """Only one that waits, and only while it is new."""
    evaluating.fill([letter(20, "replayed"), letter(30, "discarded"), letter(301, "waiting")])
    assert evaluating.firing("dead_letters") == {}
    evaluating.fill(
        [letter(20, "replayed"), letter(30, "discarded"), letter(301, "waiting"), letter(9, "waiting")]
    )
    assert evaluating.firing("dead_letters") == {"query matched": 1}


def judged(age: float, kind: str, *, alarm: bool) -> tuple[str, float, dict[str, Any]]:
    """A verdict on drift or quality."""
    return "ml-api-message", age, {"doc_type": kind, kind: {"alarm": alarm}}


@pytest.mark.parametrize(("kind", "minutes"), [("drift", 60), ("quality", 15)])
def test_an_alarm_of_the_model_fires(evaluating: Evaluating, kind: str, minutes: int) -> None:
    """A verdict with an alarm fires while it is new; one without, and one on something else, do not."""
    other = {"drift": "quality", "quality": "drift"}[kind]
    calm = [judged(20, kind, alarm=False), judged(60 * minutes + 1, kind, alarm=True)]
    evaluating.fill([*calm, judged(20, other, alarm=True)])
    assert evaluating.firing(kind) == {}
    assert evaluating.firing(other) == {"query matched": 1}
    evaluating.fill([*calm, judged(20, kind, alarm=True)])
    assert evaluating.firing(kind) == {"query matched": 1}


def test_an_alerts_document_fits_its_index(evaluating: Evaluating) -> None:
    """What the connector writes, its variables filled in as text, is found by number and by word."""
    written = 0
    for rule in kibana_rules(evaluating.rules, CONNECTOR, evaluating.prefix):
        for action in rule.body["actions"]:
            (document,) = action["params"]["documents"]
            assert set(document) | {"@timestamp", "value"} == set(ALERT_FIELDS)
            filled = orjson.dumps(document).decode().replace("{{context.value}}", "123.25")
            filled = filled.replace("{{context.group}}", "ok")
            assert "{{" not in filled
            evaluating.client.index(
                index=f"{evaluating.prefix}{ALERTS}",
                id=f"{written}",
                document={**orjson.loads(filled), "@timestamp": "2026-11-20T12:00:00.000Z"},
            )
            written += 1
    name = f"{evaluating.prefix}{ALERTS}"
    evaluating.client.indices.refresh(index=name)
    assert evaluating.client.count(index=name)["count"] == written == 34
    filters = [
        {"range": {"value": {"gte": 123}}},
        {"term": {"severity": "critical"}},
        {"term": {"state": "active"}},
    ]
    assert evaluating.client.count(index=name, query={"bool": {"filter": filters}})["count"] == 9

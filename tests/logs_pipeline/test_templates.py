"""Templates: applied again and again unharmed, and refused where two models disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from elasticsearch import Elasticsearch
from loguru import logger
from tests.servers import free_port
from tests.store_proxy import StoreProxy

from vigie.indices.mappings import DEAD_FIELDS, INDICES, index_mappings
from vigie.indices.store_client import connect_store
from vigie.logs_pipeline import templates
from vigie.logs_pipeline.provision import provision_store
from vigie.logs_pipeline.templates import Change, Provisioner, ProvisionError, check_types
from vigie.schema import Feature, FeatureSchema
from vigie.settings import Settings


@pytest.fixture
def settings(store_server: StoreProxy, settings_for: Callable[..., Settings]) -> Settings:
    """Settings that reach the store under a prefix of the test's own."""
    return settings_for(ES_HOST="127.0.0.1", ES_PORT=store_server.port)


@pytest.fixture
def client(settings: Settings) -> Iterator[Elasticsearch]:
    """A client of the store."""
    with connect_store(settings.store) as found:
        yield found


def provision(settings: Settings, schema: FeatureSchema) -> list[Change]:
    """Provision the store, without waiting for it."""
    return list(provision_store(settings.store, schema, 0, print))


def actions(changes: list[Change]) -> set[str]:
    """What was done, without names."""
    return {change.action for change in changes}


def other_model(schema: FeatureSchema, feature: str = "PRESSURE", kind: str = "number") -> FeatureSchema:
    """A second model with one feature."""
    extra = {"minimum": 0.0, "maximum": 9.0} if kind in {"number", "integer"} else {}
    made = Feature.model_validate(
        {"name": feature, "type": kind, "label": feature, "group": "person", **extra}
        | ({"categories": ["a", "b"]} if kind == "category" else {})
    )
    return schema.model_copy(update={"name": "other_model", "features": (made,), "simulation": None})


def test_provisioning_twice_changes_nothing(settings: Settings, schema: FeatureSchema) -> None:
    """The first time creates everything, the second finds it equal."""
    first = provision(settings, schema)
    assert actions(first) == {"created", "unchanged"}
    assert str(first[0]).endswith("ml-api-common: created")
    assert actions(provision(settings, schema)) == {"unchanged"}


def test_the_aliases_exist_with_their_mappings(
    settings: Settings, schema: FeatureSchema, client: Elasticsearch
) -> None:
    """A query on an alias works before the first event, and every declared field is mapped."""
    provision(settings, schema)
    for index in INDICES:
        alias = f"{settings.store.es_index_prefix}{index}"
        assert client.count(index=alias)["count"] == 0
        (mapping,) = (found["mappings"] for found in client.indices.get_mapping(index=alias).values())
        assert str(mapping["dynamic"]).lower() == "false"
        assert set(index_mappings()[index]) <= set(mapping["properties"])
    alias = f"{settings.store.es_index_prefix}ml-api-message"
    (mapping,) = (found["mappings"] for found in client.indices.get_mapping(index=alias).values())
    assert mapping["properties"]["input_data"]["properties"]["AGE"]["type"] == "integer"
    assert mapping["properties"]["@timestamp"]["type"] == "date_nanos"


def test_a_second_model_adds_its_features_to_the_current_indices(
    settings: Settings, schema: FeatureSchema, client: Elasticsearch
) -> None:
    """Two models share the store: today's index gets the new fields, later ones those of both."""
    provision(settings, schema)
    second = provision(settings, other_model(schema))
    assert [change.kind for change in second if change.action == "updated"] == ["index template", "mapping"]
    provisioner = Provisioner(client, settings.store)
    assert set(provisioner.models()) == {"lung_cancer", "other_model"}
    assert "SMOKING" in provisioner.models()["lung_cancer"]["present"]
    alias = f"{settings.store.es_index_prefix}ml-api-message"
    client.indices.create(index=f"{alias}-2020.01.01")
    for body in client.indices.get_mapping(index=alias).values():
        inputs = body["mappings"]["properties"]["input_data"]["properties"]
        assert (inputs["AGE"]["type"], inputs["PRESSURE"]["type"]) == ("integer", "double")


def test_a_feature_of_another_type_is_refused_naming_both_models(
    settings: Settings, schema: FeatureSchema
) -> None:
    """The message says which feature, which types, which models; nothing is changed."""
    provision(settings, schema)
    with pytest.raises(
        ProvisionError, match=r"AGE is keyword in model other_model and integer in model lung_cancer"
    ):
        provision(settings, other_model(schema, "AGE", "category"))
    assert actions(provision(settings, schema)) == {"unchanged"}


def test_a_feature_that_an_index_has_otherwise_is_refused(
    settings: Settings, schema: FeatureSchema, client: Elasticsearch
) -> None:
    """An index left by somebody else is not written into with another type."""
    alias = f"{settings.store.es_index_prefix}ml-api-message"
    client.indices.create(
        index=f"{alias}-2020.01.01",
        aliases={alias: {}},
        mappings={"properties": {"input_data": {"properties": {"AGE": {"type": "keyword"}}}}},
    )
    with pytest.raises(ProvisionError, match=r"AGE is integer, but index .* has it as keyword"):
        provision(settings, schema)


def test_what_a_newer_version_wrote_is_left_alone(
    settings: Settings, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old worker that starts during an upgrade does not take the new templates back."""
    monkeypatch.setattr(templates, "VERSION", templates.VERSION + 1)
    provision(settings, schema)
    monkeypatch.undo()
    found = provision(settings, schema)
    assert [change.action for change in found[:5]] == ["left: newer"] * 5


def test_a_changed_mapping_is_applied(
    settings: Settings, schema: FeatureSchema, client: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template that differs from the code's is brought up to date, and so are the indices that exist."""
    provision(settings, schema)
    monkeypatch.setattr(templates, "COMMON_FIELDS", {**templates.COMMON_FIELDS, "extra": {"type": "keyword"}})
    found = provision(settings, schema)
    assert found[0].action == "updated"
    assert [change.kind for change in found[1:] if change.action != "unchanged"] == ["mapping"] * 3
    for index in INDICES:
        alias = f"{settings.store.es_index_prefix}{index}"
        (mapping,) = (body["mappings"] for body in client.indices.get_mapping(index=alias).values())
        assert mapping["properties"]["extra"]["type"] == "keyword"
    assert actions(provision(settings, schema)) == {"unchanged"}


def test_a_nested_field_is_completed_and_one_of_another_type_is_told(
    settings: Settings, schema: FeatureSchema, client: Elasticsearch
) -> None:
    """An index of an older version gets what it lacks; what it has otherwise stays, with a warning."""
    alias = f"{settings.store.es_index_prefix}ml-api-perfs"
    properties = {
        "stages": {"properties": {"queue_ms": {"type": "double"}}},
        "weight": {"type": "keyword"},
    }
    client.indices.create(
        index=f"{alias}-2020.01.01",
        aliases={alias: {}},
        mappings={"dynamic": False, "properties": properties},
    )
    told: list[str] = []
    sink = logger.add(lambda message: told.append(str(message)), level="WARNING")
    provision(settings, schema)
    logger.remove(sink)
    fields = client.indices.get_mapping(index=f"{alias}-2020.01.01")[f"{alias}-2020.01.01"]["mappings"][
        "properties"
    ]
    assert set(fields["stages"]["properties"]) >= {"queue_ms", "predict_ms"}
    assert (fields["weight"]["type"], fields["backlog"]["type"]) == ("keyword", "long")
    assert any(f"{alias}-2020.01.01 has field weight as keyword" in line for line in told)


def test_the_alerts_have_an_index_of_their_own(
    settings: Settings, schema: FeatureSchema, client: Elasticsearch
) -> None:
    """Kibana's rules write into a mapped index, made again with its template when somebody deleted both."""
    provision(settings, schema)
    name = f"{settings.store.es_index_prefix}ml-api-alerts"
    client.indices.delete(index=name)
    client.indices.delete_index_template(name=name)
    made = {change.kind for change in provision(settings, schema) if change.action == "created"}
    assert made == {"index template", "index"}
    fields = client.indices.get_mapping(index=name)[name]["mappings"]["properties"]
    assert {field: mapping["type"] for field, mapping in fields.items()} == {
        "@timestamp": "date_nanos",
        "rule": "keyword",
        "severity": "keyword",
        "metric": "keyword",
        "value": "double",
        "threshold": "double",
        "message": "text",
        "state": "keyword",
    }


def test_the_dead_letters_have_an_index_of_each_month(
    settings: Settings, schema: FeatureSchema, client: Elasticsearch
) -> None:
    """Letters are found under one name before the first of them, and each month's index has the mapping."""
    provision(settings, schema)
    alias = f"{settings.store.es_index_prefix}ml-api-dead"
    assert client.count(index=alias)["count"] == 0
    client.indices.create(index=f"{alias}-2020.01")
    found = client.indices.get_mapping(index=alias)
    assert len(found) == 2
    for body in found.values():
        assert set(body["mappings"]["properties"]) == set(DEAD_FIELDS)
        assert body["mappings"]["properties"]["event"] == {"type": "text", "index": False}


def test_a_store_that_is_away_is_one_line(
    settings_for: Callable[..., Settings], schema: FeatureSchema
) -> None:
    """The command's user reads where nobody answered."""
    settings = settings_for(ES_HOST="127.0.0.1", ES_PORT=free_port())
    with pytest.raises(ProvisionError, match=settings.store.url):
        provision(settings, schema)


def test_two_types_of_one_feature_are_found_in_any_model(schema: FeatureSchema) -> None:
    """The check looks at every model provisioned before."""
    check_types(schema, {"a": {"types": {"OTHER": "keyword"}}, "b": {"types": {"AGE": "integer"}}})
    with pytest.raises(ProvisionError, match="model b"):
        check_types(schema, {"a": {"types": {}}, "b": {"types": {"AGE": "double"}}})

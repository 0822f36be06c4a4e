"""Component and index templates."""

from __future__ import annotations

from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

KEYWORD = {"type": "keyword"}
LONG = {"type": "long"}


def mappings(**fields: Any) -> dict[str, Any]:
    """Return mappings of those fields that take no others."""
    return {"dynamic": "false", "properties": fields}


def test_component_template_round_trip(es: Elasticsearch, prefix: str) -> None:
    """A component template is shown as it was put, settings as nested texts, and can be deleted."""
    name = f"{prefix}-c"
    body = {"settings": {"number_of_replicas": 0}, "mappings": mappings(a=KEYWORD), "aliases": {"x": {}}}
    es.cluster.put_component_template(name=name, template=body, version=3, meta={"by": "test"})
    assert es.cluster.exists_component_template(name=name)
    held = es.cluster.get_component_template(name=name)["component_templates"]
    assert [template["name"] for template in held] == [name]
    shown = held[0]["component_template"]
    assert shown["version"] == 3
    assert shown["_meta"] == {"by": "test"}
    assert shown["template"]["settings"] == {"index": {"number_of_replicas": "0"}}
    assert shown["template"]["mappings"]["properties"] == {"a": KEYWORD}
    assert shown["template"]["aliases"] == {"x": {}}
    es.cluster.delete_component_template(name=name)
    assert not es.cluster.exists_component_template(name=name)


def test_index_template_round_trip_and_wildcard(es: Elasticsearch, prefix: str) -> None:
    """Index templates are found by name and by wildcard; a wildcard that matches none is an empty list."""
    for letter in "ab":
        es.indices.put_index_template(
            name=f"{prefix}-{letter}",
            index_patterns=[f"{prefix}-{letter}-*"],
            template={"mappings": mappings(k=KEYWORD)},
            priority=7,
            version=2,
            meta={"m": letter},
        )
    found = es.indices.get_index_template(name=f"{prefix}-*")["index_templates"]
    assert sorted(template["name"] for template in found) == [f"{prefix}-a", f"{prefix}-b"]
    one = es.indices.get_index_template(name=f"{prefix}-b")["index_templates"][0]["index_template"]
    assert one["index_patterns"] == [f"{prefix}-b-*"]
    assert (one["priority"], one["version"], one["_meta"], one["composed_of"]) == (7, 2, {"m": "b"}, [])
    with pytest.raises(NotFoundError) as none:
        es.indices.get_index_template(name=f"{prefix}-zork*")
    assert none.value.body == {"index_templates": []}
    assert es.indices.exists_index_template(name=f"{prefix}-a")
    es.indices.delete_index_template(name=f"{prefix}-a")
    assert not es.indices.exists_index_template(name=f"{prefix}-a")


def test_composition_order(es: Elasticsearch, prefix: str) -> None:
    """Later components override earlier ones, the index template overrides both, and fields add up."""
    es.cluster.put_component_template(
        name=f"{prefix}-1",
        template={"mappings": mappings(a=KEYWORD, b=KEYWORD, o={"properties": {"x": KEYWORD}})},
    )
    es.cluster.put_component_template(
        name=f"{prefix}-2",
        template={
            "mappings": mappings(b=LONG, c=LONG, o={"properties": {"y": LONG}}),
            "settings": {"number_of_replicas": 0},
            "aliases": {f"{prefix}-alias": {}},
        },
    )
    es.indices.put_index_template(
        name=f"{prefix}-t",
        index_patterns=[f"{prefix}-i-*"],
        composed_of=[f"{prefix}-1", f"{prefix}-2"],
        template={"mappings": {"dynamic": "strict", "properties": {"c": KEYWORD}}},
    )
    es.index(index=f"{prefix}-i-1", document={"a": "x"})
    held = es.indices.get(index=f"{prefix}-i-1")[f"{prefix}-i-1"]
    assert held["mappings"]["dynamic"] == "strict"
    assert held["mappings"]["properties"] == {
        "a": KEYWORD,
        "b": LONG,
        "c": KEYWORD,
        "o": {"properties": {"x": KEYWORD, "y": LONG}},
    }
    assert held["settings"]["index"]["number_of_replicas"] == "0"
    assert held["aliases"] == {f"{prefix}-alias": {}}


def test_highest_priority_wins_alone(es: Elasticsearch, prefix: str) -> None:
    """Only the matching template of the highest priority is applied."""
    for priority, field in ((1, "low"), (20, "high"), (3, "middle")):
        es.indices.put_index_template(
            name=f"{prefix}-{field}",
            index_patterns=[f"{prefix}-i*"],
            priority=priority,
            template={"mappings": mappings(**{field: KEYWORD})},
        )
    es.indices.create(index=f"{prefix}-i")
    held = es.indices.get_mapping(index=f"{prefix}-i")
    assert list(held[f"{prefix}-i"]["mappings"]["properties"]) == ["high"]


def test_create_request_overrides_template(es: Elasticsearch, prefix: str) -> None:
    """What a create request says itself is laid over its template."""
    es.indices.put_index_template(
        name=f"{prefix}-t",
        index_patterns=[f"{prefix}-i"],
        template={"mappings": mappings(a=KEYWORD, b=KEYWORD)},
    )
    es.indices.create(
        index=f"{prefix}-i", mappings={"properties": {"b": LONG}}, aliases={f"{prefix}-own": {}}
    )
    held = es.indices.get(index=f"{prefix}-i")[f"{prefix}-i"]
    assert held["mappings"]["properties"] == {"a": KEYWORD, "b": LONG}
    assert list(held["aliases"]) == [f"{prefix}-own"]


def test_same_priority_on_same_pattern_is_refused(es: Elasticsearch, prefix: str) -> None:
    """Two templates that could both match an index need different priorities."""
    es.indices.put_index_template(
        name=f"{prefix}-1", index_patterns=[f"{prefix}-x-*"], priority=5, template={}
    )
    with pytest.raises(BadRequestError) as refused:
        es.indices.put_index_template(
            name=f"{prefix}-2", index_patterns=[f"{prefix}-x*"], priority=5, template={}
        )
    assert refused.value.error == "illegal_argument_exception"
    assert not es.indices.exists_index_template(name=f"{prefix}-2")


def test_missing_component_is_refused(es: Elasticsearch, prefix: str) -> None:
    """An index template cannot name a component that does not exist."""
    with pytest.raises(BadRequestError) as refused:
        es.indices.put_index_template(
            name=f"{prefix}-t", index_patterns=[f"{prefix}-*"], composed_of=[f"{prefix}-zork"], template={}
        )
    assert refused.value.error == "invalid_index_template_exception"


def test_component_in_use_cannot_be_deleted(es: Elasticsearch, prefix: str) -> None:
    """A component stays as long as an index template is composed of it."""
    es.cluster.put_component_template(name=f"{prefix}-c", template={"mappings": mappings(a=KEYWORD)})
    es.indices.put_index_template(
        name=f"{prefix}-t", index_patterns=[f"{prefix}-i"], composed_of=[f"{prefix}-c"], template={}
    )
    with pytest.raises(BadRequestError) as refused:
        es.cluster.delete_component_template(name=f"{prefix}-c")
    assert refused.value.error == "illegal_argument_exception"


def test_absent_templates_are_404(es: Elasticsearch, prefix: str) -> None:
    """Getting or deleting a template that does not exist is a 404 with its own type."""
    with pytest.raises(NotFoundError) as component:
        es.cluster.get_component_template(name=prefix)
    with pytest.raises(NotFoundError) as template:
        es.indices.get_index_template(name=prefix)
    with pytest.raises(NotFoundError) as deleted_component:
        es.cluster.delete_component_template(name=prefix)
    with pytest.raises(NotFoundError) as deleted:
        es.indices.delete_index_template(name=prefix)
    assert component.value.error == template.value.error == "resource_not_found_exception"
    assert deleted_component.value.error == "resource_not_found_exception"
    assert deleted.value.error == "index_template_missing_exception"


def test_unknown_key_is_refused(es: Elasticsearch, prefix: str) -> None:
    """A template with a member that does not exist is refused whole."""
    with pytest.raises(BadRequestError):
        es.indices.put_index_template(name=prefix, body={"index_patterns": [prefix], "zork": 1})
    with pytest.raises(BadRequestError):
        es.cluster.put_component_template(name=prefix, body={"template": {"zork": {}}})
    assert not es.indices.exists_index_template(name=prefix)
    assert not es.cluster.exists_component_template(name=prefix)


def test_create_only_does_not_replace(es: Elasticsearch, prefix: str) -> None:
    """`create=true` refuses to replace a template."""
    es.cluster.put_component_template(name=prefix, template={"mappings": mappings(a=KEYWORD)}, create=True)
    with pytest.raises(BadRequestError):
        es.cluster.put_component_template(
            name=prefix, template={"mappings": mappings(b=KEYWORD)}, create=True
        )
    held = es.cluster.get_component_template(name=prefix)["component_templates"][0]["component_template"]
    assert list(held["template"]["mappings"]["properties"]) == ["a"]

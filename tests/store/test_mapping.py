"""Mappings: what is accepted, and how they grow."""

from __future__ import annotations

from typing import Any

import pytest

from vigie.store.errors import StoreError
from vigie.store.mapping import Mapping, template_merged

KEYWORD = {"type": "keyword"}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ({"properties": {"a": {"type": "nested"}}}, "[nested]"),
        ({"properties": {"a": {"type": "ip"}}}, "[ip]"),
        ({"properties": {"a": {"type": "keyword", "normalizer": "x"}}}, "[normalizer]"),
        ({"properties": {"a": {"type": "text", "analyzer": "french"}}}, "[analyzer]"),
        ({"properties": {"a": {"type": "object", "subobjects": False}}}, "[subobjects]"),
        ({"properties": {"a": {"type": "keyword", "ignore_above": "x"}}}, "[ignore_above]"),
        ({"properties": {"a.b": KEYWORD}}, "[a.b]"),
        ({"properties": {"a": 5}}, "[a]"),
        ({"properties": []}, "[properties]"),
        ({"dynamic": "runtime"}, "runtime"),
        ({"runtime": {}}, "[runtime"),
        ({"dynamic_templates": []}, "[dynamic_templates"),
        ({"_source": {"enabled": False}}, "[_source]"),
    ],
)
def test_what_is_not_supported_is_named(source: dict[str, Any], named: str) -> None:
    """A type, parameter or feature that this store lacks refuses the mapping and is named."""
    with pytest.raises(StoreError) as refused:
        Mapping(source)
    assert refused.value.error_type == "mapper_parsing_exception"
    assert named in refused.value.reason


def test_fields_by_path() -> None:
    """Objects and multi-fields are flattened to dotted paths; disabled objects have none."""
    mapping = Mapping(
        {
            "properties": {
                "o": {"properties": {"x": KEYWORD, "p": {"properties": {"y": {"type": "long"}}}}},
                "t": {"type": "text", "fields": {"raw": KEYWORD}},
                "raw": {"type": "object", "enabled": False},
            }
        }
    )
    assert sorted(mapping.fields) == ["o.p.y", "o.x", "t", "t.raw"]
    assert [field.path for field in mapping.object_fields("o")] == ["o.p.y", "o.x"]
    assert mapping.object_fields("zork") == []


def test_merging_adds_and_keeps() -> None:
    """An update adds fields and multi-fields at any depth and leaves the original untouched."""
    first = Mapping(
        {"dynamic": "strict", "properties": {"o": {"properties": {"x": KEYWORD}}, "t": {"type": "text"}}}
    )
    second = first.merged(
        {
            "properties": {
                "o": {"properties": {"y": KEYWORD}},
                "t": {"type": "text", "fields": {"raw": KEYWORD}},
            }
        }
    )
    assert sorted(second.fields) == ["o.x", "o.y", "t", "t.raw"]
    assert second.source["dynamic"] == "strict"
    assert sorted(first.fields) == ["o.x", "t"]


@pytest.mark.parametrize(
    "update",
    [
        {"o": {"type": "object", "enabled": False}},
        {"d": {"type": "date", "format": "epoch_second"}},
        {"t": {"type": "text", "fields": {"raw": {"type": "long"}}}},
    ],
)
def test_merging_refuses_changes(update: dict[str, Any]) -> None:
    """Neither type, format nor `enabled` of what exists can change."""
    mapping = Mapping(
        {
            "properties": {
                "o": {"properties": {"x": KEYWORD}},
                "d": {"type": "date"},
                "t": {"type": "text", "fields": {"raw": KEYWORD}},
            }
        }
    )
    with pytest.raises(StoreError) as refused:
        mapping.merged({"properties": update})
    assert refused.value.error_type == "illegal_argument_exception"


def test_templates_replace_whole_fields() -> None:
    """When templates are composed, a field of the later one replaces that of the earlier one whole."""
    first = {"properties": {"a": {"type": "keyword", "ignore_above": 5}, "o": {"properties": {"x": KEYWORD}}}}
    second = {"properties": {"a": {"type": "long"}, "o": {"properties": {"y": KEYWORD}}}}
    assert template_merged(first, second) == {
        "properties": {"a": {"type": "long"}, "o": {"properties": {"x": KEYWORD, "y": KEYWORD}}}
    }

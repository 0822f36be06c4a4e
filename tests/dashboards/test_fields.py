"""A field that no mapping has, or has with a type its use does not take, is found, and the panel named."""

from __future__ import annotations

import pytest

from vigie.dashboards.fields import FieldTypes, check_fields, field_faults, field_types, field_uses
from vigie.dashboards.specification import Specification, SpecificationError
from vigie.indices.mappings import MESSAGE, index_mappings
from vigie.schema import FeatureSchema


def without(types: FieldTypes, index: str, field: str, instead: dict[str, str]) -> FieldTypes:
    """Return the types with a field of an index replaced."""
    fields = {name: kind for name, kind in types[index].items() if name != field}
    return {**types, index: {**fields, **instead}}


def test_every_field_of_the_dashboards_exists(specification: Specification, types: FieldTypes) -> None:
    """Panels and controls name fields that the mappings have, with types their operations take."""
    assert field_faults(specification, types) == []


def test_renaming_any_field_names_each_panel_that_uses_it(
    specification: Specification, types: FieldTypes
) -> None:
    """Whichever field is renamed in the mapping, the check names every panel and control that it breaks."""
    uses = list(field_uses(specification))
    fields = {(use.index, use.field) for use in uses}
    assert len(fields) > 40
    for index, field in fields:
        renamed = without(types, index, field, {f"{field}_new": types[index][field]})
        faults = field_faults(specification, renamed)
        named = {use.user for use in uses if (use.index, use.field) == (index, field)}
        assert {fault.partition(":")[0] for fault in faults} == named
        assert all(field in fault for fault in faults)


def test_renaming_a_feature_breaks_the_panels_of_the_old_name(
    specification: Specification, schema: FeatureSchema
) -> None:
    """Panels written out for one schema do not fit the mapping of another: the panel is named."""
    content = schema.model_dump(mode="json")
    content["features"][2]["name"] = "SMOKES"
    renamed = field_types(index_mappings(), FeatureSchema.model_validate(content), MESSAGE)
    with pytest.raises(SpecificationError, match=r"panel share_smoking: .* no field input_data\.SMOKING"):
        check_fields(specification, renamed)


@pytest.mark.parametrize(
    ("index", "field", "kind", "user"),
    [
        ("ml-api-perfs", "latency_ms", "keyword", "panel p95_latency"),
        ("ml-api-logs", "path", "text", "control Path of dashboard overview"),
        ("ml-api-logs", "status", "integer", "control Status of dashboard pipeline"),
        ("ml-api-message", "result.probability", "keyword", "panel probability_distribution"),
        ("ml-api-message", "@timestamp", "keyword", "panel predicted_share"),
        ("ml-api-message", "result.label", "text", "panel answer_share"),
    ],
)
def test_a_type_that_the_operation_does_not_take_is_named(
    specification: Specification, types: FieldTypes, index: str, field: str, kind: str, user: str
) -> None:
    """A mean of a keyword, a control on a text and the like are refused before Kibana sees them."""
    faults = field_faults(specification, without(types, index, field, {field: kind}))
    assert any(user in fault and field in fault and kind in fault for fault in faults)


def test_an_index_that_does_not_exist_is_named(specification: Specification, types: FieldTypes) -> None:
    """A panel on an index without mapping is a fault."""
    left = {index: fields for index, fields in types.items() if index != "ml-api-perfs"}
    assert "panel mean_latency: there is no index ml-api-perfs" in field_faults(specification, left)


def test_fields_that_are_only_stored_do_not_count(types: FieldTypes) -> None:
    """What is kept and not indexed cannot be shown; nested objects are dotted paths."""
    assert "rejected_input" not in types["ml-api-logs"]
    assert types["ml-api-perfs"]["model.version"] == "keyword"
    assert types["ml-api-message"]["input_data.AGE"] == "integer"

"""Which templates may stand side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from vigie.store import templates
from vigie.store.catalog import Catalog
from vigie.store.errors import StoreError


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("a-*", "a-b*", True),
        ("a-*", "b-*", False),
        ("*-x", "a-*", True),
        ("*-x", "*-y", False),
        ("a-1", "a-*", True),
        ("a-1", "a-2", False),
        ("a-*-x", "a-*-y", False),
    ],
)
def test_overlapping_patterns_need_different_priorities(
    tmp_path: Path, first: str, second: str, overlap: bool
) -> None:
    """Patterns that could match one index are refused at the same priority, and only those."""
    catalog = Catalog(tmp_path / "catalog.json")
    templates.put_index_template(catalog, "one", {"index_patterns": [first]})
    templates.put_index_template(catalog, "other", {"index_patterns": second, "priority": 1})
    del catalog.index_templates["other"]
    if overlap:
        with pytest.raises(StoreError, match="same priority"):
            templates.put_index_template(catalog, "two", {"index_patterns": [second]})
    else:
        templates.put_index_template(catalog, "two", {"index_patterns": [second]})


def test_a_bad_template_is_not_kept(tmp_path: Path) -> None:
    """A template is checked whole, with its components, before it is kept."""
    catalog = Catalog(tmp_path / "catalog.json")
    for body in (
        {"index_patterns": []},
        {"index_patterns": ["a"], "template": {"mappings": {"properties": {"x": {"type": "zork"}}}}},
        {"index_patterns": ["a"], "template": {"aliases": {"x": {"filter": {}}}}},
        {"index_patterns": ["a"], "template": {"settings": {"analysis": {}, "index.zork": 1}}},
    ):
        with pytest.raises(StoreError):
            templates.put_index_template(catalog, "t", body)
    with pytest.raises(StoreError):
        templates.put_component_template(catalog, "c", {})
    assert catalog.index_templates == {}
    assert catalog.component_templates == {}

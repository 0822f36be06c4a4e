"""The catalog: durable, atomic, and how names resolve."""

from __future__ import annotations

from pathlib import Path

import pytest

from vigie.store.catalog import Catalog, check_index_name, matches
from vigie.store.errors import StoreError
from vigie.store.mapping import Mapping


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Three indices, two of them behind an alias."""
    held = Catalog(tmp_path / "catalog.json")
    for name in ("a-1", "a-2", "b-1"):
        held.add_index(name, {}, Mapping({}), {"all-a": {}} if name.startswith("a") else {})
    return held


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a-1", ["a-1"]),
        ("all-a", ["a-1", "a-2"]),
        ("a*,b-1", ["a-1", "a-2", "b-1"]),
        ("*-1", ["a-1", "b-1"]),
        ("*,-a-*", ["b-1"]),
        ("all*", ["a-1", "a-2"]),
        ("", ["a-1", "a-2", "b-1"]),
        ("_all", ["a-1", "a-2", "b-1"]),
        ("zork*", []),
    ],
)
def test_resolving(catalog: Catalog, expression: str, expected: list[str]) -> None:
    """Names, aliases, wildcards, lists and exclusions stand for indices."""
    assert catalog.resolve(expression) == expected


def test_resolving_what_is_missing(catalog: Catalog) -> None:
    """A missing name is an error unless ignored; nothing at all is one unless allowed."""
    with pytest.raises(StoreError, match=r"no such index \[zork\]"):
        catalog.resolve("a-1,zork")
    assert catalog.resolve("a-1,zork", ignore_unavailable=True) == ["a-1"]
    with pytest.raises(StoreError):
        catalog.resolve("zork*", allow_no_indices=False)


def test_what_is_saved_is_there_again(catalog: Catalog, tmp_path: Path) -> None:
    """A saved state is read back whole; a change that was not saved is not."""
    catalog.save()
    catalog.indices["a-1"].aliases["later"] = {}
    again = Catalog(tmp_path / "catalog.json")
    assert again.resolve("all-a") == ["a-1", "a-2"]
    assert again.indices["a-1"].uuid == catalog.indices["a-1"].uuid
    assert again.alias_members("later") == {}
    catalog.reload()
    assert catalog.alias_members("later") == {}


def test_a_write_cut_short_leaves_the_old_state(catalog: Catalog, tmp_path: Path) -> None:
    """A crash while saving leaves a temporary file that is never read."""
    catalog.save()
    (tmp_path / "catalog.tmp").write_bytes(b'{"indices":')
    assert sorted(Catalog(tmp_path / "catalog.json").indices) == ["a-1", "a-2", "b-1"]


def test_write_target(catalog: Catalog) -> None:
    """An index writes to itself, an alias to its write index, an unknown name to nothing."""
    assert catalog.write_target("a-1") == "a-1"
    assert catalog.write_target("zork") is None
    catalog.indices["b-1"].aliases["one"] = {}
    assert catalog.write_target("one") == "b-1"
    catalog.indices["b-1"].aliases["one"] = {"is_write_index": False}
    with pytest.raises(StoreError, match="no write index"):
        catalog.write_target("one")
    with pytest.raises(StoreError, match="no write index"):
        catalog.write_target("all-a")


def test_names_and_patterns() -> None:
    """Only the star is special in a pattern; bad names are refused with the reason."""
    assert matches("a[1]?-*", "a[1]?-x")
    assert not matches("a?", "ab")
    for name in ("Upper", "_x", "a*b", ".", "a" * 256):
        with pytest.raises(StoreError, match="Invalid index name"):
            check_index_name(name)


def test_an_alias_name_is_checked(catalog: Catalog) -> None:
    """An alias is refused an index's name and forbidden characters."""
    for alias in ("a-1", "", "x y"):
        with pytest.raises(StoreError, match="Invalid alias name"):
            catalog.check_alias(alias)

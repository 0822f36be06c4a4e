"""The data directory: one owner, no leftovers, few writers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vigie.store.engine import Engine
from vigie.store.errors import StoreError, StoreLockedError

MAPPINGS = {"mappings": {"dynamic": "false", "properties": {"l": {"type": "long"}}}}


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    """A second store on the directory is told who has it; after closing, the directory is free."""
    first = Engine(tmp_path)
    with pytest.raises(StoreLockedError) as refused:
        Engine(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert f"process {os.getpid()}" in str(refused.value)
    assert "\n" not in str(refused.value)
    first.close()
    Engine(tmp_path).close()


def test_directories_without_an_index_are_removed(tmp_path: Path) -> None:
    """What a crash left between the catalog's change and the deletion of files goes at the next start."""
    engine = Engine(tmp_path)
    engine.create_index("kept", MAPPINGS)
    engine.ensure_index("kept")
    engine.close()
    (tmp_path / "indices" / "orphan").mkdir()
    again = Engine(tmp_path)
    assert [path.name for path in (tmp_path / "indices").iterdir()] == [again.catalog.indices["kept"].uuid]
    again.close()


def test_a_change_that_fails_changes_nothing(engine: Engine) -> None:
    """An error inside a change brings the catalog back to what is on disk."""
    engine.create_index("kept", MAPPINGS)
    with pytest.raises(RuntimeError), engine.changing() as catalog:
        del catalog.indices["kept"]
        raise RuntimeError
    assert list(engine.catalog.indices) == ["kept"]


def test_deleting_removes_the_files(engine: Engine, tmp_path: Path, fill: Callable[..., str]) -> None:
    """A deleted index leaves nothing on disk."""
    fill({"l": {"type": "long"}}, [{"l": 1}])
    engine.delete_indices(["index"])
    assert list((tmp_path / "data" / "indices").iterdir()) == []
    with pytest.raises(StoreError):
        engine.index("index")


def test_idle_writers_are_closed(engine: Engine, fill: Callable[..., str]) -> None:
    """Writers that were not used are closed, and beyond a bound the least recently used ones too."""
    names = [fill({"l": {"type": "long"}}, [{"l": 1}], name=f"i-{number}") for number in range(8)]
    engine.tidy(0.0)
    still = [name for name in names if engine.index(name).is_open_for_writing]
    assert still == names[2:]
    engine.tidy(time.monotonic())
    assert not any(engine.index(name).is_open_for_writing for name in names)


def test_a_mapping_is_changed_in_all_indices_or_in_none(engine: Engine) -> None:
    """When one index refuses a mapping, the others do not get it either."""
    engine.create_index("a", MAPPINGS)
    engine.create_index("b", {"mappings": {"properties": {"l": {"type": "keyword"}}}})
    with pytest.raises(StoreError):
        engine.put_mapping(["a", "b"], {"properties": {"l": {"type": "long"}, "m": {"type": "long"}}})
    assert "m" not in engine.index("a").generations[-1].mapping.fields
    engine.put_mapping(["a"], {"properties": {"l": {"type": "long"}}})
    assert len(engine.index("a").generations) == 1

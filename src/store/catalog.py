"""What the store knows besides documents: indices, aliases and templates, kept in one file.

Every change is written to a temporary file, synced and renamed, so that the file is always a whole state.
"""

from __future__ import annotations

import fnmatch
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import orjson

from vigie.store.errors import JsonObject, StoreError, illegal_argument, index_not_found
from vigie.store.mapping import Mapping

_INVALID_NAME = re.compile(r'[\\/*?"<>| ,#:]')


@dataclass(slots=True)
class IndexEntry:
    """One index: its directory's id, mappings (one per generation, the newest last), settings and aliases."""

    uuid: str
    created_ms: int
    settings: JsonObject
    mappings: list[JsonObject]
    aliases: dict[str, JsonObject] = field(default_factory=dict)


class Catalog:
    """Indices, aliases and templates. Not for concurrent changes: the engine serialises them.

    Attributes: `indices` by name; `component_templates` and `index_templates` by name, as they were put.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.indices: dict[str, IndexEntry] = {}
        self.component_templates: dict[str, JsonObject] = {}
        self.index_templates: dict[str, JsonObject] = {}
        self.reload()

    def reload(self) -> None:
        """Read the state that was last saved; a change that was not saved is gone."""
        state: JsonObject = orjson.loads(self._path.read_bytes()) if self._path.exists() else {}
        self.indices = {name: IndexEntry(**entry) for name, entry in state.get("indices", {}).items()}
        self.component_templates = state.get("component_templates", {})
        self.index_templates = state.get("index_templates", {})

    def save(self) -> None:
        """Make the present state durable."""
        temporary = self._path.with_suffix(".tmp")
        content = {
            "indices": self.indices,
            "component_templates": self.component_templates,
            "index_templates": self.index_templates,
        }
        with temporary.open("wb") as file:
            file.write(orjson.dumps(content))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def alias_members(self, alias: str) -> dict[str, JsonObject]:
        """Return the indices behind an alias, with the alias's settings on each."""
        return {name: entry.aliases[alias] for name, entry in self.indices.items() if alias in entry.aliases}

    def add_index(
        self, name: str, settings: JsonObject, mapping: Mapping, aliases: dict[str, JsonObject]
    ) -> None:
        """Register a new index. Raises for an invalid name or one that exists as index or alias."""
        check_index_name(name)
        if name in self.indices:
            held = self.indices[name]
            raise StoreError(
                400,
                "resource_already_exists_exception",
                f"index [{name}/{held.uuid}] already exists",
                details={"index_uuid": held.uuid, "index": name},
            )
        if self.alias_members(name):
            raise StoreError(
                400,
                "invalid_index_name_exception",
                f"Invalid index name [{name}], already exists as alias",
                details={"index_uuid": "_na_", "index": name},
            )
        for alias in aliases:
            self.check_alias(alias)
        self.indices[name] = IndexEntry(
            uuid4().hex, time.time_ns() // 1_000_000, settings, [mapping.source], aliases
        )

    def check_alias(self, alias: str) -> None:
        """Raise when the alias has an invalid name or the name of an index."""
        if alias in self.indices:
            raise StoreError(
                400,
                "invalid_alias_name_exception",
                f"Invalid alias name [{alias}]: an index or data stream exists with the same name as the "
                "alias",
            )
        if not alias or _INVALID_NAME.search(alias):
            raise StoreError(400, "invalid_alias_name_exception", f"Invalid alias name [{alias}]")

    def resolve(
        self, expression: str, *, ignore_unavailable: bool = False, allow_no_indices: bool = True
    ) -> list[str]:
        """Return the indices that a comma list of names, aliases and wildcards stands for, in name order.

        Raises index_not_found_exception for a missing name (unless ignored), or for nothing when that is not
        allowed.
        """
        chosen: set[str] = set()
        for part in expression.split(",") if expression not in ("", "_all") else ["*"]:
            if part.startswith("-") and "*" in expression:
                chosen -= set(self._matching(part[1:]))
                continue
            found = self._matching(part)
            if not found and "*" not in part and not ignore_unavailable:
                raise index_not_found(part)
            if not found and not allow_no_indices:
                raise index_not_found(part)
            chosen.update(found)
        return sorted(chosen)

    def write_target(self, name: str) -> str | None:
        """Return the index that a write to that index or alias goes to; None when there is neither."""
        if name in self.indices:
            return name
        members = self.alias_members(name)
        if not members:
            return None
        writers = [index for index, options in members.items() if options.get("is_write_index")]
        if len(members) == 1 and next(iter(members.values())).get("is_write_index", True):
            writers = list(members)
        if not writers:
            raise illegal_argument(
                f"no write index is defined for alias [{name}]. The write index may be explicitly disabled "
                "using is_write_index=false or the alias points to multiple indices without one being "
                "designated as a write index"
            )
        return writers[0]

    def _matching(self, pattern: str) -> list[str]:
        if "*" not in pattern:
            return [pattern] if pattern in self.indices else list(self.alias_members(pattern))
        return [
            name
            for name, entry in self.indices.items()
            if matches(pattern, name) or any(matches(pattern, alias) for alias in entry.aliases)
        ]


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern in which only `*` is special."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def check_index_name(name: str) -> None:
    """Raise invalid_index_name_exception for a name that Elasticsearch refuses."""
    reason = ""
    if name != name.lower():
        reason = "must be lowercase"
    elif not name or name in (".", "..") or name[0] in "_-+":
        reason = "must not start with '_', '-', or '+'"
    elif _INVALID_NAME.search(name):
        reason = (
            "must not contain the following characters [' ','\"','*','\\','<','|',',','>','/','?', '#', ':']"
        )
    elif len(name.encode()) > 255:
        reason = "index name is too long"
    if reason:
        raise StoreError(
            400,
            "invalid_index_name_exception",
            f"Invalid index name [{name}], {reason}",
            details={"index_uuid": "_na_", "index": name},
        )

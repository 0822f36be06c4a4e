"""The store's heart: the data directory, its catalog and its open indices."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from loguru import logger

from vigie.store import templates
from vigie.store.catalog import Catalog, IndexEntry
from vigie.store.errors import JsonObject, StoreLockedError, index_not_found
from vigie.store.index import StoreIndex
from vigie.store.mapping import Mapping

_IDLE_SECONDS = 20.0
_REAPER_INTERVAL_SECONDS = 2.0
# A writer costs a thread and up to 40 MB.
_MAX_OPEN_WRITERS = 6


class Engine:
    """Owns a data directory. Its methods block; they may be called from any thread.

    Raises StoreLockedError when another process has the directory. `close` when done.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(data_dir)
        self._indices_dir = data_dir / "indices"
        self.catalog = Catalog(data_dir / "catalog.json")
        self._open: dict[str, StoreIndex] = {}
        # Guards catalog and registry; never held while documents are written or searched.
        self._registry_lock = threading.RLock()
        self._stopping = threading.Event()
        self._remove_orphans()
        self._reaper = threading.Thread(target=self._reap, name="store-reaper", daemon=True)
        self._reaper.start()

    def close(self) -> None:
        """Commit, close all writers and give the directory free."""
        self._stopping.set()
        self._reaper.join()
        with self._registry_lock:
            for index in self._open.values():
                index.close()
            self._open.clear()
        self._lock_file.close()

    @contextlib.contextmanager
    def changing(self) -> Iterator[Catalog]:
        """Give the catalog for one change, saved at the end; after an error it is as it was on disk."""
        with self._registry_lock:
            try:
                yield self.catalog
                self.catalog.save()
            except BaseException:
                self.catalog.reload()
                raise

    def create_index(self, name: str, body: JsonObject) -> None:
        """Create an index from the template that matches its name and the body of the request."""
        with self.changing() as catalog:
            definition = templates.compose(catalog, templates.template_for(catalog, name))
            definition.add(body)
            mapping = Mapping(definition.mappings)
            catalog.add_index(name, definition.settings, mapping, definition.aliases)

    def ensure_index(self, name: str) -> StoreIndex:
        """Return the index that a write to that name goes to, creating it from its template if need be."""
        with self._registry_lock:
            target = self.catalog.write_target(name)
            if target is None:
                self.create_index(name, {})
                target = self.catalog.write_target(name) or name
            return self.index(target)

    def index(self, name: str) -> StoreIndex:
        """Return an index by its own name, opened. Raises index_not_found_exception."""
        with self._registry_lock:
            entry = self.catalog.indices.get(name)
            if entry is None:
                raise index_not_found(name)
            opened = self._open.get(entry.uuid)
            if opened is None:
                mappings = [Mapping(source) for source in entry.mappings]
                opened = StoreIndex(name, self._indices_dir / entry.uuid, mappings)
                self._open[entry.uuid] = opened
            return opened

    def delete_indices(self, names: list[str]) -> None:
        """Remove indices: first from the catalog, then from the disk."""
        with self._registry_lock:
            with self.changing() as catalog:
                removed = [catalog.indices.pop(name) for name in names]
            for entry in removed:
                self._discard(entry)

    def put_mapping(self, names: list[str], update: JsonObject) -> None:
        """Add fields to indices. Raises, changing nothing, when one of them refuses."""
        with self._registry_lock:
            merged = {name: Mapping(self.catalog.indices[name].mappings[-1]).merged(update) for name in names}
            for name, mapping in merged.items():
                self._put_mapping(name, mapping)

    def _put_mapping(self, name: str, mapping: Mapping) -> None:
        index = self.index(name)
        held = index.generations[-1].mapping
        if mapping.source == held.source:
            return
        begins_generation = mapping.fields.keys() != held.fields.keys()
        with self.changing() as catalog:
            mappings = catalog.indices[name].mappings
            if begins_generation:
                mappings.append(mapping.source)
            else:
                mappings[-1] = mapping.source
        if begins_generation:
            index.add_generation(mapping)
        else:
            index.generations[-1].remap(mapping)

    def _discard(self, entry: IndexEntry) -> None:
        opened = self._open.pop(entry.uuid, None)
        if opened is not None:
            opened.close(keep=False)
        shutil.rmtree(self._indices_dir / entry.uuid, ignore_errors=True)

    def _remove_orphans(self) -> None:
        """Delete directories of indices that the catalog no longer has: a crash came between the two."""
        known = {entry.uuid for entry in self.catalog.indices.values()}
        if self._indices_dir.exists():
            for directory in self._indices_dir.iterdir():
                if directory.name not in known:
                    shutil.rmtree(directory)

    def _reap(self) -> None:
        while not self._stopping.wait(_REAPER_INTERVAL_SECONDS):
            try:
                self.tidy(time.monotonic() - _IDLE_SECONDS)
            except Exception as error:  # noqa: BLE001 - the next write or search tells its caller
                logger.opt(exception=error).error("committing in the background failed")

    def tidy(self, idle_since: float) -> None:
        """Commit what rests, and close writers unused since that moment of the monotonic clock.

        Beyond the bound, the least recently used writers are closed too.
        """
        with self._registry_lock:
            writing = [index for index in self._open.values() if index.is_open_for_writing]
        writing.sort(key=lambda index: index.last_write, reverse=True)
        for position, index in enumerate(writing):
            if index.last_write < idle_since or position >= _MAX_OPEN_WRITERS:
                index.close_writers(wait_for_merges=True)
            elif index.last_write < time.monotonic() - _REAPER_INTERVAL_SECONDS:
                index.refresh()


def _lock(data_dir: Path) -> TextIO:
    """Take the directory for this process; the lock goes with the process, however it ends."""
    path = data_dir / "lock"
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        process = f"process {owner}" if owner else "another process"
        raise StoreLockedError(
            f"the store's data directory {data_dir} is in use by {process}: stop that one, or set VIGIE_HOME "
            "to another folder"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file

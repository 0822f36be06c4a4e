"""A store index: its generations, and writing to them with one commit for all who wait (group commit)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import tantivy

from vigie.store.columns import ID, SEQUENCE, SOURCE, VERSION, column_values
from vigie.store.documents import Flattened
from vigie.store.errors import StoreError
from vigie.store.generation import Generation, StoredDocument, panics_caught
from vigie.store.mapping import Mapping

_PENDING_DELETES = "superseded.json"


@dataclass(slots=True)
class Operation:
    """One checked write: `action` is create, index or delete; `values` are those of `flatten`."""

    action: str
    doc_id: str
    source: bytes = b""
    values: Flattened = field(default_factory=dict)
    id_is_new: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What became of an operation: created, updated, deleted, not_found or conflict."""

    result: str
    version: int
    sequence: int


@dataclass(slots=True)
class _Batch:
    operations: Sequence[Operation]
    outcome: list[Written] = field(default_factory=list)
    error: Exception | None = None
    done: bool = False


class StoreIndex:
    """An index by name: searches read all generations, writes go to the newest.

    Fields that are added to the mapping begin a new generation, and documents from before do not have them:
    so does Elasticsearch, which indexes a new field only in documents written after it.
    """

    def __init__(self, name: str, directory: Path, mappings: Sequence[Mapping]) -> None:
        self.name = name
        self.last_write = time.monotonic()
        self._directory = directory
        self.generations = [Generation(mapping, directory / str(n)) for n, mapping in enumerate(mappings)]
        self._next_sequence = 1 + max(generation.last_sequence() for generation in self.generations)
        self._pending: list[_Batch] = []
        self._pending_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._closed = False
        self._finish_superseding()

    @property
    def document_count(self) -> int:
        """How many documents a search sees."""
        return sum(generation.searcher.num_docs for generation in self.generations)

    @property
    def is_open_for_writing(self) -> bool:
        """Whether any writer is held."""
        return any(generation.is_open_for_writing for generation in self.generations)

    def write(self, operations: Sequence[Operation]) -> list[Written]:
        """Apply the operations in order and return after their commit; waits for the one under way.

        All batches that arrive while a commit runs share the next one.
        """
        batch = _Batch(operations)
        with self._pending_lock:
            self._pending.append(batch)
        with self._write_lock:
            if not batch.done:
                with self._pending_lock:
                    batches, self._pending = self._pending, []
                self._apply(batches)
        if batch.error is not None:
            raise batch.error
        return batch.outcome

    def get(self, doc_id: str) -> StoredDocument | None:
        """Return the document of that id, from the newest generation that has it."""
        for generation in reversed(self.generations):
            found = generation.get(doc_id)
            if found is not None:
                return found
        return None

    def add_generation(self, mapping: Mapping) -> None:
        """Begin a generation: documents from now on are indexed by that mapping."""
        with self._write_lock:
            path = self._directory / str(len(self.generations))
            self.generations = [*self.generations, Generation(mapping, path)]

    def close_writers(self, *, wait_for_merges: bool) -> None:
        """Give back the writers' threads and memory; the next write opens them again."""
        with self._write_lock:
            for generation in self.generations:
                generation.close_writer(wait_for_merges=wait_for_merges)

    def close(self) -> None:
        """Refuse further writes and close the writers; everything acknowledged is already committed."""
        with self._write_lock:
            self._closed = True
            for generation in self.generations:
                generation.close_writer(wait_for_merges=False)

    def _apply(self, batches: list[_Batch]) -> None:
        error: Exception | None = None
        try:
            if self._closed:
                raise StoreError(503, "unavailable_shards_exception", f"index [{self.name}] is closed")
            with panics_caught(f"write to {self.name}"):
                self._write_and_commit(batches)
        except Exception as caught:  # noqa: BLE001 - every batch of the commit learns of it
            error = caught
            for generation in self.generations:
                generation.close_writer(wait_for_merges=False)
        self.last_write = time.monotonic()
        for batch in batches:
            batch.error = error
            batch.done = True

    def _write_and_commit(self, batches: list[_Batch]) -> None:
        self._finish_superseding()
        known = self._known_versions(batches)
        older_ids: set[str] = set()
        newest = self.generations[-1]
        writer = newest.writer()
        for batch in batches:
            batch.outcome = [
                self._write_one(operation, writer, known, older_ids) for operation in batch.operations
            ]
        if older_ids:
            self._note_superseding(sorted(older_ids))
        newest.commit()
        if older_ids:
            self._delete_from_older(sorted(older_ids))

    def _known_versions(self, batches: list[_Batch]) -> dict[str, tuple[int, int]]:
        """Return version and generation number of the documents that the batches could meet."""
        ids = list({o.doc_id for batch in batches for o in batch.operations if not o.id_is_new})
        known: dict[str, tuple[int, int]] = {}
        for number, generation in enumerate(self.generations):
            known.update({doc_id: (version, number) for doc_id, version in generation.versions(ids).items()})
        return known

    def _write_one(
        self,
        operation: Operation,
        writer: tantivy.IndexWriter,
        known: dict[str, tuple[int, int]],
        older_ids: set[str],
    ) -> Written:
        newest = len(self.generations) - 1
        version, generation = known.get(operation.doc_id, (0, newest))
        if operation.action == "create" and version:
            return Written("conflict", version, -1)
        sequence, self._next_sequence = self._next_sequence, self._next_sequence + 1
        if version:
            writer.delete_documents_by_term(ID, operation.doc_id)
            if generation != newest:
                older_ids.add(operation.doc_id)
        if operation.action == "delete":
            known.pop(operation.doc_id, None)
            return Written("deleted" if version else "not_found", version + 1, sequence)
        columns = column_values(operation.values, self.generations[-1].columns)
        columns[ID] = operation.doc_id
        columns[SOURCE] = operation.source
        columns[SEQUENCE] = sequence
        columns[VERSION] = version + 1
        writer.add_document(tantivy.Document.from_dict(columns, self.generations[-1].schema))
        known[operation.doc_id] = (version + 1, newest)
        return Written("updated" if version else "created", version + 1, sequence)

    def _note_superseding(self, doc_ids: list[str]) -> None:
        """Write down, before the newest generation commits, which ids older ones must then lose."""
        path = self._directory / _PENDING_DELETES
        with path.open("wb") as file:
            file.write(orjson.dumps(doc_ids))
            file.flush()
            os.fsync(file.fileno())

    def _delete_from_older(self, doc_ids: list[str]) -> None:
        for generation in self.generations[:-1]:
            if generation.locate(doc_ids):
                writer = generation.writer()
                for doc_id in doc_ids:
                    writer.delete_documents_by_term(ID, doc_id)
                generation.commit()
                generation.close_writer(wait_for_merges=False)
        (self._directory / _PENDING_DELETES).unlink()

    def _finish_superseding(self) -> None:
        """Complete the deletes in older generations that a crash cut short."""
        path = self._directory / _PENDING_DELETES
        if not path.exists():
            return
        try:
            doc_ids = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            # The crash came while the note was written, so before the commit that it announces.
            path.unlink()
            return
        self._delete_from_older(sorted(self.generations[-1].locate(doc_ids)))

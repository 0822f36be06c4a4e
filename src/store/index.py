"""A store index: its generations, and writing to them through a write-ahead log."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson
import tantivy

from vigie.store.column_plan import Values
from vigie.store.columns import ID, SEQUENCE, SOURCE, VERSION
from vigie.store.errors import StoreError
from vigie.store.generation import Generation, StoredDocument, panics_caught
from vigie.store.mapping import Mapping
from vigie.store.write_ahead_log import LoggedOperation, WriteAheadLog

_PENDING_DELETES = "superseded.json"
_LOG = "operations.log"
# A commit comes at the latest then, which bounds the log and the time to read it back.
_MAX_UNCOMMITTED_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Operation:
    """One checked write: `action` is create, index or delete.

    `values` are the columns of its document in `generation`; without them they are made of `source`.
    With `only_at` it is a conflict unless the document is there with that sequence number.
    """

    action: str
    doc_id: str
    source: bytes = b""
    values: Values | None = None
    generation: Generation | None = None
    id_is_new: bool = False
    only_at: int | None = None


class Written(NamedTuple):
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

    A write is durable when it returns; it is visible after `refresh`, which every reader calls first.
    """

    def __init__(self, name: str, directory: Path, mappings: Sequence[Mapping]) -> None:
        self.name = name
        self.last_write = time.monotonic()
        self._directory = directory
        self.generations = [Generation(mapping, directory / str(n)) for n, mapping in enumerate(mappings)]
        self.log = WriteAheadLog(directory / _LOG)
        self._next_sequence = 0
        # Versions of what is in the log and not yet committed; 0 for what was deleted.
        self._uncommitted: dict[str, int] = {}
        self._uncommitted_bytes = 0
        self._in_older: set[str] = set()
        self._must_recover = True
        self._pending: list[_Batch] = []
        self._pending_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._closed = False
        self._recover()

    @property
    def document_count(self) -> int:
        """How many documents a search sees."""
        return sum(generation.searcher.num_docs for generation in self.generations)

    @property
    def is_open_for_writing(self) -> bool:
        """Whether any writer is held."""
        return any(generation.is_open_for_writing for generation in self.generations)

    @property
    def waiting(self) -> int:
        """How many batches wait for the write under way."""
        return len(self._pending)

    def write(self, operations: Sequence[Operation]) -> list[Written]:
        """Apply the operations in order and return when they are durable.

        Batches that arrive while another is written share the next sync of the log (group commit).
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

    def refresh(self) -> None:
        """Make everything written so far visible to searches."""
        if self._uncommitted or self._must_recover:
            with self._write_lock:
                if not self._closed:
                    self._commit()

    def get(self, doc_id: str) -> StoredDocument | None:
        """Return the document of that id, from the newest generation that has it."""
        self.refresh()
        for generation in reversed(self.generations):
            found = generation.get(doc_id)
            if found is not None:
                return found
        return None

    def add_generation(self, mapping: Mapping) -> None:
        """Begin a generation: documents from now on are indexed by that mapping."""
        with self._write_lock:
            self._commit()
            path = self._directory / str(len(self.generations))
            self.generations = [*self.generations, Generation(mapping, path)]

    def close_writers(self, *, wait_for_merges: bool) -> None:
        """Give back the writers' threads and memory; the next write opens them again."""
        with self._write_lock:
            self._commit()
            for generation in self.generations:
                generation.close_writer(wait_for_merges=wait_for_merges)

    def close(self, *, keep: bool = True) -> None:
        """Commit (unless the index is not to be kept), refuse further writes and close the writers."""
        with self._write_lock:
            if keep and not self._closed:
                self._commit()
            self._closed = True
            for generation in self.generations:
                generation.close_writer(wait_for_merges=False)
            self.log.close()

    def _apply(self, batches: list[_Batch]) -> None:
        error: Exception | None = None
        try:
            if self._closed:
                raise StoreError(503, "unavailable_shards_exception", f"index [{self.name}] is closed")
            with panics_caught(f"write to {self.name}"):
                self._recover()
                self._write(batches)
        except Exception as caught:  # noqa: BLE001 - every batch of the write learns of it
            error = caught
            self._abandon()
        self.last_write = time.monotonic()
        for batch in batches:
            batch.error = error
            batch.done = True

    def _write(self, batches: list[_Batch]) -> None:
        if self._uncommitted and any(o.only_at is not None for batch in batches for o in batch.operations):
            self._commit()  # then what is not committed was written since, and has another number
        committed = self._committed_versions(batches)
        accepted: list[tuple[Operation, LoggedOperation]] = []
        for batch in batches:
            batch.outcome = [self._decide(operation, committed, accepted) for operation in batch.operations]
        if not accepted:
            return
        self.log.append([logged for _, logged in accepted])
        newest = self.generations[-1]
        for operation, logged in accepted:
            self._index(logged, operation.values if operation.generation is newest else None)
        if self._uncommitted_bytes > _MAX_UNCOMMITTED_BYTES:
            self._commit()

    def _committed_versions(self, batches: list[_Batch]) -> dict[str, int]:
        """Return the versions of the documents the batches may meet, noting those in older generations."""
        ids = list({o.doc_id for batch in batches for o in batch.operations if not o.id_is_new})
        versions: dict[str, int] = {}
        for generation in self.generations[:-1]:
            versions.update(generation.versions(ids))
        self._in_older.update(versions)
        versions.update(self.generations[-1].versions(ids))
        return versions

    def _decide(
        self,
        operation: Operation,
        committed: dict[str, int],
        accepted: list[tuple[Operation, LoggedOperation]],
    ) -> Written:
        doc_id = operation.doc_id
        version = self._uncommitted.get(doc_id, committed.get(doc_id, 0))
        if operation.action == "create" and version:
            return Written("conflict", version, -1)
        if operation.only_at is not None and not self._is_at(operation.doc_id, operation.only_at):
            return Written("conflict", version, -1)
        sequence, self._next_sequence = self._next_sequence, self._next_sequence + 1
        is_delete = operation.action == "delete"
        action = "delete" if is_delete else "index"
        accepted.append((operation, LoggedOperation(action, doc_id, version + 1, sequence, operation.source)))
        self._uncommitted[doc_id] = 0 if is_delete else version + 1
        if is_delete:
            return Written("deleted" if version else "not_found", version + 1, sequence)
        return Written("updated" if version else "created", version + 1, sequence)

    def _is_at(self, doc_id: str, sequence: int) -> bool:
        """Say whether the document is there with that sequence number."""
        if doc_id in self._uncommitted:
            return False
        found = (generation.get(doc_id) for generation in reversed(self.generations))
        return next((one.sequence for one in found if one is not None), -1) == sequence

    def _index(self, logged: LoggedOperation, values: Values | None) -> None:
        """Give an operation to the writer; `values` are its document's columns, made here when missing."""
        newest = self.generations[-1]
        writer = newest.writer()
        if logged.version > 1:
            writer.delete_documents_by_term(ID, logged.doc_id)
        if logged.action == "delete":
            return
        if values is None:
            values = newest.plan.values(orjson.loads(logged.source), logged.doc_id)
        values[ID] = logged.doc_id
        values[SOURCE] = logged.source
        values[SEQUENCE] = logged.sequence
        values[VERSION] = logged.version
        writer.add_document(tantivy.Document.from_dict(values, newest.schema))
        self._uncommitted_bytes += len(logged.source)

    def _commit(self) -> None:
        """Commit what was written, and clear the log. After an error the log still has it all."""
        try:
            with panics_caught(f"commit of {self.name}"):
                self._recover()
                if self._uncommitted:
                    self._commit_written()
        except Exception:
            self._abandon()
            raise

    def _commit_written(self) -> None:
        superseded = sorted(self._in_older & self._uncommitted.keys())
        if superseded:
            self._note_superseding(superseded)
        self.generations[-1].commit()
        if superseded:
            self._delete_from_older(superseded)
        self.log.clear()
        self._uncommitted.clear()
        self._in_older.clear()
        self._uncommitted_bytes = 0

    def _abandon(self) -> None:
        """Drop what the writers hold after an error; the log is read back before anything else."""
        self._must_recover = True
        self.log.close()
        for generation in self.generations:
            generation.abandon()

    def _recover(self) -> None:
        """After a crash or an error: finish what was begun, and index again what only the log has."""
        if not self._must_recover:
            return
        self._finish_superseding()
        last = max(generation.last_sequence() for generation in self.generations)
        self._next_sequence = last + 1
        self._uncommitted.clear()
        for logged in self.log.replay():
            if logged.sequence <= last:
                continue
            self._index(logged, None)
            self._uncommitted[logged.doc_id] = logged.version if logged.action == "index" else 0
            self._next_sequence = logged.sequence + 1
        ids = list(self._uncommitted)
        self._in_older = {found for older in self.generations[:-1] for found in older.locate(ids)}
        if self._uncommitted:
            self._commit_written()
        self.log.clear()
        self._must_recover = False

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
        """Complete the deletes in older generations that a crash or an error cut short.

        Whatever the note names has a newer state, in the newest generation or in the log. A note that cannot
        be read was never complete: its commit had not begun, and the log has all of it.
        """
        path = self._directory / _PENDING_DELETES
        if not path.exists():
            return
        try:
            self._delete_from_older(orjson.loads(path.read_bytes()))
        except orjson.JSONDecodeError:
            path.unlink()

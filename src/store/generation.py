"""One tantivy index on disk: the documents of a store index that were written under one mapping."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tantivy

from vigie.store.column_plan import ColumnPlan
from vigie.store.columns import (
    ID,
    SEQUENCE,
    SOURCE,
    STANDARD_ANALYZER,
    VERSION,
    Column,
    columns_of,
    tantivy_schema,
)
from vigie.store.mapping import Mapping

# What a writer gathers before it writes a segment. With the smallest that tantivy allows, 15 MB, a tenth of
# the store's time under load went into merging segments.
_WRITER_HEAP_BYTES = 40_000_000


class StorePanicError(Exception):
    """tantivy panicked: a defect of the query engine, not of the request."""


@contextlib.contextmanager
def panics_caught(what: object) -> Iterator[None]:
    """Turn a panic of tantivy, which is no Exception, into a StorePanicError that names what was asked."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise StorePanicError(f"tantivy panicked: {error}; asked: {what}") from error


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it is in the index; `source` is the JSON exactly as it was sent."""

    doc_id: str
    source: bytes
    version: int
    sequence: int


class Generation:
    """Columns, searcher and (while it is being written to) writer of one tantivy index.

    A searcher is a snapshot; `commit` replaces it. Writing is for one thread at a time; reading is free.
    Without a path the index is empty and in memory: queries are compiled against it when no index matches.
    """

    def __init__(self, mapping: Mapping, path: Path | None = None) -> None:
        self.columns: dict[str, Column] = columns_of(mapping)
        self.remap(mapping)
        self.schema = tantivy_schema(self.columns.values())
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
        self._index = tantivy.Index(self.schema, path=None if path is None else str(path))
        self._index.register_tokenizer("standard", STANDARD_ANALYZER)
        self._index.config_reader("manual")
        self._index.reload()
        self.searcher: tantivy.Searcher = self._index.searcher()
        self._writer: tantivy.IndexWriter | None = None

    def remap(self, mapping: Mapping) -> None:
        """Index by `mapping` from now on, which has the same fields with other parameters."""
        self.mapping = mapping
        self.plan = ColumnPlan(mapping, self.columns)

    @property
    def is_open_for_writing(self) -> bool:
        """Whether a writer, with its thread and memory, is held."""
        return self._writer is not None

    def parse(self, text: str, column: Column) -> tantivy.Query:
        """Return the query of tantivy's own language over one column."""
        return self._index.parse_query(text, [column.name])

    def writer(self) -> tantivy.IndexWriter:
        """Return the writer, opening it when needed."""
        if self._writer is None:
            self._writer = self._index.writer(_WRITER_HEAP_BYTES, 1)
        return self._writer

    def commit(self) -> None:
        """Make everything written durable (tantivy syncs its files) and visible to searches."""
        self.writer().commit()
        self._index.reload()
        self.searcher = self._index.searcher()

    def close_writer(self, *, wait_for_merges: bool) -> None:
        """Give the writer's thread and memory back; a merge that is not waited for is begun again later."""
        writer, self._writer = self._writer, None
        if writer is not None and wait_for_merges:
            writer.wait_merging_threads()

    def abandon(self) -> None:
        """Drop the writer with what it has not committed, after an error.

        Waiting is what makes tantivy let go of its lock at once: the error may still refer to the writer.
        """
        with contextlib.suppress(Exception):
            self.close_writer(wait_for_merges=True)

    def locate(self, doc_ids: Sequence[str]) -> dict[str, tantivy.DocAddress]:
        """Return where those of the ids that exist are."""
        if not doc_ids or self.searcher.num_docs == 0:
            return {}
        query = tantivy.Query.term_set_query(self.schema, ID, list(doc_ids))
        found = self.searcher.search(query, limit=len(doc_ids), count=False).hits
        return {self.searcher.doc(address)[ID][0]: address for _, address in found}

    def versions(self, doc_ids: Sequence[str]) -> dict[str, int]:
        """Return the version of those of the ids that exist."""
        located = self.locate(doc_ids)
        numbers = self.searcher.fast_field_values(VERSION, list(located.values()))
        return {doc_id: int(number or 1) for doc_id, number in zip(located, numbers, strict=True)}

    def get(self, doc_id: str) -> StoredDocument | None:
        """Return the document of that id."""
        searcher = self.searcher
        address = self.locate([doc_id]).get(doc_id)
        if address is None:
            return None
        document = searcher.doc(address)
        version = searcher.fast_field_values(VERSION, [address])[0]
        sequence = searcher.fast_field_values(SEQUENCE, [address])[0]
        return StoredDocument(doc_id, document[SOURCE][0], int(version or 1), int(sequence or 0))

    def last_sequence(self, searcher: tantivy.Searcher | None = None) -> int:
        """Return the highest sequence number (of that snapshot); -1 without documents."""
        found = (
            (searcher or self.searcher)
            .search(
                tantivy.Query.all_query(),
                limit=1,
                count=False,
                order_by_field=SEQUENCE,
                order=tantivy.Order.Desc,
            )
            .hits
        )
        return int(found[0][0]) if found else -1

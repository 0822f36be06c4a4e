"""The least that writes documents into a store, to hold the pipeline against.

`python benchmarks/bare_loaders.py elasticsearch DOCUMENTS URL` sends them by the client's `bulk`, in bodies
serialised beforehand, as many at once as a worker of the pipeline has in flight, again after a 429.

`python benchmarks/bare_loaders.py tantivy DOCUMENTS FOLDER` adds them to tantivy indices with the columns
that the embedded store makes of the mappings, in this one process: no HTTP, no look for an id, no log. As
Elasticsearch does, it begins with their JSON; with `columns` for `tantivy` that was read before the clock
starts.

DOCUMENTS are lines of JSON: [index, id, source]; a bulk ends where a line is empty. For tantivy the first
line is an object: index → mapping. Both read and prepare everything, say `ready`, wait for a line, and
print what it took.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import tantivy
from elasticsearch import ApiError

from vigie.indices.store_client import connect_store
from vigie.logs_pipeline.worker import THREADS
from vigie.settings import load_settings
from vigie.store.columns import ID, SEQUENCE, SOURCE, VERSION
from vigie.store.generation import Generation
from vigie.store.mapping import Mapping

IN_FLIGHT: Final = THREADS
"""Bulks at once: as a worker of the pipeline."""
BUSY: Final = 429
PAUSE_SECONDS: Final = 0.02
"""Before a bulk is sent again that a busy store did not take."""


def bulks(documents: Path) -> Iterator[list[Any]]:
    """Yield the documents, bulk by bulk."""
    bulk: list[Any] = []
    with documents.open("rb") as lines:
        for line in lines:
            if line.strip():
                bulk.append(orjson.loads(line))
            else:
                yield bulk
                bulk = []


def elasticsearch(documents: Path, url: str) -> Callable[[], int]:
    """Return what sends the documents; it returns how many were created."""
    address = urlsplit(url)
    settings = load_settings({"ES_HOST": str(address.hostname), "ES_PORT": str(address.port)}, None)
    client = connect_store(settings.store, timeout=60)
    bodies = [
        b"".join(
            b'{"create":{"_index":"%b","_id":"%b"}}\n%b\n'
            % (index.encode(), doc_id.encode(), source.encode())
            for index, doc_id, source in bulk
        )
        for bulk in bulks(documents)
    ]

    def send(body: bytes) -> int:
        while True:
            try:
                answer = client.bulk(operations=body, filter_path="errors,items.*.error")  # type: ignore[arg-type]
            except ApiError as error:
                if error.status_code != BUSY:  # a small heap fills faster than it is collected
                    raise
                time.sleep(PAUSE_SECONDS)
                continue
            if answer["errors"]:
                raise RuntimeError(f"the store refused: {str(answer)[:500]}")
            return body.count(b"\n") // 2

    def load() -> int:
        with ThreadPoolExecutor(IN_FLIGHT) as threads:
            return sum(threads.map(send, bodies))

    return load


def embedded(documents: Path, folder: Path, *, read_before: bool) -> Callable[[], int]:
    """Return what adds the documents to tantivy; it returns how many there are in the end."""
    head, *found = bulks(documents)
    generations = {index: Generation(Mapping(about), folder / index) for index, about in head[0].items()}
    sources = [(index, doc_id, source.encode()) for bulk in found for index, doc_id, source in bulk]

    def columns(number: int, index: str, doc_id: str, source: bytes) -> dict[str, object]:
        values = generations[index].plan.values(orjson.loads(source), doc_id)
        values[ID], values[SOURCE], values[SEQUENCE], values[VERSION] = doc_id, source, number, 1
        return values

    read = [columns(number, *one) for number, one in enumerate(sources)] if read_before else []

    def load() -> int:
        writers = {index: held.writer() for index, held in generations.items()}
        schemas = {index: held.schema for index, held in generations.items()}
        for number, one in enumerate(sources):
            values = read[number] if read_before else columns(number, *one)
            writers[one[0]].add_document(tantivy.Document.from_dict(values, schemas[one[0]]))
        for held in generations.values():
            held.commit()
        return sum(held.searcher.num_docs for held in generations.values())

    return load


def main() -> int:
    """Prepare, wait for the word, load, print."""
    kind, documents, target = sys.argv[1:]
    load = (
        elasticsearch(Path(documents), target)
        if kind == "elasticsearch"
        else embedded(Path(documents), Path(target), read_before=kind == "columns")
    )
    gc.freeze()
    gc.disable()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    started, cpu = time.perf_counter(), time.process_time()
    count = load()
    found = {
        "documents": count,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    sys.stdout.write(f"{orjson.dumps(found).decode()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

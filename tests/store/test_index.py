"""Writing to one index: versions, conflicts, group commit, generations, crashes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vigie.store import index as index_module
from vigie.store.errors import StoreError
from vigie.store.index import Operation, StoreIndex
from vigie.store.mapping import Mapping
from vigie.store.write_ahead_log import LoggedOperation

FIRST = Mapping({"dynamic": "false", "properties": {"k": {"type": "keyword"}}})
SECOND = FIRST.merged({"properties": {"l": {"type": "long"}}})


def failing(error: Exception) -> Callable[..., None]:
    """Return a function that raises."""

    def fail(*_: object) -> None:
        raise error

    return fail


def write(index: StoreIndex, *operations: tuple[str, str]) -> list[str]:
    """Write documents {"k": id} and return the results."""
    batch = [Operation(action, doc_id, b'{"k":"%s"}' % doc_id.encode()) for action, doc_id in operations]
    return [written.result for written in index.write(batch)]


def test_results_within_one_batch(tmp_path: Path) -> None:
    """Operations see those before them in their own batch."""
    index = StoreIndex("i", tmp_path, [FIRST])
    operations = [
        ("create", "a"),
        ("create", "a"),
        ("index", "a"),
        ("delete", "a"),
        ("delete", "a"),
        ("create", "a"),
    ]
    assert write(index, *operations) == ["created", "conflict", "updated", "deleted", "not_found", "created"]
    index.refresh()
    assert index.document_count == 1
    index.close()


def test_concurrent_creates_of_one_id(tmp_path: Path) -> None:
    """Of many threads that create the same ids, each id is created once and refused to all others."""
    index = StoreIndex("i", tmp_path, [FIRST])
    results: list[str] = []
    start = threading.Barrier(8)

    def create() -> None:
        start.wait()
        results.extend(write(index, *[("create", f"id-{number}") for number in range(20)]))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("created") == 20
    assert results.count("conflict") == 140
    index.refresh()
    assert index.document_count == 20
    index.close()


def test_batches_that_wait_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one batch is made durable the others gather, and need one more sync between them all."""
    index = StoreIndex("i", tmp_path, [FIRST])
    syncs: list[int] = []
    syncing = threading.Event()
    release = threading.Event()
    append = index.log.append

    def held(operations: Sequence[LoggedOperation]) -> None:
        syncs.append(len(operations))
        syncing.set()
        release.wait()
        append(operations)

    monkeypatch.setattr(index.log, "append", held)
    threads = [threading.Thread(target=write, args=(index, ("create", f"id-{n}"))) for n in range(6)]
    threads[0].start()
    assert syncing.wait(10)
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 10
    while index.waiting < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    release.set()
    for thread in threads:
        thread.join()
    assert syncs == [1, 5]
    index.refresh()
    assert index.document_count == 6
    index.close()


def crash(index: StoreIndex) -> None:
    """Leave the index as a killed process would: nothing is committed any more."""
    index.log.close()
    for generation in index.generations:
        generation.abandon()


def test_what_was_written_and_not_committed_is_read_back(tmp_path: Path) -> None:
    """After a crash, creates, replacements and deletes are there with their versions, and ids conflict."""
    index = StoreIndex("i", tmp_path, [FIRST])
    write(index, ("create", "kept"), ("create", "gone"))
    index.refresh()
    write(
        index,
        ("index", "kept"),
        ("delete", "gone"),
        ("create", "new"),
        ("create", "brief"),
        ("delete", "brief"),
    )
    crash(index)
    again = StoreIndex("i", tmp_path, [FIRST])
    assert again.document_count == 2
    held = again.get("kept")
    assert held is not None
    assert (held.version, held.sequence) == (2, 2)
    assert write(again, ("create", "new"), ("create", "gone")) == ["conflict", "created"]
    fresh = again.get("gone")
    assert fresh is not None
    assert fresh.sequence == 7
    again.close()


def test_a_log_that_was_committed_already_changes_nothing(tmp_path: Path) -> None:
    """A crash between a commit and the clearing of the log leaves a log whose operations are all known."""
    index = StoreIndex("i", tmp_path, [FIRST])
    write(
        index,
        ("create", "a"),
        ("create", "b"),
        ("delete", "a"),
        ("index", "b"),
        ("create", "c"),
        ("delete", "c"),
    )
    log = (tmp_path / "operations.log").read_bytes()
    index.close()
    (tmp_path / "operations.log").write_bytes(log)
    again = StoreIndex("i", tmp_path, [FIRST])
    assert again.document_count == 1
    held = again.get("b")
    assert held is not None
    assert held.version == 2
    assert (tmp_path / "operations.log").read_bytes() == b""
    again.close()


def test_a_large_log_is_committed_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any reader, the log stays below its bound."""
    monkeypatch.setattr(index_module, "_MAX_UNCOMMITTED_BYTES", 50)
    index = StoreIndex("i", tmp_path, [FIRST])
    for number in range(10):
        write(index, ("create", f"id-{number}"))
    assert index.document_count >= 5
    assert (tmp_path / "operations.log").stat().st_size < 400
    index.close()


def test_reopening_keeps_documents_versions_and_sequence(tmp_path: Path) -> None:
    """What was committed is there in a new process's index, with its numbering."""
    index = StoreIndex("i", tmp_path, [FIRST])
    write(index, ("create", "a"), ("index", "a"), ("create", "b"))
    index.close()
    again = StoreIndex("i", tmp_path, [FIRST])
    held = again.get("a")
    assert held is not None
    assert (held.version, held.sequence, held.source) == (2, 1, b'{"k":"a"}')
    assert write(again, ("create", "c")) == ["created"]
    newest = again.get("c")
    assert newest is not None
    assert newest.sequence == 3
    again.close()


def test_writers_close_and_open_again(tmp_path: Path) -> None:
    """An index without writers takes no threads, and the next write opens one."""
    index = StoreIndex("i", tmp_path, [FIRST])
    assert not index.is_open_for_writing
    write(index, ("create", "a"))
    assert index.is_open_for_writing
    index.close_writers(wait_for_merges=True)
    assert not index.is_open_for_writing
    assert write(index, ("create", "a"), ("create", "b")) == ["conflict", "created"]
    index.close()


def test_a_closed_index_refuses(tmp_path: Path) -> None:
    """A write that comes while the store stops is refused as retriable."""
    index = StoreIndex("i", tmp_path, [FIRST])
    index.close()
    with pytest.raises(StoreError) as refused:
        write(index, ("create", "a"))
    assert refused.value.status == 503


def test_a_failed_sync_is_told_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses the log, the batch fails and never comes with a later one."""
    index = StoreIndex("i", tmp_path, [FIRST])
    with monkeypatch.context() as patch:
        patch.setattr(index.log, "append", failing(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            write(index, ("create", "lost"))
    assert write(index, ("create", "kept")) == ["created"]
    assert index.get("lost") is None
    assert index.document_count == 1
    index.close()


def test_a_failed_commit_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader whose commit fails is told; what was acknowledged comes with the next one, still unique."""
    index = StoreIndex("i", tmp_path, [FIRST])
    write(index, ("create", "a"))
    with monkeypatch.context() as patch:
        patch.setattr(index.generations[-1], "commit", failing(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            index.refresh()
    assert write(index, ("create", "a"), ("create", "b")) == ["conflict", "created"]
    index.refresh()
    assert index.document_count == 2
    index.close()


def test_a_new_generation_replaces_documents_of_the_old(tmp_path: Path) -> None:
    """An id is found, conflicts and is replaced whichever generation it is in."""
    index = StoreIndex("i", tmp_path, [FIRST])
    write(index, ("create", "a"), ("create", "b"), ("create", "c"))
    index.add_generation(SECOND)
    assert write(index, ("create", "a"), ("index", "b"), ("delete", "c")) == [
        "conflict",
        "updated",
        "deleted",
    ]
    index.refresh()
    assert index.document_count == 2
    held = index.get("b")
    assert held is not None
    assert held.version == 2
    index.close()
    again = StoreIndex("i", tmp_path, [FIRST, SECOND])
    assert again.document_count == 2
    again.close()


@pytest.mark.parametrize("committed", [True, False])
def test_a_crash_between_two_generations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """Killed before or after the newest commit, replaced ids are there once and deleted ones gone."""
    index = StoreIndex("i", tmp_path, [FIRST])
    write(index, ("create", "a"), ("create", "b"), ("create", "c"))
    index.add_generation(SECOND)
    write(index, ("index", "a"), ("delete", "b"), ("create", "d"))
    name = "_delete_from_older" if committed else "commit"
    owner = index if committed else index.generations[-1]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing(SystemError("killed")))
        with pytest.raises(SystemError):
            index.refresh()
    crash(index)
    again = StoreIndex("i", tmp_path, [FIRST, SECOND])
    held = again.get("a")
    assert held is not None
    assert held.version == 2
    assert again.get("b") is None
    assert again.document_count == 3
    again.close()


def test_a_note_cut_short_by_a_crash_is_ignored(tmp_path: Path) -> None:
    """A half-written note of pending deletes means that nothing was committed yet."""
    index = StoreIndex("i", tmp_path, [FIRST])
    write(index, ("create", "a"))
    index.close()
    (tmp_path / "superseded.json").write_bytes(b'["a')
    again = StoreIndex("i", tmp_path, [FIRST])
    assert again.document_count == 1
    assert not (tmp_path / "superseded.json").exists()
    again.close()

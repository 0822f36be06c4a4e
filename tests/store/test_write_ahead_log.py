"""The log: what is read back, and what a crash may do to it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vigie.store.write_ahead_log import LoggedOperation, WriteAheadLog

OPERATIONS = st.lists(
    st.builds(
        LoggedOperation,
        st.sampled_from(["index", "delete"]),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.integers(1, 2**60),
        st.integers(0, 2**60),
        st.binary(max_size=50),
    ),
    min_size=1,
    max_size=4,
)


def replayed(path: Path) -> list[LoggedOperation]:
    """Return what a log file holds."""
    return list(WriteAheadLog(path).replay())


@given(batches=st.lists(OPERATIONS, max_size=4))
def test_what_was_appended_is_read_back(
    tmp_path_factory: object, batches: list[list[LoggedOperation]]
) -> None:
    """Every operation comes back in order, whatever bytes its source has."""
    path = tmp_path_factory.mktemp("log") / "log"  # type: ignore[attr-defined] # pytest's factory
    log = WriteAheadLog(path)
    for batch in batches:
        log.append(batch)
    assert replayed(path) == [operation for batch in batches for operation in batch]
    log.clear()
    assert replayed(path) == []
    log.close()


def test_a_record_that_was_cut_short_ends_the_log(tmp_path: Path) -> None:
    """At whatever byte the last record was cut, or whichever was changed, the ones before it are whole."""
    path = tmp_path / "log"
    log = WriteAheadLog(path)
    first = LoggedOperation("index", "a", 1, 0, b'{"x":1}')
    second = LoggedOperation("delete", "b", 2, 1, b"")
    log.append([first])
    kept = path.stat().st_size
    log.append([second])
    log.close()
    whole = path.read_bytes()
    for end in range(kept, len(whole)):
        path.write_bytes(whole[:end])
        assert replayed(path) == [first]
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert replayed(path) == [first]


def test_an_absent_log_is_empty(tmp_path: Path) -> None:
    """An index that was never written to has no log, and clearing it makes none."""
    log = WriteAheadLog(tmp_path / "log")
    log.clear()
    assert list(log.replay()) == []
    assert not (tmp_path / "log").exists()

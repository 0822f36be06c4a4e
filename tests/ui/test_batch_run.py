"""Every row of a table is answered once, whatever becomes of the requests that carry it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from tests.servers import free_port
from tests.ui.batch_api import BatchApi, batch_api, client_of
from tests.ui.batches import NAMES, SCHEMA, VALID, table_of, text_of

from vigie.ui.api_client import ApiClient
from vigie.ui.batch import run as run_module
from vigie.ui.batch.records import Records
from vigie.ui.batch.results import RowAnswer, answers_in
from vigie.ui.batch.run import Run, wait_seconds

ROOMY = 1 << 20


@pytest.fixture(scope="module")
def _served() -> Iterator[BatchApi]:
    with batch_api() as double:
        yield double


@pytest.fixture
def api(_served: BatchApi, monkeypatch: pytest.MonkeyPatch) -> BatchApi:
    """A fresh double; nothing waits long between two attempts."""
    monkeypatch.setattr(run_module, "FIRST_WAIT_SECONDS", 0.01)
    _served.__init__(url=_served.url)  # type: ignore[misc]  # as new
    return _served


@pytest.fixture
async def client(api: BatchApi) -> AsyncIterator[ApiClient]:
    """The page's client for it."""
    client = client_of(api.url)
    yield client
    await client.close()


def run_of(client: ApiClient, rows: int, chunk_rows: int = 10, chunk_bytes: int = ROOMY) -> Run:
    """Return a run on rows that are 0, 1, 2 … (modulo 100) years old, every other one male."""
    table = table_of(text_of(NAMES, *([str(n % 100), str(n % 2), *VALID[2:]] for n in range(rows))))
    return Run(table, Records(table, SCHEMA), client.ask, chunk_rows, chunk_bytes)


async def finish(run: Run) -> None:
    """Send what has no answer yet."""
    run.prepare()
    await run()


async def test_all_rows_are_answered_in_their_place(api: BatchApi, client: ApiClient) -> None:
    """Chunks go out some at a time, and each answer lands at its row."""
    run = run_of(client, 95)
    await finish(run)

    assert run.state == "done"
    assert sorted(api.chunks) == [5, *[10] * 9]
    assert 1 < api.most_together <= run_module.AT_ONCE
    answers = run.results.get(0, 95)
    assert [answer and answer.transaction_id for answer in answers] == [f"id-{n}" for n in range(95)]
    summary = run.results.summary
    assert (summary.answered, summary.refused, summary.labels) == (95, 0, {"NO": 48, "YES": 47})
    assert summary.mean_probability == pytest.approx((48 * 0.25 + 47 * 0.75) / 95)


async def test_refused_rows_have_the_apis_reason(api: BatchApi, client: ApiClient) -> None:
    """A faulty row is sent as it is and its refusal is its answer; the others are predicted."""
    table = table_of(text_of(NAMES, VALID, ["old", *VALID[1:]], VALID))
    run = Run(table, Records(table, SCHEMA), client.ask, 10, ROOMY)
    await finish(run)

    assert api.ages == [63, "old", 63]
    assert [answer and answer.error for answer in run.results.get(0, 3)] == [None, "AGE is required", None]
    assert (run.results.refused, run.results.summary.refused) == ([1], 1)


async def test_a_busy_api_is_asked_again(api: BatchApi, client: ApiClient) -> None:
    """503 with Retry-After is waited out; nothing is lost, nothing is answered twice."""
    api.faults = ["503", "503", "", "503"]
    run = run_of(client, 30)
    await finish(run)

    assert (run.state, run.patience.waits, run.patience.lost_rows) == ("done", 3, 0)
    assert sorted(map(int, (str(age) for age in api.ages))) == list(range(30))
    assert run.results.summary.answered == 30


async def test_a_lost_answer_is_asked_for_again_and_told(api: BatchApi, client: ApiClient) -> None:
    """Rows whose answer was lost are sent again under the same request id, counted once, and said to be so."""
    api.faults = ["lost", "lost"]
    run = run_of(client, 10)
    await finish(run)

    assert (run.state, run.results.summary.answered) == ("done", 10)
    assert (run.patience.lost_rows, len(run.patience.lost_chunks)) == (10, 1)
    assert api.request_ids == {run.patience.lost_chunks[0]: 3}


async def test_an_api_that_fails_for_good_ends_the_run_which_can_go_on(
    api: BatchApi, client: ApiClient
) -> None:
    """A 500 is told and nothing more is sent; going on sends only what has no answer."""
    api.faults = ["", "500"]
    run = run_of(client, 100)
    await finish(run)

    assert run.state == "failed"
    assert run.failure is not None and run.failure.status == 500
    assert run.results.summary.answered < 100
    await finish(run)
    assert (run.state, run.failure) == ("done", None)
    assert sorted(map(int, (str(age) for age in api.ages))) == list(range(100))


async def test_an_api_that_stays_away_is_given_up_after_some_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Attempts are bounded, and what never arrived is not called lost."""
    monkeypatch.setattr(run_module, "FIRST_WAIT_SECONDS", 0.01)
    client = client_of(f"http://127.0.0.1:{free_port()}")
    run = run_of(client, 10)
    await finish(run)
    await client.close()

    assert run.state == "failed"
    assert run.failure is not None and run.failure.status is None
    assert (run.patience.waits, run.patience.lost_rows) == (run_module.MOST_ATTEMPTS - 1, 0)


async def test_an_answer_that_is_none_ends_the_run(api: BatchApi, client: ApiClient) -> None:
    """What does not hold each row once is not taken for an answer."""
    api.faults = ["nonsense"]
    run = run_of(client, 5)
    await finish(run)

    assert (run.state, run.results.summary.answered) == ("failed", 0)
    assert run.failure is not None and run.failure.title == "failure.not_understood"


async def test_stopping_waits_for_what_is_under_way_and_sends_no_more(
    api: BatchApi, client: ApiClient
) -> None:
    """After a stop the answers under way are kept, and the rest can follow later."""
    run = run_of(client, 500)
    run.prepare()
    task = asyncio.create_task(run())
    while not run.results.summary.answered:
        await asyncio.sleep(0)
    run.stop()
    await task

    assert run.state == "stopped"
    assert run.results.summary.answered == len(api.ages) < 500
    await finish(run)
    assert (run.state, len(api.ages), run.results.summary.answered) == ("done", 500, 500)


async def test_stopping_does_not_wait_for_a_retry(
    api: BatchApi, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stops while the API is away is not kept waiting for it."""
    monkeypatch.setattr(run_module, "wait_seconds", lambda *_: 1000.0)
    monkeypatch.setattr(run_module, "LONGEST_WAIT_SECONDS", 1000.0)
    api.faults = ["503"]
    run = run_of(client, 5)
    run.prepare()
    task = asyncio.create_task(run())
    while not run.patience.waits:
        await asyncio.sleep(0)
    run.stop()
    await asyncio.wait_for(task, 60)

    assert run.state == "stopped"


async def test_what_is_kept_while_the_disk_refuses_another_chunk_is_sent_once(
    api: BatchApi, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk that the disk refused comes again, the one that was being written just then does not."""
    run = run_of(client, 20)
    keep, writing = run.results.keep, threading.Barrier(2, timeout=10)

    def one_refused(first: int, answers: Sequence[RowAnswer]) -> None:
        writing.wait()
        if first == 0:
            raise OSError(28, "No space left on device")
        time.sleep(0.1)  # the other is cancelled meanwhile
        keep(first, answers)

    monkeypatch.setattr(run.results, "keep", one_refused)
    with pytest.raises(ExceptionGroup):
        await finish(run)
    assert run.results.summary.answered == 10
    monkeypatch.undo()
    await finish(run)
    assert (run.state, run.results.summary.answered, sorted(api.chunks)) == ("done", 20, [10, 10, 10])


async def test_a_chunk_is_cut_to_the_bytes_that_the_api_takes(api: BatchApi, client: ApiClient) -> None:
    """Rows of long texts go in smaller chunks."""
    run = run_of(client, 40, chunk_rows=40, chunk_bytes=2500)
    await finish(run)

    assert max(api.chunks) < 40
    assert sorted(map(int, (str(age) for age in api.ages))) == list(range(40))


@pytest.mark.parametrize(
    ("retry_after", "attempt", "seconds"),
    [
        ("3", 1, 3.0),
        ("0", 5, 0.0),
        (None, 1, 1.0),
        (None, 4, 8.0),
        ("soon", 2, 2.0),
        ("-1", 1, 1.0),
        ("²", 1, 1.0),
    ],
)
def test_waiting_follows_the_api_and_else_doubles(
    retry_after: str | None, attempt: int, seconds: float
) -> None:
    """Retry-After in seconds is obeyed; anything else there is not."""
    assert wait_seconds(retry_after, attempt) == seconds


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"results": [{"index": 0, "transaction_id": "a", "prediction": 1}]},
        {"results": [{"index": 0, "transaction_id": "a", "prediction": 1}] * 2},
        {"results": [{"index": n, "transaction_id": "a"} for n in range(2)]},
        {"results": [{"index": n, "transaction_id": "a", "prediction": "1; DROP"} for n in range(2)]},
    ],
)
def test_only_one_answer_for_each_row_is_an_answer(document: object) -> None:
    """Too few rows, a row twice, neither prediction nor error: none of it is taken."""
    with pytest.raises(ValueError, match="row"):
        answers_in(document, 2)

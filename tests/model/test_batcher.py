"""Zero-wait micro-batching."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.model.batcher import Batcher, InferenceError, QueueFullError

Call = tuple[int, ...]


def make(
    run: Callable[[Sequence[Call]], Sequence[object]],
    executor: Executor | None = None,
    max_rows: int = 64,
    max_waiting: int = 1000,
) -> Batcher[Call, object]:
    """Return a batcher of calls that are tuples of numbers."""
    return Batcher(run, executor=executor, max_rows=max_rows, max_waiting=max_waiting)


async def gathered(batcher: Batcher[Call, object], calls: Sequence[Call]) -> list[object]:
    """Submit all calls at once and return their outcomes or exceptions."""
    return await asyncio.gather(*(submitted(batcher, call) for call in calls), return_exceptions=True)


async def submitted(batcher: Batcher[Call, object], call: Call) -> object:
    """Submit one call and return its outcome, as a request does."""
    return await batcher.submit(call)


async def test_what_arrives_in_one_turn_is_one_batch() -> None:
    """Calls that are ready in the same turn of the loop share one run, without waiting for more."""
    batches: list[list[Call]] = []

    def run(calls: Sequence[Call]) -> Sequence[object]:
        batches.append(list(calls))
        return calls

    assert await gathered(make(run), [(1,), (2,), (3,)]) == [(1,), (2,), (3,)]
    assert batches == [[(1,), (2,), (3,)]]


async def test_a_lone_call_does_not_wait() -> None:
    """One call is a batch of its own in the next turn of the loop."""
    batcher = make(lambda calls: calls)
    task = asyncio.create_task(submitted(batcher, (7,)))
    for _ in range(4):
        await asyncio.sleep(0)
    assert task.done()
    assert task.result() == (7,)


async def test_a_batch_holds_whole_calls_up_to_the_cap() -> None:
    """Rows are counted, calls are never split, and a call larger than the cap runs alone."""
    sizes: list[list[int]] = []

    def run(calls: Sequence[Call]) -> Sequence[object]:
        sizes.append([len(call) for call in calls])
        return calls

    await gathered(make(run, max_rows=4), [(1, 2), (3, 4), (5,), (1, 2, 3, 4, 5, 6), (9,)])
    assert sizes == [[2, 2], [1], [6], [1]]


@pytest.mark.parametrize("threaded", [False, True])
async def test_only_the_guilty_call_fails(threaded: bool) -> None:
    """When a batch fails its calls run one by one; each guilty one gets an exception of its own."""

    def run(calls: Sequence[Call]) -> Sequence[object]:
        if any(call[0] < 0 for call in calls):
            raise StopIteration("negative")
        return [call[0] * 10 for call in calls]

    with ThreadPoolExecutor(1) as threads:
        outcomes = await gathered(make(run, threads if threaded else None), [(1,), (-2,), (3,), (-4,)])
    assert [outcomes[0], outcomes[2]] == [10, 30]
    assert all(isinstance(outcome, InferenceError) for outcome in (outcomes[1], outcomes[3]))
    assert outcomes[1] is not outcomes[3]
    assert isinstance(outcomes[1].__cause__, StopIteration)  # type: ignore[union-attr]


async def test_a_short_answer_is_a_failure_not_a_mix() -> None:
    """A run that returns fewer outcomes than calls fails them instead of answering one with another's."""
    outcomes = await gathered(make(lambda calls: calls[:-1]), [(1,), (2,)])
    assert all(isinstance(outcome, InferenceError) for outcome in outcomes)


async def test_a_full_queue_refuses_at_once() -> None:
    """Above the bound a call is refused immediately, and those before it are answered."""
    batcher = make(lambda calls: calls, max_waiting=2)
    outcomes = await gathered(batcher, [(1,), (2,), (3,)])
    assert outcomes[:2] == [(1,), (2,)]
    assert isinstance(outcomes[2], QueueFullError)
    assert await batcher.submit((4,)) == (4,)


async def test_a_cancelled_call_leaves_the_queue() -> None:
    """A caller that stops waiting is neither computed nor counted, and the others are answered."""
    release = threading.Event()
    seen: list[Call] = []

    def run(calls: Sequence[Call]) -> Sequence[object]:
        release.wait(10)
        seen.extend(calls)
        return calls

    with ThreadPoolExecutor(1) as threads:
        batcher = make(run, threads)
        running = asyncio.create_task(submitted(batcher, (1,)))
        while batcher.waiting or not running:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        late = asyncio.create_task(submitted(batcher, (2,)))
        other = asyncio.create_task(submitted(batcher, (3,)))
        await asyncio.sleep(0)
        assert batcher.waiting == 2
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        assert batcher.waiting == 1
        release.set()
        assert await asyncio.gather(running, other) == [(1,), (3,)]
    assert seen == [(1,), (3,)]


@pytest.mark.parametrize("threaded", [False, True])
async def test_a_call_cancelled_while_it_runs_hurts_nobody(threaded: bool) -> None:
    """The outcome of a call whose caller left during the run is dropped; its neighbours get theirs."""
    tasks: list[asyncio.Task[object]] = []
    loop = asyncio.get_running_loop()

    def run(calls: Sequence[Call]) -> Sequence[object]:
        if threaded:
            loop.call_soon_threadsafe(tasks[0].cancel)
        else:
            tasks[0].cancel()
        return calls

    with ThreadPoolExecutor(1) as threads:
        batcher = make(run, threads if threaded else None)
        tasks += [asyncio.create_task(submitted(batcher, call)) for call in ((1,), (2,))]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1] == (2,)


async def test_after_the_thread_has_ended_calls_fail_instead_of_hanging() -> None:
    """A batcher whose executor is shut down answers every call with a failure."""
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    outcomes = await gathered(make(lambda calls: calls, threads), [(1,), (2,)])
    assert all(isinstance(outcome, InferenceError) for outcome in outcomes)


async def test_after_its_end_calls_fail_and_nothing_is_held() -> None:
    """A closed batcher lets go of its model and answers every call with a failure."""

    class Model:
        def run(self, calls: Sequence[Call]) -> Sequence[object]:
            return calls

    model = Model()
    held = weakref.ref(model)
    batcher = make(model.run)
    batcher.close()
    del model
    assert held() is None
    (outcome,) = await gathered(batcher, [(1,)])
    assert isinstance(outcome, InferenceError)


async def test_one_guilty_call_among_many_costs_few_runs() -> None:
    """A failed batch is halved, so that a request which is always guilty does not undo the batching."""
    sizes: list[int] = []

    def run(calls: Sequence[Call]) -> Sequence[object]:
        sizes.append(len(calls))
        if (13,) in calls:
            raise ValueError("thirteen")
        return calls

    outcomes = await gathered(make(run), [(n,) for n in range(32)])
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, InferenceError)] == [13]
    assert len(sizes) == 11  # the whole, then two halves at each of five levels


async def test_cancelled_calls_make_room_and_cost_no_batch() -> None:
    """However many callers give up while the model is busy, those who stay are served in their order."""
    release, batches = threading.Event(), []

    def run(calls: Sequence[Call]) -> Sequence[object]:
        batches.append([call[0] for call in calls])
        release.wait(60)
        return calls

    with ThreadPoolExecutor(1) as threads:
        batcher = make(run, threads, max_rows=4, max_waiting=8)
        first = batcher.submit((0,))
        while not batches:
            await asyncio.sleep(0.001)
        for turn in range(50):
            leaving = [batcher.submit((100 + turn,)) for _ in range(8)]
            with pytest.raises(QueueFullError):
                batcher.submit((1,))
            for place in leaving:
                place.cancel()
            assert batcher.waiting == 0
        staying: list[asyncio.Future[object]] = []
        for n in range(1, 7):
            leaving = [batcher.submit((100,))]
            staying.append(batcher.submit((n,)))
            leaving[0].cancel()
        release.set()
        assert await asyncio.gather(first, *staying) == [(n,) for n in range(7)]
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]


@given(
    calls=st.lists(
        st.lists(st.integers(0, 10**6), min_size=1, max_size=5).map(tuple), min_size=1, max_size=40
    ),
    guilty=st.integers(0, 10**6),
    max_rows=st.integers(1, 16),
    threaded=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_rows_are_never_mixed(calls: list[Call], guilty: int, max_rows: int, threaded: bool) -> None:
    """Whatever the batches and failures, each caller gets the outcome of its own rows."""

    def run(batch: Sequence[Call]) -> Sequence[object]:
        if any(guilty in call for call in batch):
            raise ValueError("guilty")
        return [tuple(-row for row in call) for call in batch]

    with ThreadPoolExecutor(1) as threads:
        batcher = make(run, threads if threaded else None, max_rows)
        outcomes = asyncio.run(gathered(batcher, calls))
    for call, outcome in zip(calls, outcomes, strict=True):
        if guilty in call:
            assert isinstance(outcome, InferenceError)
        else:
            assert outcome == tuple(-row for row in call)

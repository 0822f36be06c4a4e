"""Zero-wait micro-batching: inference takes whatever is waiting, up to a cap, and never waits for more.

A cheap model runs on the event loop itself, coalescing what arrived in one turn of it, since a thread
hop would cost more than the model; a slow one runs in a single thread, so that the loop stays free.
All state is touched on the loop's thread only, so there are no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Sized
from concurrent.futures import Executor
from itertools import islice
from typing import Generic, TypeVar

CallT = TypeVar("CallT", bound=Sized)
"""One caller's work; its length is its number of rows."""
OutcomeT = TypeVar("OutcomeT")


class QueueFullError(Exception):
    """As many calls are waiting as are let in; the caller should come back later."""


class InferenceError(Exception):
    """Inference failed for this call; the cause is the model's own exception."""


class Batcher(Generic[CallT, OutcomeT]):
    """Runs `run` over the waiting calls, batch after batch.

    `run` gets calls and returns one outcome per call, in order. With an `executor` (of one thread) it
    runs there, else on the event loop. A batch holds whole calls, up to `max_rows` rows, but at least
    one call. Above `max_waiting` calls, `submit` refuses.
    """

    def __init__(
        self,
        run: Callable[[Sequence[CallT]], Sequence[OutcomeT]],
        *,
        executor: Executor | None,
        max_rows: int,
        max_waiting: int,
    ) -> None:
        self._run = run
        self._executor = executor
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._waiting: dict[asyncio.Future[OutcomeT], CallT] = {}
        self._active = False

    @property
    def waiting(self) -> int:
        """Calls in the queue that no batch has taken yet."""
        return sum(not future.done() for future in self._waiting)

    def submit(self, call: CallT) -> asyncio.Future[OutcomeT]:
        """Queue `call`; the future gets its outcome, or InferenceError when it fails by itself.

        A plain function rather than a coroutine, which would cost each request another microsecond. To cancel
        the future (as a time-out does to whoever awaits it) is to leave the queue. Raises QueueFullError at
        once when the queue is full.
        """
        if len(self._waiting) >= self._max_waiting and self.waiting >= self._max_waiting:
            raise QueueFullError(f"{self._max_waiting} calls are waiting for the model")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[OutcomeT] = loop.create_future()
        self._waiting[future] = call
        if not self._active:
            self._active = True
            # The next turn of the loop: whatever else is ready in this one joins the batch.
            loop.call_soon(self._next, loop)
        return future

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        futures, calls = self._take()
        if not calls:
            self._active = False
        elif self._executor is None:
            _settle(futures, self.attempt(calls))
            loop.call_soon(self._next, loop)
        else:
            try:
                job = loop.run_in_executor(self._executor, self.attempt, calls)
            except RuntimeError as error:  # the executor is shut down: the process is ending
                _settle(futures, [_failure(error) for _ in calls])
                loop.call_soon(self._next, loop)
                return
            job.add_done_callback(lambda done: self._finish(loop, futures, done))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        futures: list[asyncio.Future[OutcomeT]],
        done: asyncio.Future[list[OutcomeT | InferenceError]],
    ) -> None:
        if done.cancelled():
            for future in futures:
                future.cancel()
        else:
            _settle(futures, done.result())
        self._next(loop)

    def _take(self) -> tuple[list[asyncio.Future[OutcomeT]], list[CallT]]:
        """Remove the next batch from the queue, oldest first; cancelled calls are dropped."""
        futures: list[asyncio.Future[OutcomeT]] = []
        calls: list[CallT] = []
        rows = looked_at = 0
        for future, call in self._waiting.items():
            if not future.done():
                if calls and rows + len(call) > self._max_rows:
                    break
                futures.append(future)
                calls.append(call)
                rows += len(call)
            looked_at += 1
        if looked_at == len(self._waiting):
            self._waiting.clear()
        else:
            for future in [*islice(self._waiting, looked_at)]:
                del self._waiting[future]
        return futures, calls

    def attempt(self, calls: Sequence[CallT]) -> list[OutcomeT | InferenceError]:
        """Run the batch; when it fails, each call by itself, so that only the guilty one fails."""
        try:
            outcomes = self._run(calls)
            if len(outcomes) != len(calls):
                raise ValueError(f"{len(outcomes)} outcomes for {len(calls)} calls")
            return list(outcomes)
        except BaseException as error:  # noqa: BLE001 - whatever a model raises, its caller must hear of it
            if len(calls) == 1:
                return [_failure(error)]
        return [self.attempt([call])[0] for call in calls]


def _failure(error: BaseException) -> InferenceError:
    """Wrap `error` into an exception of the call's own (one instance must not settle two futures)."""
    failure = InferenceError(f"{type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _settle(
    futures: Sequence[asyncio.Future[OutcomeT]], outcomes: Sequence[OutcomeT | InferenceError]
) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():  # its caller was cancelled while the batch ran
            continue
        if isinstance(outcome, InferenceError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

"""Zero-wait micro-batching: inference takes whatever is waiting, up to a cap, and never waits for more.

A cheap model runs on the event loop itself, coalescing what arrived in one turn of it, since a thread
hop would cost more than the model; a slow one runs in a single thread, so that the loop stays free.
All state is touched on the loop's thread only, so there are no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Sized
from concurrent.futures import Executor
from typing import Any, Generic, TypeVar

CallT = TypeVar("CallT", bound=Sized)
"""One caller's work; its length is its number of rows."""
OutcomeT = TypeVar("OutcomeT")


class QueueFullError(Exception):
    """As many calls are waiting as are let in; the caller should come back later."""


class InferenceError(Exception):
    """Inference failed for this call; the cause is the model's own exception."""


class _Place(asyncio.Future[OutcomeT]):
    """A caller's place in the queue: cancelled, it is free at once."""

    _queue: dict[_Place[OutcomeT], Any] | None = None

    def enter(self, queue: dict[_Place[OutcomeT], CallT], call: CallT) -> None:
        """Stand behind everybody else in `queue`."""
        queue[self] = call
        self._queue = queue

    def cancel(self, msg: Any = None) -> bool:
        """Leave the queue, as a time-out makes its caller do."""
        if self._queue is not None:
            self._queue.pop(self, None)
        return super().cancel(msg)


class Batcher(Generic[CallT, OutcomeT]):
    """Runs `run` over the waiting calls, batch after batch, in the order of their arrival.

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
        self._waiting: dict[_Place[OutcomeT], CallT] = {}
        self._active = False

    @property
    def waiting(self) -> int:
        """Calls in the queue that no batch has taken yet."""
        return len(self._waiting)

    def submit(self, call: CallT) -> asyncio.Future[OutcomeT]:
        """Queue `call`; the future gets its outcome, or InferenceError when it fails by itself.

        A plain function rather than a coroutine, which would cost each request another microsecond. To cancel
        the future (as a time-out does to whoever awaits it) is to leave the queue. Raises QueueFullError at
        once when the queue is full.
        """
        if len(self._waiting) >= self._max_waiting:
            raise QueueFullError(f"{self._max_waiting} calls are waiting for the model")
        loop = asyncio.get_running_loop()
        place: _Place[OutcomeT] = _Place(loop=loop)
        place.enter(self._waiting, call)
        if not self._active:
            self._active = True
            # The next turn of the loop: whatever else is ready in this one joins the batch.
            loop.call_soon(self._next, loop)
        return place

    def close(self) -> None:
        """Let go of `run`, and of all that it holds; calls fail from now on."""
        self._run = _closed

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        places, calls = self._take()
        if not calls:
            self._active = False
        elif self._executor is None:
            _settle(places, self.attempt(calls))
            loop.call_soon(self._next, loop)
        else:
            try:
                job = loop.run_in_executor(self._executor, self.attempt, calls)
            except RuntimeError as error:  # the executor is shut down: the process is ending
                _settle(places, [_failure(error) for _ in calls])
                loop.call_soon(self._next, loop)
                return
            job.add_done_callback(lambda done: self._finish(loop, places, done))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        places: list[_Place[OutcomeT]],
        done: asyncio.Future[list[OutcomeT | InferenceError]],
    ) -> None:
        if done.cancelled():
            for place in places:
                place.cancel()
        else:
            _settle(places, done.result())
        self._next(loop)

    def _take(self) -> tuple[list[_Place[OutcomeT]], list[CallT]]:
        """Remove the next batch from the queue, oldest first."""
        places: list[_Place[OutcomeT]] = []
        calls: list[CallT] = []
        rows = 0
        for place, call in self._waiting.items():
            rows += len(call)
            if calls and rows > self._max_rows:
                break
            places.append(place)
            calls.append(call)
        if len(places) == len(self._waiting):
            self._waiting.clear()
        else:
            for place in places:
                del self._waiting[place]
        return places, calls

    def attempt(self, calls: Sequence[CallT]) -> list[OutcomeT | InferenceError]:
        """Run the batch; when it fails, each half of it by itself, so that only the guilty fail."""
        try:
            outcomes = self._run(calls)
            if len(outcomes) != len(calls):
                raise ValueError(f"{len(outcomes)} outcomes for {len(calls)} calls")
            return list(outcomes)
        except BaseException as error:  # noqa: BLE001 - whatever a model raises, its caller must hear of it
            if len(calls) == 1:
                return [_failure(error)]
        middle = len(calls) // 2
        return [*self.attempt(calls[:middle]), *self.attempt(calls[middle:])]


def _closed(calls: Sequence[Any]) -> Sequence[Any]:
    raise RuntimeError(f"{len(calls)} calls came after the end of the model's service")


def _failure(error: BaseException) -> InferenceError:
    """Wrap `error` into an exception of the call's own (one instance must not settle two futures)."""
    failure = InferenceError(f"{type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _settle(places: Sequence[_Place[OutcomeT]], outcomes: Sequence[OutcomeT | InferenceError]) -> None:
    for place, outcome in zip(places, outcomes, strict=True):
        if place.done():  # its caller was cancelled while the batch ran
            continue
        if isinstance(outcome, InferenceError):
            place.set_exception(outcome)
        else:
            place.set_result(outcome)

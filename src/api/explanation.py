"""Explaining answers for POST /explain: beside the event loop, one at a time, bounded, never for nobody."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from vigie.api.problems import Problem
from vigie.api.validation import Record
from vigie.model.explanation import Explanation, explain
from vigie.model.model_loader import LoadedModel

MOST_WAITING: Final = 16
"""Explanations in hand beyond which further ones are turned away: predictions need the processor too."""
RETRY: Final = {"retry-after": "2"}


class Explainer:
    """Explains in a thread of its own: an explanation costs as much as some thousand predictions."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explanation")
        self._waiting = 0

    async def explain(self, model: LoadedModel, record: Record) -> Explanation:
        """Return what moves the answer of `model` to a valid `record`.

        Raises Problem (503) when too many wait already. Cancelled, it frees the thread.
        """
        if self._waiting >= MOST_WAITING:
            raise Problem(503, "Too many answers are being explained; ask again", headers=RETRY)
        left = threading.Event()
        work = partial(explain, model, record, stopped=left.is_set)
        self._waiting += 1
        job = asyncio.get_running_loop().run_in_executor(self._thread, work)
        job.add_done_callback(self._done)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            left.set()
            raise

    def close(self) -> None:
        """Let the thread end after what it has in hand."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self, job: asyncio.Future[Explanation]) -> None:
        self._waiting -= 1
        if not job.cancelled():
            job.exception()  # whoever waits gets it; asked for here, nobody is told that nobody asked

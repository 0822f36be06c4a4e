"""Asking the store for an answer of the API: off the event loop, limited in time, else a problem document."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from elasticsearch import ApiError, Elasticsearch, TransportError

from vigie.api.problems import Problem
from vigie.indices.store_client import connect_store
from vigie.settings import Settings

THREADS: Final = 4
PART: Final = 0.8
"""Part of the request's time limit after which nobody waits any more."""
ASKING_PART: Final = 0.35
"""Part of it that one request to the store may take: a trace makes two."""
RETRY: Final = {"retry-after": "5"}

Answered = TypeVar("Answered")


class StoreQuestions:
    """The store as the API's endpoints read it."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.store.url
        self._seconds = settings.api.request_timeout * PART
        self._client = connect_store(settings.store, timeout=settings.api.request_timeout * ASKING_PART)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")

    async def ask(self, question: Callable[[Elasticsearch], Answered]) -> Answered:
        """Return what `question` finds, in a thread. Raises Problem (503): the store is away or too slow."""
        job = asyncio.get_running_loop().run_in_executor(self._threads, partial(question, self._client))
        try:
            return await asyncio.wait_for(job, self._seconds)
        except (ApiError, TransportError) as error:
            raise self.problem(error) from None
        except TimeoutError:
            raise Problem(
                503, f"The store at {self.url} did not answer within {self._seconds:g} seconds", headers=RETRY
            ) from None

    def problem(self, error: ApiError | TransportError) -> Problem:
        """Return the 503 that tells of `error`."""
        said = f"refuses ({error.status_code})" if isinstance(error, ApiError) else "does not answer"
        detail = f"The store at {self.url} {said}; what is not indexed yet waits in the stream"
        return Problem(503, detail, headers=RETRY)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

"""The pages' way to the store: searches off the event loop, some at a time, each limited in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

from elasticsearch import ApiError, ConnectionTimeout, TransportError
from loguru import logger

from vigie.errors import VigieError
from vigie.indices.store_client import connect_store
from vigie.settings import StoreSettings

AT_A_TIME: Final = 6
"""Searches under way at once, those of all visitors together: the rest wait in the order they came."""
TIMEOUT_SECONDS: Final = 8.0
_LENIENT: Final[Mapping[str, Any]] = {"ignore_unavailable": True, "allow_no_indices": True}
"""An index that is not there yet has no documents."""

Away = Literal["away", "slow", "refused"]
Json = dict[str, Any]


class StoreAwayError(VigieError):
    """The store gave no answer to a search; the message says why and what to do."""

    def __init__(self, message: str, kind: Away) -> None:
        super().__init__(message)
        self.kind = kind


class StoreReader:
    """Searches the indices of one installation."""

    def __init__(self, settings: StoreSettings, timeout: float = TIMEOUT_SECONDS) -> None:
        self.url = settings.url
        self._prefix = settings.es_index_prefix
        self._timeout = timeout
        self._client = connect_store(settings, timeout=timeout)
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="store-reader")

    async def search(self, index: str, body: Mapping[str, Any]) -> Json:
        """Return the store's answer to a search of `index` (named without prefix), a JSON object.

        Waiting for its turn included, it takes twice the reader's time limit at most. An index that does not
        exist yet has no hits and no aggregations. Raises StoreAwayError, also when part of the answer is
        missing.
        """
        job = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, index, body)
        try:
            answer = await asyncio.wait_for(job, 2 * self._timeout)
        except (TimeoutError, ConnectionTimeout):
            raise StoreAwayError(
                f"the store at {self.url} did not answer within {self._timeout:g} seconds: "
                "ask for a shorter time, or look at its load",
                "slow",
            ) from None
        except TransportError:  # its client has logged it
            raise StoreAwayError(
                f"the store at {self.url} does not answer: start it, or check ES_HOST and ES_PORT", "away"
            ) from None
        except ApiError as error:
            logger.warning("the store at {} refused a search of {}: {}", self.url, index, error)
            raise StoreAwayError(
                f"the store at {self.url} refused the search with {error.status_code}", "refused"
            ) from None

        if failed := answer["_shards"]["failed"]:
            logger.warning("{} shards of the store at {} failed a search of {}", failed, self.url, index)
            raise StoreAwayError(f"the store at {self.url} could answer only in part", "refused")
        return answer

    def _ask(self, index: str, body: Mapping[str, Any]) -> Json:
        answer = self._client.search(index=f"{self._prefix}{index}", body=dict(body), **_LENIENT)
        return dict(answer.body)

    def close(self) -> None:
        """Let the threads end and close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

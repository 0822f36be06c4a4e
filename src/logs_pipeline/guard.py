"""Keeps a worker's threads alive: a job that fails is logged and told, and the next one is run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from loguru import logger


class Guard:
    """Runs jobs, and remembers which of them failed and has not succeeded since; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._problems: dict[str, str] = {}

    @property
    def problem(self) -> str:
        """Which jobs fail, and where to look; empty when none does."""
        with self._lock:
            return "; ".join(self._problems.values())

    @contextmanager
    def job(self, name: str, expected: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Run the body; what it raises is logged with its stack trace (again when it changes) and told.

        An `expected` error is told without a stack trace, in its own words. A Redis that does not answer
        is passed over: the main loop meets the same error and reports it.
        """
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError):
            return
        except expected as error:
            if self._noted(name, f"{name} failed: {error}"):
                logger.warning("{} failed: {}", name, error)
        except Exception as error:  # noqa: BLE001 - the thread has other jobs
            if self._noted(name, f"{name} failed ({error!r}): the log of the worker says where"):
                logger.opt(exception=error).error("{} failed", name)
        else:
            with self._lock:
                succeeded_again = self._problems.pop(name, None)
            if succeeded_again:
                logger.info("{} succeeds again", name)

    def _noted(self, name: str, problem: str) -> bool:
        """Note the problem; return whether it is a new one."""
        with self._lock:
            new = self._problems.get(name) != problem
            self._problems[name] = problem
        return new

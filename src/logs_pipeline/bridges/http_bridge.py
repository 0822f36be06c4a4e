"""The `/logs_api` of another installation's front end, polled page by page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import redis
from loguru import logger
from redis.exceptions import LockError

from vigie.logs_pipeline.bridges.bridge import RENAMED, Step, step_of
from vigie.logs_pipeline.bridges.foreign_event import from_page
from vigie.logs_pipeline.bridges.front_end import FrontEnd, Page
from vigie.telemetry.stream.admission import PAGE, PAGE_BYTES, Admission, Admitted, Candidate
from vigie.telemetry.stream.keys import remote_key
from vigie.telemetry.stream.reader import position

TURN_SECONDS: Final = 10.0
"""How long a process that died still has the turn to poll; longer than a wait for the first byte."""
LARGE_PAGE_BYTES: Final = 1024 * 1024
"""A front end ends a page early when it is large: then there may be more though it is short."""


class HttpBridge:
    """Polls one front end, one process at a time; the cursor in Redis moves with what it admits."""

    name = "http"

    def __init__(self, admission: Admission, front_end: FrontEnd, poll_seconds: float) -> None:
        self._admission = admission
        self._front_end = front_end
        self.pause_seconds = poll_seconds
        self._renew_at = 0.0
        self._turn = admission.client.lock(
            f"{remote_key(front_end.url)}:turn", timeout=TURN_SECONDS, thread_local=False, blocking=False
        )

    def step(self) -> Step:
        """Ask for a page and admit it. Raises BridgeError, redis.RedisError.

        The page after the cursor is asked for, which confirms to the remote what was admitted before.
        """
        if not self._have_turn():
            return Step(elsewhere=True)
        url = self._front_end.url
        cursor = self._admission.cursor(url)
        consumer = f"vigie-{self._admission.installation()}"
        page = self._front_end.page(cursor, PAGE, consumer, self._keep_turn)
        more = len(page.logs) >= PAGE or page.size >= LARGE_PAGE_BYTES
        did = self._admit(url, cursor, page, complete=not more)
        return step_of(did, more=more)

    def waiting(self) -> int | None:
        """Return None: a page does not say how many follow."""
        return None

    def close(self) -> None:
        """Give the turn away."""
        with suppress(redis.RedisError, LockError):
            if self._turn.owned():
                self._turn.release()
        self._front_end.close()

    def _admit(self, url: str, cursor: str, page: Page, *, complete: bool) -> Admitted:
        """Admit the page in parts that do not hold Redis up."""
        lost = _lost(cursor, page.oldest)
        parts = list(parts_of([from_page(entry.parts()) for entry in page.logs])) or [[]]
        taken = 0
        for part in parts:
            last = part is parts[-1]
            did = self._admission.admit_page(url, cursor, lost, part, complete=complete and last)
            self._tell(url, cursor, lost, did)
            taken += did.taken
            if did.stopped or last:
                break
            cursor, lost = part[-1].token, ""
        return replace(did, taken=taken)

    def _tell(self, url: str, cursor: str, lost: str, did: Admitted) -> None:
        if did.renamed:
            logger.warning(RENAMED, did.renamed)
        if lost and did.stopped != "moved":
            logger.warning(
                "{} no longer has its entries between {} and {}: they are lost here", url, cursor, lost
            )
        if did.declared:
            logger.warning("{} numbers of {} are declared lost", did.declared, url)

    def _have_turn(self) -> bool:
        """Whether this process polls: the turn is kept while it does, and free soon after it died."""
        if self._turn.local.token is not None:
            with suppress(LockError):
                return bool(self._turn.reacquire())
            self._turn.local.token = None
        return bool(self._turn.acquire(blocking=False))

    def _keep_turn(self) -> None:
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + TURN_SECONDS / 5
        with suppress(LockError, redis.RedisError):  # the cursor decides, should another have it by now
            self._turn.reacquire()


def parts_of(candidates: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Yield the candidates in parts of at most PAGE events and PAGE_BYTES (or one event)."""
    part: list[Candidate] = []
    size = 0
    for candidate in candidates:
        size += len(candidate.event)
        if part and (len(part) >= PAGE or size > PAGE_BYTES):
            yield part
            part, size = [], len(candidate.event)
        part.append(candidate)
    if part:
        yield part


def _lost(cursor: str, oldest: str | None) -> str:
    """Return the oldest entry where those between the cursor and it were removed uncollected, else "".

    The front end keeps the entry that was confirmed last, so one beyond it says so. Before anything was
    admitted there is nothing that could have been lost.
    """
    if not cursor or oldest is None or position(oldest) <= position(cursor):
        return ""
    return oldest

"""The end of an API process whose parent has died: nobody would stop it, and it would keep the port."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable

from loguru import logger


def end_with_parent(end: Callable[[], None]) -> None:
    """Call `end` from a thread of its own once the process that started this one is gone.

    Does nothing in a process that is not one of several (`multiprocessing`).
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        logger.warning("the parent process {} is gone; this one ends", parent.pid)
        end()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()

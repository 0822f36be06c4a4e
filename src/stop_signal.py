"""Stopping when a signal comes, without a deadlock whatever it interrupts.

A handler runs in the main thread, between any two of its steps. `threading.Event.set` takes a lock that the
interrupted step may hold (the event's own `wait`, or the `set` of the signal before), and would wait for it
for ever. So the handler only writes into a pipe (the self-pipe trick, D. J. Bernstein), and a thread sets.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress


def stop_event(*numbers: signal.Signals) -> threading.Event:
    """Return an event that these signals set, however often they come. To be called by the main thread."""
    stop = threading.Event()
    heard, told = os.pipe()
    os.set_blocking(told, False)

    def pass_on() -> None:
        while os.read(heard, 1):
            stop.set()

    def tell(*_: object) -> None:
        with suppress(BlockingIOError):  # full: it has been told often enough
            os.write(told, b"!")

    threading.Thread(target=pass_on, name="stop-signal", daemon=True).start()
    for number in numbers:
        signal.signal(number, tell)
    return stop

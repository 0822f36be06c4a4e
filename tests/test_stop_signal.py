"""Signals that stop a command never hang it, whatever they interrupt."""

from __future__ import annotations

import subprocess
import sys

import pytest

STRUCK = """
import os, signal, sys, threading, time
from vigie.stop_signal import stop_event

stop = stop_event(signal.SIGINT, signal.SIGTERM)
assert not stop.is_set()

def strike():
    for _ in range(3000):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)

striking = threading.Thread(target=strike)
striking.start()
while striking.is_alive():
    stop.wait(0)
    stop.clear()
stop.clear()
os.kill(os.getpid(), signal.SIGTERM)
assert stop.wait(60)
"""


@pytest.mark.timeout(120)
def test_signals_amid_the_waiting_are_all_heard() -> None:
    """Thousands of them, at any step of the event's own methods; the last one sets it, too."""
    assert subprocess.run([sys.executable, "-c", STRUCK], timeout=100, check=False).returncode == 0

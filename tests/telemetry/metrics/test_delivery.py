"""What Redis knows of the events on their way."""

from __future__ import annotations

import time

import pytest

from vigie.telemetry.metrics import catalogue
from vigie.telemetry.metrics.delivery import delivery_samples, remember_ledger
from vigie.telemetry.stream.stream import Stream


def test_the_last_measurement_of_the_ledger_is_told_with_its_time(stream: Stream) -> None:
    """Before the first there is none to tell; then what was found stands until the next."""
    unaccounted, measured = (catalogue.LEDGER_UNACCOUNTED.name, ()), (catalogue.LEDGER_MEASURED.name, ())
    assert {unaccounted, measured}.isdisjoint(delivery_samples(stream.client))
    for found in (3, 0):
        remember_ledger(stream.client, found)
        samples = delivery_samples(stream.client)
        assert samples[unaccounted] == [found]
        assert samples[measured] == [pytest.approx(time.time(), abs=60)]

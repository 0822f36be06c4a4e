"""The judge finds what a declaration does not explain."""

from __future__ import annotations

import pytest
from tests.faults.judge import disagreement

from vigie.telemetry.stream.items import Gap
from vigie.telemetry.stream.ledger_state import ProducerState
from vigie.telemetry.stream.number_set import NumberSet

STATE = ProducerState("p", 10, None, {}, (Gap(4, 5, "no room"), Gap(8, 8, "no room")), {}, {})


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [
        ([1, 2, 3, 6, 7, 9, 10], []),
        ([1, 3, 6, 7, 9, 10], [2]),
        ([1, 2, 3, 6, 7, 9], [10]),
        ([1, 2, 3, 5, 6, 7, 9, 10], [5]),
        ([1, 2, 3, 5, 6, 7, 10], [5, 9]),
    ],
)
def test_each_number_is_stored_or_declared(stored: list[int], wrong: list[int]) -> None:
    """One that is neither is found though as many are declared as are missing, and so is one that is both."""
    assert list(disagreement(STATE, NumberSet.of_numbers(stored))) == wrong

"""The budget of profiles: everybody at human rates, a share of the time under load, weights that add up."""

from __future__ import annotations

import threading

import pytest

from vigie.telemetry.profile_budget import Decision, ProfileBudget


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_every_prediction_at_human_rates_is_profiled() -> None:
    """Ten predictions a second are all profiled, even where each costs far more than the budget."""
    clock = _Clock()
    budget = ProfileBudget(0.05, clock)
    for _ in range(200):
        assert budget.decide() == Decision(profiled=True, reason="budget", weight=1)
        budget.spent(0.5)
        clock.now += 0.1


def test_an_hour_of_clicks_leaves_no_debt() -> None:
    """Profiles at human rates are outside the bucket: a load that follows is profiled within its share at once."""
    clock = _Clock()
    budget = ProfileBudget(0.05, clock)
    for _ in range(36_000):
        decision = budget.decide()
        assert decision.profiled
        budget.spent(0.2, charged=decision.charged)
        clock.now += 0.1
    decisions = []
    for _ in range(10_000):
        decisions.append(budget.decide())
        if decisions[-1].profiled:
            budget.spent(0.001, charged=decisions[-1].charged)
        clock.now += 0.001
    assert sum(decision.profiled for decision in decisions) == pytest.approx(0.05 * 10_000 + 50, abs=60)


def test_human_rates_count_requests_of_every_kind() -> None:
    """A single prediction among the batches of a load is not a click: the bucket decides on it, and pays."""
    clock = _Clock()
    budget = ProfileBudget(0.05, clock)
    decisions = []
    for _ in range(1000):
        budget.passed(8, requests=8)
        decisions.append(budget.decide())
        if decisions[-1].profiled:
            budget.spent(0.01, charged=decisions[-1].charged)
        clock.now += 0.02
    assert all(decision.charged for decision in decisions[10:] if decision.profiled)
    assert sum(decision.profiled for decision in decisions) == pytest.approx(0.05 * 20 / 0.01, abs=20)


def test_under_load_profiling_stays_within_its_share() -> None:
    """At 1,000 predictions/s of 1 ms extra each, about 5 % of the time goes into profiles, weights add up."""
    clock = _Clock()
    budget = ProfileBudget(0.05, clock)
    spent = weights = 0.0
    for _ in range(60_000):
        decision = budget.decide()
        if decision.profiled:
            assert budget.spent(0.001, charged=decision.charged) == 0.001
            spent += 0.001
            weights += decision.weight
        else:
            assert decision == Decision(profiled=False, reason="budget", weight=0)
        clock.now += 0.001
    assert spent == pytest.approx(0.05 * 60, rel=0.05)
    assert weights == pytest.approx(60_000, rel=0.01)


def test_only_what_profiling_added_is_charged() -> None:
    """With the unprofiled duration known, a profile of twice that costs the budget the difference."""
    clock = _Clock()
    budget = ProfileBudget(1.0, clock)
    for _ in range(100):
        budget.unprofiled(0.5)
    for _ in range(50):
        assert budget.decide().profiled
        assert budget.spent(0.51) == pytest.approx(0.01)
    assert budget.balance_seconds == pytest.approx(0.5)
    assert [budget.decide().profiled for _ in range(2)] == [False, True]  # not one right after another
    budget.spent(1.1)
    assert budget.balance_seconds == pytest.approx(-0.1)
    assert not budget.decide().profiled


def test_one_that_was_held_up_makes_no_profile_free() -> None:
    """A long duration that had nothing to do with the model hardly changes what the next profile is charged."""
    budget = ProfileBudget(0.05, _Clock(), usual_seconds=0.0001)
    budget.unprofiled(0.02)
    assert budget.spent(0.0003) == pytest.approx(0.0002, rel=0.1)


def test_above_human_rates_every_other_one_is_not_profiled() -> None:
    """However cheap profiles seem: what an inference usually takes is learnt from the others."""
    budget = ProfileBudget(1.0, _Clock())
    decisions = [budget.decide() for _ in range(150)]
    assert all(decision.profiled for decision in decisions[:50])
    assert [decision.profiled for decision in decisions[50:]] == [False, True] * 50


def test_what_is_known_at_load_is_charged_from_the_first_profile() -> None:
    """With the row's cost given nobody has to wait for an inference without the profiler."""
    budget = ProfileBudget(0.05, _Clock(), usual_seconds=0.002)
    assert budget.decide().profiled
    assert budget.spent(0.005) == pytest.approx(0.003)


def test_no_budget_leaves_forced_profiles_only() -> None:
    """With a share of 0 nothing is profiled but what is demanded, which stands for those passed over."""
    budget = ProfileBudget(0.0, _Clock())
    budget.note_slow()
    assert [budget.decide().profiled for _ in range(3)] == [False, False, False]
    assert budget.decide(forced=True) == Decision(profiled=True, reason="forced", weight=4)


def test_a_slow_request_triggers_one_for_the_next() -> None:
    """With the bucket empty the prediction after a slow one is profiled, once, until the debt is a second's worth."""
    clock = _Clock()
    budget = ProfileBudget(0.05, clock)
    for _ in range(50):
        budget.decide()
    budget.spent(0.06)
    assert not budget.decide().profiled
    budget.note_slow()
    assert budget.decide() == Decision(profiled=True, reason="slow", weight=2, charged=True)
    assert not budget.decide().profiled
    budget.spent(0.06)
    budget.note_slow()
    assert not budget.decide().profiled


def test_a_profile_stands_for_batches_too() -> None:
    """Predictions of batches, which are not profiled, count in the next profile's weight."""
    budget = ProfileBudget(0.05, _Clock())
    budget.passed(32)
    assert budget.decide() == Decision(profiled=True, reason="budget", weight=33)


def test_weights_add_up_among_threads() -> None:
    """Singles, batches, forced ones and failures of many threads: all weights together are the predictions
    that were answered up to the last profile."""
    budget = ProfileBudget(0.001)
    answered = [0] * 4
    weights = [0] * 4

    def predict(position: int) -> None:
        for number in range(4000):
            if number % 7 == 0:
                budget.passed(5, requests=5)
                answered[position] += 5
                continue
            decision = budget.decide(forced=number % 501 == 0)
            if number % 11 == 0:
                budget.failed(decision)
                continue
            if decision.profiled:
                budget.spent(0.0001, charged=decision.charged)
            answered[position] += 1
            weights[position] += decision.weight

    threads = [threading.Thread(target=predict, args=(position,)) for position in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = budget.decide(forced=True)
    assert sum(weights) + last.weight == sum(answered) + 1


def test_a_failed_profile_gives_its_weight_to_the_next() -> None:
    """Predictions that a failed one would have stood for are not forgotten, and it is no prediction itself."""
    budget = ProfileBudget(0.05, _Clock())
    budget.passed(9)
    budget.failed(budget.decide())
    assert budget.decide() == Decision(profiled=True, reason="budget", weight=10)

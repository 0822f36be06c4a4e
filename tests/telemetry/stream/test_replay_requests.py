"""Replays in Redis: written down once, kept until they end, counted across workers that die."""

from __future__ import annotations

import pytest

from vigie.settings import RedisSettings
from vigie.telemetry.stream.keys import replay_key
from vigie.telemetry.stream.replay_requests import (
    MOST_TOLD,
    MOST_WAITING,
    ReplayRequests,
    TooManyReplaysError,
)
from vigie.telemetry.stream.stream import connect


@pytest.fixture
def requests(redis_settings: RedisSettings) -> ReplayRequests:
    """The replays of an empty database."""
    return ReplayRequests(connect(redis_settings))


def test_a_replay_waits_in_its_place_until_it_has_ended(requests: ReplayRequests) -> None:
    """First asked is first done; a worker that only began one leaves it for the next worker."""
    first, second = requests.ask(["1-0", "2-0", "1-0"]), requests.ask(None)
    assert (first.letters, second.letters, first.state) == (("1-0", "2-0"), None, "waiting")
    assert requests.next() == first
    begun = first.begun(2)
    requests.note(begun)
    assert requests.next() == begun
    requests.close(begun.counted("1-0", "indexed", ""))
    assert requests.next() == second
    found = requests.get(first.id)
    assert found is not None
    assert (found.counts, found.letters) == ({"indexed": 1}, ("1-0", "2-0"))


def test_a_replay_taken_over_counts_each_letter_once(requests: ReplayRequests) -> None:
    """What was closed stays counted, what failed is tried anew, and what is not there any more is gone."""
    asked = requests.ask(["1-0", "2-0", "3-0", "4-0"]).begun(4)
    half = asked.counted("1-0", "indexed", "").counted("2-0", "failed", "why")
    requests.note(half)
    stored = requests.next()
    assert stored == half
    again = stored.begun(2)
    assert (again.state, again.counts, again.still_there) == ("running", {"indexed": 1, "gone": 1}, ())
    assert requests.ask(None).begun(0).counts == {}


def test_only_some_of_the_letters_that_stay_are_told(requests: ReplayRequests) -> None:
    """A replay of many letters stays small in Redis: all are counted, the first are named."""
    replay = requests.ask(None)
    for number in range(MOST_TOLD + 5):
        replay = replay.counted(f"{number}-0", "left", "no index")
    assert replay.counts == {"left": MOST_TOLD + 5}
    assert [one.id for one in replay.still_there] == [f"{number}-0" for number in range(MOST_TOLD)]


def test_a_replay_that_is_forgotten_holds_up_no_other_one(
    requests: ReplayRequests, redis_settings: RedisSettings
) -> None:
    """A replay that waited for longer than it is kept is passed over."""
    forgotten, kept = requests.ask(None), requests.ask(None)
    connect(redis_settings).delete(replay_key(forgotten.id))
    assert requests.next() == kept
    assert requests.get(forgotten.id) is None


def test_the_replays_that_wait_are_bounded(requests: ReplayRequests) -> None:
    """Whoever asks again and again is told that it changes nothing."""
    for _ in range(MOST_WAITING):
        requests.ask(None)
    with pytest.raises(TooManyReplaysError):
        requests.ask(None)

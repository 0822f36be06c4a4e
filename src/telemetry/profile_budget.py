"""Which predictions are profiled: all at human rates, under load what a bucket of time allows."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Literal

HUMAN_RATE = 10
"""Predictions per second up to which every one is profiled."""
HUMAN_WINDOW_SECONDS = 5.0
"""What that rate is averaged over: people do not click evenly."""
_HUMAN_BURST = int(HUMAN_RATE * HUMAN_WINDOW_SECONDS)
_HUMAN_SECONDS = 0.98 * HUMAN_WINDOW_SECONDS  # a clock that ticks exactly at the rate is still below it
_UNPROFILED_WEIGHT = 0.1
"""Weight of the newest unprofiled duration in its running mean."""
_OUTLIER = 2.0
"""How many times the running mean a duration counts at most."""

Reason = Literal["budget", "forced", "slow"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to profile this prediction and why (not profiled: ``budget``, the budget is used up).

    `weight` is the number of predictions the profile stands for: itself and those since the last profiled
    one; 0 when not profiled. `charged` says whether the bucket pays for it.
    """

    profiled: bool
    reason: Reason
    weight: int
    charged: bool = False


_NOT_PROFILED: Final = Decision(profiled=False, reason="budget", weight=0)


class ProfileBudget:
    """Decides which predictions are profiled, so that profiling adds at most `share` of wall time.

    A token bucket of seconds: it fills by `share` a second up to what one second brings, and a profile
    takes out what it added. A profile may overdraw it; the debt is paid before the next one. Nor is one
    profiled right after another: what an inference usually takes is learnt from those that are not. Outside
    the bucket are the predictions at human rates (at most 10 a second, over five), unless `share` is 0, and
    forced ones: an hour of clicks on a dear model must not leave the load after it without profiles.

    The weights of all profiles add up to the predictions answered up to the last of them: `decide` and
    `passed` count a prediction, `failed` takes it back. Safe among threads.
    """

    def __init__(
        self,
        share: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        usual_seconds: float | None = None,
    ) -> None:
        """Take `usual_seconds`, when known, for the duration of an inference without the profiler."""
        self._share = self._tokens = share
        self._clock = clock
        self._filled_at = clock()
        self._arrivals: deque[float] = deque(maxlen=_HUMAN_BURST)
        self._passed = 0
        self._slow = False
        self._rested = True  # whether the last one was not profiled
        self._usual_seconds = usual_seconds
        self._lock = threading.Lock()

    def decide(self, forced: bool = False) -> Decision:
        """Decide on one prediction that could be profiled; called once for each."""
        with self._lock:
            now = self._clock()
            human = len(self._arrivals) < _HUMAN_BURST or now - self._arrivals[0] > _HUMAN_SECONDS
            self._arrivals.append(now)
            self._fill(now)
            human = human and self._share > 0
            reason = self._reason(forced, human)
            self._rested = reason is None
            if reason is None:
                self._passed += 1
                return _NOT_PROFILED
            weight, self._passed = self._passed + 1, 0
            return Decision(profiled=True, reason=reason, weight=weight, charged=not (forced or human))

    def _reason(self, forced: bool, human: bool) -> Reason | None:
        # A slow request may overdraw by a second's worth: in an overload all are slow, and profiling them all
        # would make it worse.
        if forced:
            return "forced"
        if self._slow and self._tokens > -self._share:
            self._slow = False
            return "slow"
        return "budget" if human or (self._rested and self._tokens > 0) else None

    def failed(self, decision: Decision) -> None:
        """Take back a decision whose prediction was not answered: nobody will see its weight."""
        with self._lock:
            self._passed += decision.weight - 1

    def passed(self, predictions: int, requests: int = 1) -> None:
        """Count predictions that were answered and could not be profiled (a batch of so many requests).

        The next profile stands for them, and their requests count for the rate.
        """
        with self._lock:
            self._passed += predictions
            self._arrivals.extend(repeat(self._clock(), min(requests, _HUMAN_BURST)))

    def note_slow(self) -> None:
        """Ask for a profile of the next prediction, since this one was slow and its reason unknown."""
        self._slow = True

    def unprofiled(self, seconds: float) -> None:
        """Record the duration of a single inference that was not profiled, to compare with."""
        with self._lock:
            usual = self._usual_seconds
            if usual is None:
                self._usual_seconds = seconds
            else:  # one that was held up says little: it must not make profiles look free
                seconds = min(seconds, _OUTLIER * usual)
                self._usual_seconds = usual + _UNPROFILED_WEIGHT * (seconds - usual)

    def spent(self, seconds: float, *, charged: bool = True) -> float:
        """Take note of a profiled inference that took `seconds`; return what of it the profiler added.

        That is what it took beyond the usual duration (an exponentially weighted mean of those not profiled);
        all of it while none has been seen.
        """
        with self._lock:
            added = max(0.0, seconds - (self._usual_seconds or 0.0))
            if charged:
                self._tokens -= added
            return added

    @property
    def balance_seconds(self) -> float:
        """What profiling may add just now; below 0 it is in debt."""
        with self._lock:
            self._fill(self._clock())
            return self._tokens

    def _fill(self, now: float) -> None:
        self._tokens = min(self._share, self._tokens + (now - self._filled_at) * self._share)
        self._filled_at = now

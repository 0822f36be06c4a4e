"""The parts of a distribution: a name for each bin or level, and its share of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from vigie.model.reference_profile import Profile
from vigie.telemetry.drift_figures import DistributionPart


def parts(reference: Profile, window: Profile, *, whole: bool) -> list[DistributionPart]:
    """Return the shares of each bin or level in training and in a window, in order.

    A number before the name keeps them in order wherever names are sorted. Missing and unseen values are
    parts of their own where there are any. `whole`: the values are whole numbers.
    """
    kept = bin_names(reference.edges, whole=whole) if reference.kind == "bins" else map(str, reference.levels)
    names = [*kept, "missing", "unseen"]
    regular = len(reference.counts)
    return [
        {
            "part": f"{position + 1:02d} {name}",
            "reference_share": share(reference, position),
            "window_share": share(window, position),
        }
        for position, name in enumerate(names)
        if position < regular or reference.cells[position] or window.cells[position]
    ]


def share(profile: Profile, position: int) -> float:
    """Return a cell's part of the profile's rows; 0 without any."""
    return profile.cells[position] / profile.rows if profile.rows else 0.0


def bin_names(edges: Sequence[float], *, whole: bool, sign: str = "", point: str = ".") -> Iterator[str]:
    """Yield a name for each bin: it holds the values from its lower edge on and below its upper one.

    Of `whole` numbers its last value is named instead of the next bin's first; `sign` follows a number, and
    `point` stands before its decimals.
    """

    def shown(value: float) -> str:
        return f"{value:.{3 if sign else 4}g}".replace(".", point)

    if not edges:
        yield "…"
        return
    last = 1 if whole else 0
    yield f"{'≤' if whole else '<'}\u00a0{shown(edges[0] - last)}{sign}"
    for low, high in pairwise(edges):
        yield shown(low) if whole and high - 1 == low else f"{shown(low)}–{shown(high - last)}{sign}"
    yield f"≥\u00a0{shown(edges[-1])}{sign}"

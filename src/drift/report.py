"""The report on a window: judged, with the window before it, as JSON and as lines and a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.table import Table

from vigie.drift.data_quality import LEAST_CHANGE_P, Refusals
from vigie.drift.judgement import ALARM_P, FDR, MINIMUM_ROWS, Judgement, alarmed, named
from vigie.drift.window import Model, Place
from vigie.model.reference_profile import Profile

LEAST_P: Final = 1e-16
"""p-values below it are shown as "<1e-16": the approximation means nothing there."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What was found in one window of predictions."""

    model: Model
    reference_version: str
    """Version of the package whose reference profile was used."""
    reference_rows: int
    rows: int
    first: Place | None
    last: Place | None
    judgements: tuple[Judgement, ...]
    quality: Refusals
    quality_before: Refusals | None
    """Of the window before; None when there is none."""

    @property
    def judged(self) -> bool:
        """Whether the window had enough rows."""
        return self.rows >= MINIMUM_ROWS

    @property
    def named(self) -> tuple[str, ...]:
        """Features with a verdict of drift."""
        return named(self.judgements)

    @property
    def alarmed(self) -> tuple[str, ...]:
        """Features that raise the alarm."""
        return alarmed(self.judgements)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "model": {"name": self.model.name, "version": self.model.version},
            "reference": {"version": self.reference_version, "rows": self.reference_rows},
            "window": {
                "rows": self.rows,
                "first": self.first.timestamp if self.first else None,
                "last": self.last.timestamp if self.last else None,
            },
            "judged": self.judged,
            "drift": list(self.named),
            "alarm": list(self.alarmed),
            "rules": {"fdr": FDR, "alarm_p": ALARM_P, "minimum_rows": MINIMUM_ROWS},
            "features": [_as_dict(one) for one in self.judgements],
            "data_quality": _quality_as_dict(self.quality, self.quality_before),
        }

    def as_table(self) -> Table:
        """Return one row per feature, 80 columns wide at most."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("feature", no_wrap=True, max_width=24, overflow="ellipsis")
        table.add_column("n", justify="right", no_wrap=True)
        table.add_column("training → now", no_wrap=True)
        table.add_column("PSI", justify="right", no_wrap=True)
        table.add_column("p", justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for one in self.judgements:
            table.add_row(
                one.feature,
                f"{one.window.rows - one.window.missing:,}",
                compared(one.reference, one.window),
                f"{one.psi:.3f}",
                shown_p(one.p_value),
                _verdict(one),
                style="bold red" if one.alarm else "yellow" if one.verdict == "drift" else "",
            )
        return table

    def lines(self) -> Iterator[str]:
        """Yield what is to be said in words: window, data quality, conclusion."""
        if self.first and self.last:
            yield f"{self.rows:,} predictions from {self.first.timestamp} to {self.last.timestamp}"
        yield f"model {self.model.name} {self.model.version}, against {self.reference_rows:,} training rows"
        if self.model.version != self.reference_version:
            yield f"the reference is that of version {self.reference_version}, the only one at MODEL_PATH"
        yield from quality_lines(self.quality, self.quality_before)
        yield self.conclusion

    @property
    def conclusion(self) -> str:
        """The whole in one sentence."""
        if not self.judged:
            return f"cannot be judged: {self.rows} predictions, {MINIMUM_ROWS} are needed"
        if self.alarmed:
            return f"ALARM: drift of {', '.join(self.alarmed)}"
        if self.named:
            return (
                f"no alarm: {', '.join(self.named)} differs in this window and not in the one before; "
                "about one window in twenty does without any change"
            )
        return "no drift: differences from training are no larger than chance makes them"


def compared(reference: Profile, window: Profile) -> str:
    """Return a profile's mean or share in training and now, as ``63.0 → 71.2`` or ``66 % → 91 %``."""
    if reference.kind == "bins":
        return f"{_number(reference.mean)} → {_number(window.mean)}"
    if tuple(reference.levels) == (0, 1):
        return f"{_share(reference, 1):.1%} → {_share(window, 1):.1%}"
    level = max(
        range(len(reference.levels)), key=lambda one: abs(_share(reference, one) - _share(window, one))
    )
    shares = f"{_share(reference, level):.1%} → {_share(window, level):.1%}"
    return f"{str(reference.levels[level])[:12]} {shares}"


def shown_p(value: float) -> str:
    """Return a p-value in few characters."""
    if value < LEAST_P:
        return f"<{LEAST_P:.0e}"
    return f"{value:.0e}" if value < 0.001 else f"{value:.3f}"


def quality_lines(quality: Refusals, before: Refusals | None) -> Iterator[str]:
    """Yield what is to be said of refused requests."""
    if not quality.requests:
        return
    low, high = quality.interval()
    said = f"{quality.refused:,} of {quality.requests:,} requests refused: {quality.share:.1%}"
    said += f" ({low:.1%}–{high:.1%})"
    if before is not None and before.requests:
        said += f", before {before.share:.1%}"
        if quality.changed_from(before) < LEAST_CHANGE_P:
            said += ": a real change"
    yield said
    for field, reasons in quality.reasons.items():
        counts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
        yield f"  {field or 'the request itself'}: {counts}"
    if quality.read < quality.refused:
        yield f"  (reasons of the newest {quality.read:,})"


def _verdict(one: Judgement) -> str:
    return "not enough" if one.verdict == "not enough" else one.words


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _share(profile: Profile, position: int) -> float:
    return profile.counts[position] / profile.rows if profile.rows else 0.0


def _as_dict(one: Judgement) -> dict[str, Any]:
    return {
        "feature": one.feature,
        "compared": one.compared,
        "rows": one.window.rows,
        "psi": one.psi,
        "p_value": one.p_value,
        "adjusted_p_value": one.adjusted,
        "method": one.method,
        "verdict": one.verdict,
        "alarm": one.alarm,
        "words": one.words,
        "reference": _profile(one.reference),
        "window": _profile(one.window),
    }


def _profile(profile: Profile) -> dict[str, Any]:
    cells = {"edges": profile.edges} if profile.kind == "bins" else {"levels": profile.levels}
    return {
        **cells,
        "counts": profile.counts,
        "missing": profile.missing,
        "unseen": profile.unseen,
        "mean": profile.mean,
    }


def _quality_as_dict(quality: Refusals, before: Refusals | None) -> dict[str, Any]:
    changed: Mapping[str, float] = {}
    if before is not None:
        changed = {"refused_share_before": before.share, "p_value": quality.changed_from(before)}
    return {
        "requests": quality.requests,
        "refused": quality.refused,
        "refused_share": quality.share,
        "interval_95": quality.interval(),
        **changed,
        "reasons": quality.reasons,
        "reasons_read": quality.read,
    }

"""The report on quality, as JSON and as tables and lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.table import Table

from vigie.drift.check import Period
from vigie.drift.window import Model, instant
from vigie.model.package import Metrics
from vigie.quality.calibration import Bins, calibration_error, calibration_error_by_chance
from vigie.quality.estimate import Estimate
from vigie.quality.intervals import CONFIDENCE, Proportion
from vigie.quality.judgement import Drifted, Judgement
from vigie.quality.measures import NAMES, Measured
from vigie.quality.outcomes import Counts, Lag

_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Group:
    """Outcomes of one group, or all."""

    name: str
    rows: int
    figures: dict[str, Measured]
    brier: Measured
    expected: Estimate
    """What the probabilities of the same predictions foretold."""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What was found of one model version in a period."""

    model: Model
    reference_version: str
    """Version of the package whose training and calibration it is compared with."""
    period: Period
    predictions: int
    whole: Group
    foretold: Estimate
    """Of all predictions, with an outcome or without."""
    training: Metrics
    counts: Counts
    lag: Lag
    classes: tuple[str, ...]
    by: str | None
    groups: tuple[Group, ...]
    brier_rows: int
    """Outcomes that the Brier score is of: the newest, when there are more than are read."""
    drifted: Drifted
    judgement: Judgement

    @property
    def judged(self) -> bool:
        """Whether there were enough outcomes."""
        return self.judgement.verdict != "not enough"

    @property
    def alarmed(self) -> bool:
        """Whether something is wrong."""
        return self.judged and self.judgement.verdict != "fine"

    @property
    def coverage(self) -> float | None:
        """Part of the predictions that have an outcome; None without predictions."""
        return self.whole.rows / self.predictions if self.predictions else None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON; intervals are of 95 %."""
        curve = self.counts.curve
        return {
            "model": {"name": self.model.name, "version": self.model.version},
            "reference": {"version": self.reference_version, "rows": self.training.rows},
            "since": instant(self.period.since),
            "until": instant(self.period.until),
            "verdict": self.judgement.verdict,
            "conclusion": self.judgement.words[0],
            "words": list(self.judgement.words),
            "predictions": self.predictions,
            "outcomes": self.whole.rows,
            "coverage": self.coverage,
            "lag_ms": {"median": self.lag.median_ms, "p90": self.lag.p90_ms},
            "confidence": CONFIDENCE,
            "training": {
                **{name: getattr(self.training, name) for name in NAMES},
                "brier": self.training.brier,
            },
            "realised": _group(self.whole),
            "expected_of_all_predictions": _estimate(self.foretold),
            "brier_outcomes": self.brier_rows,
            "confusion": {
                true: dict(zip(self.classes, map(int, row), strict=True))
                for true, row in zip(self.classes, self.counts.matrix, strict=True)
            },
            "calibration": {
                "error": calibration_error(curve),
                "error_by_chance": calibration_error_by_chance(curve),
                "curve": list(calibration_curve(curve)),
            },
            "drift": asdict(self.drifted),
            "compared": [asdict(one) for one in self.judgement.found],
            "by": self.by,
            "groups": [{"name": one.name, **_group(one)} for one in self.groups],
        }

    def as_table(self) -> Table:
        """Return one row per figure: in training, as it turned out, and as it was expected."""
        table = _table("", "training", "realised", "95 %", "expected", "95 %", "of all")
        for name in NAMES:
            one, expected = self.whole.figures[name], self.whole.expected.measured(name)
            table.add_row(
                "F1" if name == "f1" else name,
                f"{getattr(self.training, name):.1%}",
                *_shown(one),
                *_shown(expected),
                _shown(self.foretold.measured(name))[0],
                style="bold red" if self._faulty(name) else "",
            )
        if len(self.classes) == 2:
            brier = [_shown(self.whole.brier, percent=False)[0], _shown(self.whole.brier, percent=False)[1]]
            table.add_row("Brier score", f"{self.training.brier:.3f}", *brier, "", "", "")
        return table

    def groups_table(self) -> Table | None:
        """Return one row per group; None when no groups were asked for."""
        if self.by is None:
            return None
        table = _table(self.by, "n", "accuracy", "95 %", "precision", "recall", "F1", "expected")
        for one in self.groups:
            shown = [_shown(one.figures[name]) for name in NAMES]
            expected = _shown(one.expected.measured("accuracy"))[0]
            table.add_row(
                one.name, f"{one.rows:,}", *shown[0], shown[1][0], shown[2][0], shown[3][0], expected
            )
        return table

    def lines(self) -> Iterator[str]:
        """Yield what is to be said in words: predictions, outcomes, calibration, conclusion."""
        yield f"model {self.model.name} {self.model.version}, against {self.training.rows:,} held-out rows"
        if self.model.version != self.reference_version:
            yield f"training is that of version {self.reference_version}, the only one at MODEL_PATH"
        said = f"{self.whole.rows:,} of {self.predictions:,} predictions have an outcome"
        yield said if self.coverage is None else f"{said}: {self.coverage:.1%}"
        if self.lag.median_ms is not None and self.lag.p90_ms is not None:
            median, p90 = _length(self.lag.median_ms), _length(self.lag.p90_ms)
            yield f"outcomes are known after {median}, 9 in 10 after {p90}"
        if 0 < self.brier_rows < self.whole.rows:
            yield f"the Brier score is of the newest {self.brier_rows:,} outcomes"
        error, by_chance = (
            calibration_error(self.counts.curve),
            calibration_error_by_chance(self.counts.curve),
        )
        if error is not None and by_chance is not None:
            yield f"calibration error {error:.3f}; with right probabilities it is below {by_chance:.3f}"
        yield self._drift_line()
        yield from self.judgement.words

    def _drift_line(self) -> str:
        if not self.drifted.judged:
            return "drift of the inputs: too few predictions"
        return f"drift of the inputs: {', '.join(self.drifted.inputs) or 'none'}"

    def _faulty(self, name: str) -> bool:
        return any(one.name == name and (one.below_training or one.disagrees) for one in self.judgement.found)


def calibration_curve(bins: Bins) -> Iterator[dict[str, Any]]:
    """Yield each bin: its bounds, rows, mean probability, and the share that came true with its interval."""
    ends = [0.0, *bins.edges, 1.0]
    for position, rows in enumerate(map(int, bins.rows)):
        hits = Proportion(int(bins.hits[position]), rows)
        interval = hits.interval()
        yield {
            "from": ends[position],
            "to": ends[position + 1],
            "rows": rows,
            "mean_probability": float(bins.means[position]) if rows else None,
            "share": hits.value,
            "interval_95": (interval.low, interval.high) if rows else None,
        }


def _group(one: Group) -> dict[str, Any]:
    return {
        "outcomes": one.rows,
        **{name: _measured(figure) for name, figure in one.figures.items()},
        "brier": _measured(one.brier),
        "expected": _estimate(one.expected),
    }


def _estimate(one: Estimate) -> dict[str, Any]:
    return {"rows": one.rows, **{name: _measured(one.measured(name)) for name in one.values}}


def _measured(one: Measured) -> dict[str, Any]:
    return {
        "value": one.value,
        "interval_95": (one.interval.low, one.interval.high) if one.interval else None,
    }


def _shown(one: Measured, *, percent: bool = True) -> tuple[str, str]:
    if one.value is None:
        return "-", ""
    if not percent:
        within = f"{one.interval.low:.3f}–{one.interval.high:.3f}" if one.interval else ""
        return f"{one.value:.3f}", within
    within = f"{100 * one.interval.low:.1f}–{100 * one.interval.high:.1f}" if one.interval else ""
    return f"{one.value:.1%}", within


def _length(ms: float) -> str:
    hours = ms / _HOUR_MS
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{ms / 60_000:.1f} min" if ms >= 60_000 else f"{ms / 1000:.1f} s"


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, name in enumerate(names):
        table.add_column(name, justify="right" if position else "left", no_wrap=True, overflow="ellipsis",
                         max_width=None if position else 16)  # fmt: skip
    return table

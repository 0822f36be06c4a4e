"""What the quality part of its page shows: realised beside expected, by version, and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from vigie.dashboards.chart_parts import framed
from vigie.quality.judgement import MINIMUM_OUTCOMES, Verdict
from vigie.quality.measures import Measured
from vigie.quality.recorded import RecordedQuality
from vigie.quality.report import Group, QualityReport
from vigie.ui.drift.reading import QualityFound
from vigie.ui.language import Language
from vigie.ui.moments import moment
from vigie.ui.numbers import percent
from vigie.ui.plot import Chart, chart_of
from vigie.ui.spans import span
from vigie.ui.texts import Texts

Json = dict[str, Any]
BADGES: Final[Mapping[Verdict, str]] = {
    "fine": "ok",
    "below training": "failed",
    "concept drift": "failed",
    "inputs drifted": "failed",
    "disagreement": "failed",
    "not enough": "quiet",
}
WORDS: Final[Mapping[Verdict, tuple[str, str]]] = {
    "fine": ("drift.quality_fine", "drift.quality_fine_means"),
    "below training": ("drift.quality_below", "drift.quality_below_means"),
    "concept drift": ("drift.quality_concept", "drift.quality_concept_means"),
    "inputs drifted": ("drift.quality_inputs", "drift.quality_inputs_means"),
    "disagreement": ("drift.quality_disagreement", "drift.quality_disagreement_means"),
    "not enough": ("drift.quality_not_enough", "drift.quality_not_enough_means"),
}
"""Verdict → keys of what it says and of what it means."""
REALISED: Final = "#C44E00"
EXPECTED: Final = "#3B76AF"
TRAINING: Final = "#404040"
CHART_HEIGHT: Final = 230


@dataclass(frozen=True, slots=True)
class Bounded:
    """A figure with its 95 % interval; None where there is nothing to measure."""

    value: float | None
    low: float | None = None
    high: float | None = None


NOTHING: Final = Bounded(None)


@dataclass(frozen=True, slots=True)
class VersionView:
    """Accuracy of one model version."""

    version: str
    outcomes: int
    predictions: int | None
    """None where they were not counted."""
    realised: Bounded
    expected: Bounded
    training: float | None
    at: str
    """When it was judged; empty: just now."""

    @property
    def enough(self) -> bool:
        """Whether there are enough outcomes to be drawn."""
        return self.outcomes >= MINIMUM_OUTCOMES


@dataclass(frozen=True, slots=True)
class QualityView:
    """The whole; of no predictions `verdict` is None."""

    verdict: Verdict | None
    badge: str
    says: str
    means: str
    """Keys."""
    predictions: int
    outcomes: int
    needed: int
    coverage: float | None
    lag: str
    lag_most: str
    since: str
    until: str
    foretold: float | None
    """Accuracy that the probabilities of all predictions let expect."""
    versions: tuple[VersionView, ...]
    chart: Chart | None


class QualityWords:
    """Puts what was found into one reader's language."""

    def __init__(self, texts: Texts, language: Language, zone: ZoneInfo) -> None:
        self._texts = texts
        self._language = language
        self._zone = zone

    def view(self, found: QualityFound) -> QualityView:
        """Return what the page shows of it."""
        if found.report is not None:
            return self._checked(found.report)
        if found.recorded:
            return self._recorded(found.recorded, found.served.model.version)
        return QualityView(
            None, "quiet", "", "", 0, 0, MINIMUM_OUTCOMES, None, "", "", "", "", None, (), None
        )

    def _checked(self, report: QualityReport) -> QualityView:
        versions = tuple(self._group(one, report) for one in report.groups)
        says, means = WORDS[report.judgement.verdict]
        return QualityView(
            verdict=report.judgement.verdict if report.predictions else None,
            badge=BADGES[report.judgement.verdict],
            says=says,
            means=means,
            predictions=report.predictions,
            outcomes=report.whole.rows,
            needed=MINIMUM_OUTCOMES,
            coverage=report.coverage,
            lag=self._span(report.lag.median_ms),
            lag_most=self._span(report.lag.p90_ms),
            since=self._time(report.period.since.isoformat()),
            until=self._time(report.period.until.isoformat()),
            foretold=report.foretold.values.get("accuracy"),
            versions=versions,
            chart=self._chart(versions),
        )

    def _group(self, one: Group, report: QualityReport) -> VersionView:
        own = one.name == report.model.version
        return VersionView(
            version=one.name,
            outcomes=one.rows,
            predictions=report.predictions if own else None,
            realised=_bounded(one.figures["accuracy"]),
            expected=_bounded(one.expected.measured("accuracy")),
            training=report.training.accuracy if one.name == report.reference_version else None,
            at="",
        )

    def _recorded(self, recorded: Sequence[RecordedQuality], served: str) -> QualityView:
        own = next((one for one in recorded if one.version == served), recorded[0])
        figures = own.figures
        says, means = WORDS[figures["verdict"]]
        versions = tuple(self._version(one) for one in recorded)
        return QualityView(
            verdict=figures["verdict"],
            badge=BADGES[figures["verdict"]],
            says=says,
            means=means,
            predictions=figures["predictions"],
            outcomes=figures["outcomes"],
            needed=MINIMUM_OUTCOMES,
            coverage=figures.get("coverage"),
            lag=self._span(figures.get("lag_median_ms")),
            lag_most=self._span(figures.get("lag_p90_ms")),
            since=self._time(figures["since"]),
            until=self._time(figures["until"]),
            foretold=figures.get("expected_of_all"),
            versions=versions,
            chart=self._chart(versions),
        )

    def _version(self, one: RecordedQuality) -> VersionView:
        figures = one.figures
        return VersionView(
            version=one.version,
            outcomes=figures["outcomes"],
            predictions=figures["predictions"],
            realised=Bounded(
                figures.get("accuracy"), figures.get("accuracy_low"), figures.get("accuracy_high")
            ),
            expected=Bounded(
                figures.get("expected_accuracy"), figures.get("expected_low"), figures.get("expected_high")
            ),
            training=figures.get("training_accuracy"),
            at=self._time(one.at),
        )

    def _time(self, timestamp: str) -> str:
        return moment(timestamp, self._zone)[:-4]

    def _span(self, milliseconds: float | None) -> str:
        return "" if milliseconds is None else span(self._language, milliseconds)

    def _chart(self, versions: Sequence[VersionView]) -> Chart | None:
        """Return the picture of the versions with enough outcomes; None when there is none."""
        shown = [one for one in versions if one.enough]
        if not shown:
            return None
        say = self._texts.say
        names = (
            say(self._language, "drift.realised"),
            say(self._language, "drift.expected"),
            say(self._language, "drift.in_training"),
        )
        content = accuracy_by_version(shown, names, say(self._language, "drift.accuracy"))
        title = say(self._language, "drift.quality_chart")
        drawn = framed(content, self._language, title, CHART_HEIGHT)
        return chart_of("accuracy-by-version", title, CHART_HEIGHT, drawn)

    def interval(self, one: Bounded) -> str:
        """Return the figure and its interval as text; a dash where there is nothing."""
        if one.value is None:
            return "–"
        value = percent(self._language, one.value)
        if one.low is None or one.high is None:
            return value
        return f"{value} ({percent(self._language, one.low)} – {percent(self._language, one.high)})"


def accuracy_by_version(versions: Sequence[VersionView], names: tuple[str, str, str], axis: str) -> Json:
    """Return the layers that draw realised, expected and training's accuracy with their 95 % intervals.

    The axis does not begin at 0: points, unlike bars, are read by their distance from one another.
    """
    values = [
        {"version": one.version, "s": name, "v": figure.value, "low": figure.low, "high": figure.high}
        for one in versions
        for name, figure in zip(names, (one.realised, one.expected, Bounded(one.training)), strict=True)
        if figure.value is not None
    ]
    ends = [end for value in values for end in (value["v"], value["low"], value["high"]) if end is not None]
    lowest = max(0.0, float(int(20 * min(ends))) / 20)
    scale = {"domain": list(names), "range": [REALISED, EXPECTED, TRAINING]}
    y = {
        "type": "quantitative",
        "title": axis,
        "axis": {"format": ".0%", "tickCount": 5},
        "scale": {"domain": [lowest, 1], "zero": False},
    }
    return {
        "data": {"values": values},
        "encoding": {
            "x": {"field": "version", "type": "nominal", "title": None, "axis": {"labelAngle": 0}},
            "xOffset": {"field": "s", "type": "nominal", "scale": {"domain": list(names)}},
            "color": {"field": "s", "type": "nominal", "scale": scale},
            "tooltip": [
                {"field": "s", "type": "nominal", "title": " "},
                {"field": "v", "type": "quantitative", "format": ".1%", "title": axis},
                {"field": "low", "type": "quantitative", "format": ".1%", "title": "≥"},
                {"field": "high", "type": "quantitative", "format": ".1%", "title": "≤"},
            ],
        },
        "layer": [
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {"y": {**y, "field": "v"}},
            },
        ],
    }


def _bounded(one: Measured) -> Bounded:
    if one.interval is None:
        return Bounded(one.value)
    return Bounded(one.value, one.interval.low, one.interval.high)

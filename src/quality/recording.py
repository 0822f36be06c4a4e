"""The verdict on quality as an event, which becomes a document like any other."""

from __future__ import annotations

from datetime import datetime

from vigie.drift.check import Served
from vigie.drift.window import instant
from vigie.quality.report import QualityReport
from vigie.telemetry.event import QUALITY, Event
from vigie.telemetry.quality_figures import QualityFigures


def event_of(report: QualityReport, served: Served, at: datetime) -> Event:
    """Return what was found as an event of the time `at`."""
    return Event(
        timestamp=instant(at),
        level="WARNING" if report.alarmed else "INFO",
        message=f"quality of {report.model.name} {report.model.version}: {report.judgement.words[0]}",
        data={
            "kind": QUALITY,
            "model": {
                "name": served.manifest.name,
                "version": served.manifest.version,
                "runtime": served.manifest.runtime.name,
            },
            "quality": figures_of(report),
        },
    )


def figures_of(report: QualityReport) -> QualityFigures:
    """Return the figures; what there is nothing to measure of is absent."""
    figures: QualityFigures = {
        "verdict": report.judgement.verdict,
        "conclusion": report.judgement.words[0],
        "alarm": report.alarmed,
        "predictions": report.predictions,
        "outcomes": report.whole.rows,
        "training_accuracy": report.training.accuracy,
        "since": instant(report.period.since),
        "until": instant(report.period.until),
    }
    if report.coverage is not None:
        figures["coverage"] = report.coverage
    realised, expected = report.whole.figures["accuracy"], report.whole.expected.measured("accuracy")
    if realised.value is not None and realised.interval is not None:
        figures["accuracy"] = realised.value
        figures["accuracy_low"], figures["accuracy_high"] = realised.interval.low, realised.interval.high
    if expected.value is not None and expected.interval is not None:
        figures["expected_accuracy"] = expected.value
        figures["expected_low"], figures["expected_high"] = expected.interval.low, expected.interval.high
    if (of_all := report.foretold.values.get("accuracy")) is not None:
        figures["expected_of_all"] = of_all
    if report.lag.median_ms is not None and report.lag.p90_ms is not None:
        figures["lag_median_ms"], figures["lag_p90_ms"] = report.lag.median_ms, report.lag.p90_ms
    return figures

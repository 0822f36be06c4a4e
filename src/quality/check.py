"""The check on demand: quality of a period's predictions, realised and expected, and what drift says."""

from __future__ import annotations

import numpy as np

from vigie.drift.check import Period, Served
from vigie.drift.check import check as check_drift
from vigie.drift.window import Predictions
from vigie.model.package import Metrics
from vigie.quality.calibration import Bins
from vigie.quality.estimate import estimate
from vigie.quality.judgement import ERROR, Drifted, judge
from vigie.quality.measures import IntArray, brier, measured, proportions
from vigie.quality.outcomes import MOST_READ, Counts, Outcomes
from vigie.quality.report import Group, QualityReport
from vigie.schema import FeatureSchema


def check(
    predictions: Predictions,
    served: Served,
    period: Period,
    held_out: Bins,
    by: str | None = None,
    *,
    with_brier: bool = True,
    error: float = ERROR,
) -> QualityReport:
    """Judge the quality of a period's predictions, and count it in groups where asked.

    `held_out` are the held-out rows by score, which the estimate is calibrated by. The Brier score reads
    outcome by outcome, and can be left out. `error` as in `judge`. Raises DriftError when the store fails,
    QualityError for groups that there are none of.
    """
    outcomes = Outcomes(predictions, served.schema, period, held_out.edges)
    answered, scores = outcomes.predicted()
    counts, lag = outcomes.counts()
    groups = {} if by is None else outcomes.groups(by)
    errors = outcomes.squared_errors(by) if with_brier else {}
    threshold = served.schema.target.threshold if len(served.schema.target.classes) == 2 else None
    of_outcomes = estimate(counts.bins, held_out, threshold)
    drift = check_drift(predictions, served, period)
    drifted = Drifted(
        drift.judged, tuple(name for name in drift.alarmed if name in served.reference.features)
    )
    training = training_matrix(served.manifest.metrics, served.schema)
    none = np.zeros(0)

    def group(name: str, one: Counts) -> Group:
        expected = estimate(one.bins, held_out, threshold)
        return Group(name, one.rows, measured(one.matrix), brier(errors.get(name, none)), expected)

    return QualityReport(
        model=predictions.model,
        reference_version=served.model.version,
        period=period,
        predictions=answered,
        whole=Group("", counts.rows, measured(counts.matrix), brier(errors.get("", none)), of_outcomes),
        foretold=estimate(scores, held_out, threshold),
        training=served.manifest.metrics,
        counts=counts,
        lag=lag,
        classes=served.schema.target.classes,
        by=by,
        groups=tuple(group(name, one) for name, one in groups.items()),
        brier_rows=min(MOST_READ, len(errors.get("", none))),
        drifted=drifted,
        judgement=judge(proportions(counts.matrix), proportions(training), of_outcomes, drifted, error),
    )


def training_matrix(metrics: Metrics, schema: FeatureSchema) -> IntArray:
    """Return the confusion matrix of the held-out rows: true class, then class given."""
    classes = schema.target.classes
    cells = [[metrics.confusion[true][given] for given in classes] for true in classes]
    return np.array(cells, dtype=np.int64)

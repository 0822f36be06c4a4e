"""What the drift part of its page shows: verdicts in words, shares beside training's, refused requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from zoneinfo import ZoneInfo

from vigie.dashboards.chart_parts import framed
from vigie.drift.data_quality import LEAST_CHANGE_P, Reason, Refusals
from vigie.drift.judgement import MINIMUM_ROWS, PREDICTION, Judgement
from vigie.drift.parts import bin_names, share
from vigie.drift.recorded import running
from vigie.drift.report import LEAST_P
from vigie.model.reference_profile import Profile
from vigie.schema import Feature, FeatureSchema
from vigie.ui.drift.distributions import CHART_HEIGHT, Cell, distribution
from vigie.ui.drift.reading import DriftFound
from vigie.ui.language import Language
from vigie.ui.moments import moment, significant
from vigie.ui.numbers import number, percent
from vigie.ui.plot import Chart, chart_of
from vigie.ui.texts import Texts

State = Literal["nothing", "too_few", "alarm", "named", "stable"]
BADGES: Final[Mapping[State, str]] = {
    "nothing": "quiet",
    "too_few": "quiet",
    "alarm": "failed",
    "named": "refused",
    "stable": "ok",
}
REASONS: Final[Mapping[Reason, str]] = {
    "missing": "drift.reason_missing",
    "out of range": "drift.reason_out_of_range",
    "new category": "drift.reason_new_category",
    "wrong type": "drift.reason_wrong_type",
    "unknown field": "drift.reason_unknown_field",
    "not readable": "drift.reason_not_readable",
}


@dataclass(frozen=True, slots=True)
class FeatureView:
    """One input, or the answer."""

    name: str
    label: str
    badge: str
    verdict: str
    """Key of the verdict's words."""
    before: str
    now: str
    psi: float
    by_chance: float
    p: str
    since: str
    """When its first window in a row with a verdict began; empty without one."""
    windows: int
    """How many windows in a row have one."""
    cells: tuple[Cell, ...]
    chart: Chart

    @property
    def quiet(self) -> bool:
        """Whether it is an input that there is nothing to say of."""
        return self.badge in {"ok", "quiet"} and self.name != PREDICTION


@dataclass(frozen=True, slots=True)
class RefusalsView:
    """Requests of the window that were refused."""

    requests: int
    refused: int
    share: float
    low: float
    high: float
    before: float | None
    """Share in the window before; None when there is none."""
    changed: bool
    fields: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    """Label of the field ("" for the whole request) → key of the reason → refused requests."""
    read: int


@dataclass(frozen=True, slots=True)
class DriftView:
    """The whole."""

    state: State
    badge: str
    alarmed: str
    named: str
    rows: int
    needed: int
    first: str
    last: str
    scheduled: bool
    model: str
    version: str
    reference_rows: int
    reference_version: str
    features: tuple[FeatureView, ...]
    refusals: RefusalsView


class DriftWords:
    """Puts what was found into one reader's language."""

    def __init__(self, texts: Texts, language: Language, zone: ZoneInfo, schema: FeatureSchema) -> None:
        self._texts = texts
        self._language = language
        self._zone = zone
        self._schema = schema

    def view(self, found: DriftFound) -> DriftView:
        """Return what the page shows of it, alarms first."""
        report = found.report
        judgements = sorted(report.judgements, key=_weight, reverse=True)
        state: State = "nothing" if not report.rows else "too_few"
        if report.judged:
            state = "alarm" if report.alarmed else "named" if report.named else "stable"
        return DriftView(
            state=state,
            badge=BADGES[state],
            alarmed=self._labels(report.alarmed),
            named=self._labels(report.named),
            rows=report.rows,
            needed=MINIMUM_ROWS,
            first=moment(report.first.timestamp, self._zone)[:-4] if report.first else "",
            last=moment(report.last.timestamp, self._zone)[:-4] if report.last else "",
            scheduled=found.scheduled,
            model=report.model.name,
            version=report.model.version,
            reference_rows=report.reference_rows,
            reference_version=report.reference_version,
            features=tuple(self._feature(one, found) for one in judgements),
            refusals=self._refusals(report.quality, report.quality_before),
        )

    def _labels(self, names: Sequence[str]) -> str:
        return ", ".join(map(self._label, names))

    def _label(self, name: str) -> str:
        if name == PREDICTION:
            return self._texts.say(self._language, "drift.answer")
        feature = self._schema.by_name.get(name)
        return name if feature is None else feature.label.in_language(self._language)

    def _feature(self, one: Judgement, found: DriftFound) -> FeatureView:
        badge, verdict = _verdict(one)
        row = running(found.windows, one.feature) if one.verdict == "drift" else []
        before, now = self._compared(one)
        cells = tuple(self._cells(one))
        label = self._label(one.feature)
        return FeatureView(
            name=one.feature,
            label=label,
            badge=badge,
            verdict=verdict,
            before=before,
            now=now,
            psi=one.psi,
            by_chance=found.by_chance[one.feature],
            p=self._p(one.p_value),
            since=moment(row[-1].first, self._zone)[:-7] if row else "",
            windows=len(row),
            cells=cells,
            chart=self._chart(one.feature, label, cells),
        )

    def _p(self, value: float) -> str:
        if value < LEAST_P:
            return f"<\u00a0{LEAST_P:.0e}"
        return f"{value:.0e}" if value < 0.001 else number(self._language, value, 3)

    def _compared(self, one: Judgement) -> tuple[str, str]:
        """Return mean, or share of the level that differs most, in training and now."""
        before, now = one.reference, one.window
        if before.kind == "bins":
            return self._mean(one, before), self._mean(one, now)
        if tuple(before.levels) == (0, 1):
            return self._share(before, 1), self._share(now, 1)
        away = [abs(share(before, level) - share(now, level)) for level in range(len(before.levels))]
        most = away.index(max(away))
        name = str(before.levels[most])
        return f"{name} {self._share(before, most)}", f"{name} {self._share(now, most)}"

    def _mean(self, one: Judgement, profile: Profile) -> str:
        if profile.mean is None:
            return "–"
        if one.compared == "prediction":
            return percent(self._language, profile.mean)
        return significant(self._language, profile.mean)

    def _share(self, profile: Profile, position: int) -> str:
        return percent(self._language, share(profile, position))

    def _cells(self, one: Judgement) -> Iterator[Cell]:
        feature = self._schema.by_name.get(one.feature)
        names = list(self._names(one.reference, feature))
        for position, name in enumerate(names):
            known = position < len(one.reference.counts)
            if known or one.reference.cells[position] or one.window.cells[position]:
                yield Cell(name, share(one.reference, position), share(one.window, position))

    def _names(self, profile: Profile, feature: Feature | None) -> Iterator[str]:
        say = self._texts.say
        if profile.kind == "bins":
            point = "," if self._language == "fr" else "."
            if feature is None:  # the answer's probability
                edges = [100 * edge for edge in profile.edges]
                yield from bin_names(edges, whole=False, sign="\u00a0%", point=point)
            else:
                yield from bin_names(profile.edges, whole=feature.type == "integer", point=point)
        elif feature is not None and feature.type == "binary":
            for value, key in ((0, "drift.no"), (1, "drift.yes")):
                text = feature.values.get(value)
                yield text.in_language(self._language) if text else say(self._language, key)
        else:
            yield from map(str, profile.levels)
        yield say(self._language, "drift.missing")
        yield say(self._language, "drift.unseen")

    def _chart(self, name: str, label: str, cells: Sequence[Cell]) -> Chart:
        say = self._texts.say
        training, now = say(self._language, "drift.training"), say(self._language, "drift.now")
        content = distribution(cells, training, now, say(self._language, "drift.part_of_rows"))
        description = say(self._language, "drift.chart", label=label)
        drawn = framed(content, self._language, description, CHART_HEIGHT)
        return chart_of(f"distribution-{name}", description, CHART_HEIGHT, drawn)

    def _refusals(self, found: Refusals, before: Refusals | None) -> RefusalsView:
        low, high = found.interval()
        known = before is not None and before.requests > 0
        return RefusalsView(
            requests=found.requests,
            refused=found.refused,
            share=found.share,
            low=low,
            high=high,
            before=before.share if before is not None and known else None,
            changed=before is not None and known and found.changed_from(before) < LEAST_CHANGE_P,
            fields=tuple(
                (
                    self._label(field) if field else "",
                    tuple((REASONS[r], n) for r, n in sorted(reasons.items())),
                )
                for field, reasons in found.reasons.items()
            ),
            read=found.read,
        )


def _weight(one: Judgement) -> tuple[bool, bool, float]:
    return one.alarm, one.verdict == "drift", one.psi


def _verdict(one: Judgement) -> tuple[str, str]:
    """Return the badge and the key of the words."""
    if one.verdict == "not enough":
        return "quiet", "drift.verdict_not_enough"
    if one.alarm:
        return "failed", "drift.verdict_alarm"
    return ("refused", "drift.verdict_here") if one.verdict == "drift" else ("ok", "drift.verdict_stable")

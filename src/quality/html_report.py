"""The report as one HTML page that needs nothing else: tables, words, and two plots as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

from vigie.quality.measures import NAMES, Measured
from vigie.quality.report import Group, QualityReport, calibration_curve

WIDTH: Final = 560
HEIGHT: Final = 300
MARGIN: Final = 36
STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
th, td { text-align: right; padding: .3rem .8rem; border-bottom: 1px solid #d6dde4; }
th:first-child, td:first-child { text-align: left; }
.alarm { background: #fde8e6; padding: .6rem; font-weight: 600; }
figure { margin: 0 0 1.5rem; border: 1px solid #d6dde4; border-radius: 6px; padding: .6rem; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; } text { font: 10px system-ui, sans-serif; fill: #3d4d5c; }
.realised { stroke: #b5412b; fill: #b5412b; } .expected { stroke: #1f5a92; fill: #1f5a92; }
.right { stroke: #9fb3c8; stroke-dasharray: 4; }
"""
Point = tuple[float, float]


def html_page(report: QualityReport) -> str:
    """Return the page; whatever comes from outside is escaped."""
    title = f"Quality of {report.model.name} {report.model.version}"
    words = "".join(
        f"<p{' class=alarm' if line.startswith('ALARM') else ''}>{escape(line)}</p>"
        for line in report.lines()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{words}{_table(report)}"
        f"{_comparison(report)}{_calibration(report)}</body></html>\n"
    )


def _table(report: QualityReport) -> str:
    shown = [report.whole, *report.groups]
    names = [*NAMES, "brier"]
    head = "".join(f"<th>{name}</th>" for name in ["", "outcomes", *names, "expected accuracy"])
    rows = "".join(_row(one, names) for one in shown)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(one: Group, names: Sequence[str]) -> str:
    figures = {**one.figures, "brier": one.brier, "expected": one.expected.measured("accuracy")}
    cells = [one.name or "all", f"{one.rows:,}", *(_figure(figures[name]) for name in [*names, "expected"])]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _figure(one: Measured) -> str:
    if one.value is None:
        return "-"
    within = f" ({one.interval.low:.3f}–{one.interval.high:.3f})" if one.interval else ""
    return f"{one.value:.3f}{within}"


def _comparison(report: QualityReport) -> str:
    """Draw the accuracy of each group, or of all, realised beside expected, with both intervals."""
    shown = [one for one in report.groups or (report.whole,) if one.rows]
    if not shown:
        return ""
    parts = list(_axes())
    step = (WIDTH - 2 * MARGIN) / len(shown)
    for position, one in enumerate(shown):
        middle = MARGIN + (position + 0.5) * step
        pair = (("realised", one.figures["accuracy"]), ("expected", one.expected.measured("accuracy")))
        for kind, figure in pair:
            parts += _whisker(kind, middle + (4 if kind == "expected" else -4), figure, one.name or "all")
        label = escape(one.name or "all")
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{label}</text>')
    return _svg("Accuracy: realised (red) beside expected from the probabilities (blue), 95 %", parts)


def _calibration(report: QualityReport) -> str:
    parts = [*_axes(), _line((0, 0), (1, 1), "right")]
    for one in calibration_curve(report.counts.curve):
        if one["rows"]:
            parts += _point_of_curve(one)
    return _svg("Calibration: share that came true by probability; the dashed line is right", parts)


def _point_of_curve(one: dict[str, Any]) -> Iterator[str]:
    at, (low, high) = one["mean_probability"], one["interval_95"]
    yield _line((at, low), (at, high), "realised")
    x, y = _place((at, one["share"]))
    yield (
        f'<circle class="realised" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{one["rows"]:,} outcomes, '
        f"probability {at:.3f}, came true {one['share']:.3f}</title></circle>"
    )


def _whisker(kind: str, x: float, one: Measured, name: str) -> Iterator[str]:
    if one.value is None:
        return
    if one.interval is not None:
        top, bottom = _place((0, one.interval.high))[1], _place((0, one.interval.low))[1]
        yield f'<line class="{kind}" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>'
    y = _place((0, one.value))[1]
    yield (
        f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{escape(name)}: {one.value:.1%} '
        f"{kind}</title></circle>"
    )


def _axes() -> Iterator[str]:
    for tenth in range(0, 11, 2):
        x, y = _place((0, tenth / 10))
        yield f'<text x="{x - 6:.1f}" y="{y + 3:.1f}" text-anchor="end">{tenth * 10} %</text>'
        yield f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{WIDTH - MARGIN}" y2="{y:.1f}" stroke="#e6ebf0"/>'


def _line(start: Point, end: Point, kind: str) -> str:
    (x1, y1), (x2, y2) = _place(start), _place(end)
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _place(point: Point) -> Point:
    x, y = point
    return MARGIN + x * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN)


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg></figure>"
    )

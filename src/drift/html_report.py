"""The report as one HTML page that needs nothing else: table, words, and a plot of each feature as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from vigie.drift.judgement import PREDICTION, Judgement
from vigie.drift.report import DriftReport, compared, shown_p
from vigie.model.reference_profile import Profile
from vigie.schema import FeatureSchema

WIDTH: Final = 520
HEIGHT: Final = 150
BASE: Final = 120
"""Where the bars stand, in pixels from the top; their labels are below."""
STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d6dde4; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.alarm td { background: #fde8e6; font-weight: 600; }
.drift td { background: #fff4d6; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(27rem, 1fr)); gap: 1rem; }
figure { margin: 0; border: 1px solid #d6dde4; border-radius: 6px; padding: .6rem; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; }
.training { fill: #9fb3c8; } .now { fill: #b5412b; } text { font: 10px system-ui, sans-serif; fill: #3d4d5c; }
.key { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; }
"""


def html_page(report: DriftReport, schema: FeatureSchema) -> str:
    """Return the page; whatever comes from outside is escaped."""
    title = f"Drift of {report.model.name} {report.model.version}"
    words = "".join(f"<p>{escape(line)}</p>" for line in report.lines())
    plots = "".join(_figure(one, _label(one, schema)) for one in report.judgements)
    key = (
        '<p><span class="key" style="background:#9fb3c8"></span>training'
        '<span class="key" style="background:#b5412b"></span>now: share of rows in each bin or level</p>'
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{words}{_table(report)}"
        f'{key}<div class="plots">{plots}</div></body></html>\n'
    )


def _label(one: Judgement, schema: FeatureSchema) -> str:
    if one.compared == "prediction":
        return f"{PREDICTION}: {schema.target.title.en}"
    return f"{one.feature}: {schema.by_name[one.feature].label.en}"


def _table(report: DriftReport) -> str:
    head = "<th>feature</th><th class=number>n</th><th>training → now</th>"
    head += "<th class=number>PSI</th><th class=number>p</th><th>verdict</th>"
    rows = "".join(_row(one) for one in report.judgements)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(one: Judgement) -> str:
    kind = "alarm" if one.alarm else one.verdict.replace(" ", "-")
    cells = [
        ("", one.feature),
        ("number", f"{one.window.rows - one.window.missing:,}"),
        ("", compared(one.reference, one.window)),
        ("number", f"{one.psi:.3f}"),
        ("number", shown_p(one.p_value)),
        ("", one.words),
    ]
    return f'<tr class="{kind}">' + "".join(f'<td class="{c}">{escape(t)}</td>' for c, t in cells) + "</tr>"


def _figure(one: Judgement, label: str) -> str:
    names = list(_cell_names(one.reference))
    shown = [
        position
        for position, (before, now) in enumerate(zip(one.reference.cells, one.window.cells, strict=True))
        if position < len(one.reference.counts) or before or now
    ]
    pairs = [(_share(one.reference, position), _share(one.window, position)) for position in shown]
    bars = "".join(_bars([names[position] for position in shown], pairs))
    described = f"{label}; {one.words}, PSI {one.psi:.3f}"
    return (
        f"<figure><figcaption>{escape(label)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(described)}</title>{bars}</svg>'
        "</figure>"
    )


def _bars(names: Sequence[str], pairs: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Yield two bars per cell and its name below, as high as their shares."""
    tallest = max((max(pair) for pair in pairs), default=0.0) or 1.0
    step = WIDTH / len(pairs)
    for position, (name, pair) in enumerate(zip(names, pairs, strict=True)):
        for side, (kind, share) in enumerate(zip(("training", "now"), pair, strict=True)):
            height = (BASE - 12) * share / tallest
            left, width = position * step + step * (0.12 + 0.38 * side), step * 0.36
            yield (
                f'<rect class="{kind}" x="{left:.1f}" y="{BASE - height:.1f}" width="{width:.1f}" '
                f'height="{height:.1f}"><title>{escape(name)}: {share:.1%} {kind}</title></rect>'
            )
        middle = (position + 0.5) * step
        yield f'<text x="{middle:.1f}" y="{BASE + 14}" text-anchor="middle">{escape(name)}</text>'


def _cell_names(profile: Profile) -> Iterator[str]:
    if profile.kind == "levels":
        yield from (str(level) for level in profile.levels)
    elif not profile.edges:
        yield "any"
    else:
        edges = [f"{edge:.4g}" for edge in profile.edges]
        yield f"<{edges[0]}"
        yield from (f"{low}–" for low in edges)
    yield from ("missing", "unseen")


def _share(profile: Profile, position: int) -> float:
    return profile.cells[position] / profile.rows if profile.rows else 0.0

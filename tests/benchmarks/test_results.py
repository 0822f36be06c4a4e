"""From rounds to ratios, tables and pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import microseconds
import pytest
import serving
from benchmarks.page import performance_page, stale_pictures
from benchmarks.pictures import chart, draw, first_line
from check import found_in, read_floors
from contestants import Medians, Round
from load import Load
from record import Printed, keep

BARS = {
    "title": "Answers",
    "unit": "answers/s",
    "rows": [
        {"group": "", "name": "echo", "value": 5000.0},
        {"group": "", "name": "Vigie", "value": 12000.0},
    ],
}


def rounds(*per_second: int, p50: float = 1.0, cpu: float = 100.0) -> list[Round]:
    """Rounds of one second."""
    return [Round(Load(count, 1.0, p50, 2 * p50, 0), cpu, 0.0) for count in per_second]


def levels() -> Mapping[int, Mapping[str, list[Round]]]:
    """Rounds of all servers at 32 clients."""
    return {
        32: {
            serving.ECHO: rounds(4000, 5000, 9000, p50=4.0),
            serving.OFF: rounds(16000, 15000, 1000),
            serving.ON: rounds(1000, 12000, 20000, p50=2.0, cpu=50.0),
            serving.FORCED: rounds(6000, 6000, 6000),
        }
    }


def test_ratios_are_those_of_the_medians() -> None:
    """One bad round does not move a ratio; each ratio says at how many clients."""
    found = serving.ratios(levels())
    assert found["answers_to_echo_at_32"] == pytest.approx(12000 / 5000)
    assert found["events_to_none_at_32"] == pytest.approx(12000 / 15000)
    assert found["profiled_to_budgeted_at_32"] == pytest.approx(0.5)
    assert found["cpu_to_echo_at_32"] == pytest.approx(0.5)
    assert found["p99_to_echo_at_32"] == pytest.approx(0.5)


def test_serving_tells_every_ratio_that_has_a_bound() -> None:
    """A bound on serving names a ratio that the benchmark prints at these numbers of clients."""
    (measurement,) = [one for one in read_floors()["bench"] if one.name == "serving"]
    all_levels = {clients: levels()[32] for clients in (1, 32)}
    result = {"ratios": serving.ratios(all_levels)}
    assert [bound.ratio for bound in measurement.bounds if not found_in(result, bound.ratio) > 0] == []


def test_the_table_has_a_row_per_server() -> None:
    """Each server has its medians beside the echo's, and the share of its events that was profiled."""
    lines = serving.table(levels(), {f"32 {serving.ON}": 0.015}).splitlines()
    assert lines[4] == "| 32 | Vigie | 12,000 | 2.00 ms | 4.00 ms | 50 µs | 2.40 | 1.5% |"
    assert Medians.of(levels()[32][serving.ECHO]).per_second == 5000


def test_stages_add_up_to_the_whole() -> None:
    """Each microsecond is in exactly one line; what no line explains is a line of its own."""
    validation = [["/x/src/api/validation.py", "one"], ["/x/src/api/express.py", "_depart"]]
    model = [
        ["/lib/numpy/core.py", "dot"],
        ["/lib/onnxruntime/run.py", "run"],
        ["/x/src/model/predictor.py", "_infer"],
    ]
    sampled = {
        "stacks": [
            {"stack": validation, "ns": 3_000_000},
            {"stack": model, "ns": 1_000_000},
            {"stack": [], "ns": 500_000},
        ],
        "threads_ns": {"flusher": 2_000_000},
        "sampler_ns": 100_000,
    }
    lines = {line.stage: line.us for line in microseconds.lines_of(sampled, 1000, 7.0)}
    assert lines["validation"] == pytest.approx(3.0)
    assert lines["model"] == pytest.approx(1.0)
    assert lines[microseconds.OTHER] == pytest.approx(0.5)
    assert lines["thread flusher"] == pytest.approx(2.0)
    assert lines[microseconds.REMAINDER] == pytest.approx(0.4)
    assert sum(lines.values()) == pytest.approx(7.0)


def test_a_picture_is_drawn_and_knows_its_figures() -> None:
    """The chart is SVG with names and values, the same each time, and fresh only for its own figures."""
    drawn = draw(BARS)
    assert drawn.startswith(first_line(BARS) + "<svg")
    assert all(text in drawn for text in ("Answers", "echo", "12,000"))
    assert drawn == draw(BARS)
    assert first_line({**BARS, "unit": "rows/s"}) != first_line(BARS)


def test_groups_become_blocks() -> None:
    """Rows of several groups are drawn in one block per group, in their order."""
    rows = [{"group": group, "name": "echo", "value": 1.0} for group in ("32 clients", "1 clients")]
    assert chart({**BARS, "rows": rows})["facet"]["row"]["sort"] == ["32 clients", "1 clients"]


def test_the_page_shows_what_was_kept_where_the_prose_asks_for_it(tmp_path: Path) -> None:
    """A result stands at its place with command, picture and table; others follow; the missing is said."""
    (tmp_path / "performance.md").write_text("# P\n\n{{serving}}\n\nbetween\n\n{{batch}}\n\n{{tried}}\n")
    (tmp_path / "tried.yaml").write_text("- {what: a, hope: b, found: c}\n")
    (tmp_path / "extra.py").write_text('"""Something more: `python extra.py`."""\n')
    printed = Printed("python serving.py", 0, {"bars": BARS}, ["| a |", "|---|", "| 1 |"])
    keep("serving", "serving", printed, tmp_path / "results")
    keep("extra", "extra", Printed("python extra.py", 0, {}, ["| b |"]), tmp_path / "results")
    (tmp_path / "results" / "foreign.json").write_text(json.dumps({"rows": []}))
    page = performance_page(tmp_path)
    assert page.index("| 1 |") < page.index("between") < page.index("`batch` has not been kept yet.")
    assert "`python serving.py` on " in page
    assert "![Answers](performance/serving.svg)" in page
    assert "| a | b | c |" in page
    assert page.endswith("| b |\n")
    assert "\n## Something more\n" in page
    assert [*stale_pictures(tmp_path, tmp_path)] == [tmp_path / "serving.svg"]
    (tmp_path / "serving.svg").write_text(first_line(BARS) + "<svg/>")
    assert stale_pictures(tmp_path, tmp_path) == {}


def test_the_pictures_in_the_docs_are_fresh() -> None:
    """Each picture of docs/performance.md was drawn from the figures that are kept (`make reference`)."""
    assert stale_pictures() == {}

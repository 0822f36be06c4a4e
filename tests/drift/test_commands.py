"""`vigie drift`: what it prints, writes and ends with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from tests.drift.traffic import Change, events, older_and_more_tired, refused, rows, store, unchanged
from tests.servers import free_port
from typer.testing import CliRunner

from vigie.cli import app
from vigie.drift import commands
from vigie.drift.check import check, predictions_of, read_served
from vigie.drift.commands import PeriodError
from vigie.drift.evidently_export import records
from vigie.drift.html_report import html_page
from vigie.drift.window import Window
from vigie.errors import VigieError
from vigie.model.held_out_rows import held_out_records
from vigie.schema import FeatureSchema
from vigie.settings import Settings


def vigie(settings: Settings, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """Run the command in this process; return its exit status and what it printed."""
    monkeypatch.setattr(commands, "load_settings", lambda: settings)
    monkeypatch.setattr(commands, "out", Console(highlight=False, width=80))
    ran = CliRunner().invoke(app, ["drift", *arguments])
    if isinstance(ran.exception, VigieError):  # `main` makes it one line and status 2
        raise ran.exception
    return ran.exit_code, ran.stdout


def fill(
    settings: Settings, package: Path, schema: FeatureSchema, count: int, change: Change = unchanged
) -> None:
    """Store predictions of the last minutes."""
    begin = datetime.now(UTC) - timedelta(minutes=10)
    store(settings, events(package, rows(schema, count, 11, change), begin))


def test_a_shift_is_an_alarm(
    settings: Settings,
    package_path: Path,
    schema: FeatureSchema,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Status 1; the table names both features in 80 columns, JSON and page say the same."""
    fill(settings, package_path, schema, 500, older_and_more_tired)
    status, printed = vigie(settings, monkeypatch, "--html", str(tmp_path / "drift.html"))
    assert status == 1
    drifted = re.findall(r"^(\w+) .*DRIFT", printed, re.MULTILINE)
    assert set(drifted) - {"prediction"} == {"AGE", "FATIGUE"}
    assert max(map(len, printed.splitlines())) <= 80
    assert re.search(r"^AGE +500 +63\.04 → 7\d\.\d\d? +0\.\d{3} +<1e-16 +DRIFT", printed, re.MULTILINE)
    assert "ALARM: drift of AGE, FATIGUE" in printed
    status, printed = vigie(settings, monkeypatch, "--json", "--last", "1h")
    found = json.loads(printed)
    assert (status, found["window"]["rows"], found["judged"]) == (1, 500, True)
    assert {"AGE", "FATIGUE"} <= set(found["alarm"])
    (age,) = [one for one in found["features"] if one["feature"] == "AGE"]
    assert (age["method"], age["verdict"], sum(age["window"]["counts"])) == ("analytic", "drift", 500)
    page = Page((tmp_path / "drift.html").read_text(encoding="utf-8"))
    assert page.tags.count("figure") == 15
    assert page.outside == []


def test_without_a_shift_all_is_well(
    settings: Settings, package_path: Path, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 0, and the refused requests are told."""
    fill(settings, package_path, schema, 200)
    now = datetime.now(UTC) - timedelta(minutes=9)
    store(settings, [refused(500, now, {"field": "AGE", "reason": "is required"})])
    status, printed = vigie(settings, monkeypatch, "--window", "100")
    assert status == 0
    assert "100 predictions from" in printed
    status, printed = vigie(settings, monkeypatch, "--last", "30m")
    assert status == 0
    assert "no drift: differences from training are no larger than chance makes them" in printed
    assert "1 of 201 requests refused: 0.5%" in printed
    assert "AGE: missing 1" in printed


def test_what_cannot_be_judged_has_a_status_of_its_own(
    settings: Settings,
    package_path: Path,
    schema: FeatureSchema,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Status 2 for too few rows; a store that is away and a missing package are errors, which end with 2."""
    fill(settings, package_path, schema, 49, older_and_more_tired)
    status, printed = vigie(settings, monkeypatch)
    assert status == 2
    assert "cannot be judged: 49 predictions, 50 are needed" in printed
    away = settings.model_copy(update={"store": settings.store.model_copy(update={"es_port": free_port()})})
    with pytest.raises(VigieError, match="does not answer"):
        vigie(away, monkeypatch)
    none = settings.model_copy(
        update={"model": settings.model.model_copy(update={"model_path": tmp_path / "none"})}
    )
    with pytest.raises(VigieError, match="schema"):
        vigie(none, monkeypatch)


@pytest.mark.parametrize(
    ("last", "since", "until", "expected"),
    [
        ("30x", None, None, "a length such as 30m"),
        ("0h", None, None, "a length such as 30m"),
        ("1h", "2026-11-20", None, "without --since"),
        (None, None, "2026-11-20", "--until needs"),
        (None, "2026-11-21", "2026-11-20", "is not before"),
        (None, "yesterday", None, "not an ISO 8601 time"),
    ],
)
def test_a_period_that_is_none_is_refused(
    last: str | None, since: str | None, until: str | None, expected: str
) -> None:
    """The message says how to write it."""
    with pytest.raises(PeriodError, match=expected):
        commands.chosen_period(last, since, until)


def test_a_period_is_read(settings: Settings) -> None:
    """Times without a zone are UTC; a length ends at the time given."""
    end = datetime(2026, 11, 20, 12, tzinfo=UTC)
    by_length = commands.chosen_period("90m", None, "2026-11-20T12:00:00")
    assert by_length is not None
    assert (by_length.since, by_length.until) == (end - timedelta(minutes=90), end)
    by_times = commands.chosen_period(None, "2026-11-20T13:00:00+02:00", "2026-11-20T12:00:00Z")
    assert by_times is not None
    assert by_times.until - by_times.since == timedelta(hours=1)
    assert by_times.before.until == by_times.since
    assert commands.chosen_period(None, None, None) is None


class Page(HTMLParser):
    """The tags of a page, and whatever it would fetch from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the tag and its addresses."""
        self.tags.append(tag)
        self.outside += [str(value) for name, value in attrs if name in {"src", "href"}]


@pytest.fixture
def hostile() -> Iterator[str]:
    """A text that is harmful where it is not escaped."""
    yield "<script>alert('x')</script>&\""


def test_the_page_escapes_what_comes_from_outside(
    settings: Settings, package_path: Path, schema: FeatureSchema, hostile: str
) -> None:
    """Labels of a schema and the version asked for are texts, never markup."""
    fill(settings, package_path, schema, 60)
    served = read_served(package_path)
    with predictions_of(settings, served) as predictions:
        report = check(predictions, served, 60)
    label = schema.features[0].label.model_copy(update={"en": hostile})
    feature = schema.features[0].model_copy(update={"label": label})
    named = schema.model_copy(update={"features": (feature, *schema.features[1:])})
    page = Page(html_page(report, named))
    assert "script" not in page.tags
    assert page.tags.count("figure") == 15


def test_evidently_gets_the_rows_of_the_window(
    settings: Settings, package_path: Path, schema: FeatureSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest of them with their own types, and the held-out rows; where it is not installed, how to."""
    fill(settings, package_path, schema, 40)
    served = read_served(package_path)
    drawn = rows(schema, 40, 11)
    with predictions_of(settings, served) as predictions:
        monkeypatch.setattr("vigie.drift.evidently_export.PAGE", 7)
        found = list(records(predictions, Window(()), 25))
        assert sorted(map(str, list(records(predictions, Window(()), 100)))) == sorted(map(str, drawn))
    assert len(found) == 25
    assert all(row in drawn for row in found)
    reference = list(held_out_records(package_path / "holdout.csv", schema))
    assert len(reference) == 4000
    assert {type(value) for value in reference[0].values()} == {int}
    monkeypatch.setitem(__import__("sys").modules, "evidently", None)
    with pytest.raises(VigieError, match=r"pip install 'vigie\[drift-report\]'"):
        vigie(settings, monkeypatch, "--window", "40", "--evidently", "report.html")

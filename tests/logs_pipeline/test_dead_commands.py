"""`vigie pipeline dead`: what it prints, and how it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console
from tests.logs_pipeline.events import PRODUCER, prediction, record
from tests.logs_pipeline.fault_store import FaultStore, fault_store
from tests.servers import ROOT, free_port
from typer.testing import CliRunner, Result

from vigie.cli import app
from vigie.errors import VigieError
from vigie.logs_pipeline.dead_commands import HOPELESS
from vigie.logs_pipeline.pipeline import run_once
from vigie.settings import RedisSettings, Settings, load_settings
from vigie.telemetry.ids import iso_timestamp
from vigie.telemetry.stream.dead_letters import DeadLetter
from vigie.telemetry.stream.keys import letter_key
from vigie.telemetry.stream.stream import Record, Stream

Command = Callable[..., Result]


@pytest.fixture
def store() -> Iterator[FaultStore]:
    """A store that refuses a latency that is no number."""
    misfit = (400, {"type": "document_parsing_exception", "reason": "not a number"})
    with fault_store() as found:
        found.refuse = lambda line: misfit if line[2].get("latency_ms") == "slow" else None
        yield found


@pytest.fixture
def environment(
    redis_settings: RedisSettings,
    store: FaultStore,
    settings_for: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """Variables of an installation, set for the commands too."""
    found = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(redis_settings.redis_port),
        "ES_HOST": "127.0.0.1",
        "ES_PORT": store.url.rpartition(":")[2],
        "VIGIE_HOME": str(settings_for().api.vigie_home),
        "MODEL_PATH": str(ROOT / "model" / "lung_cancer"),
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def stream(environment: dict[str, str]) -> Stream:
    """The stream of the installation, with two letters: 1 the store refused, 2 was no event."""
    settings = load_settings(environment, None)
    found = Stream.open(settings.redis)
    today = {**prediction(1, latency_ms="slow"), "timestamp": iso_timestamp(time.time_ns())}
    found.write(PRODUCER, [record(today, 1), Record(2, b"\xffnot json")])
    run_once(settings)
    return found


@pytest.fixture
def dead(environment: dict[str, str]) -> Command:
    """Run a command and return how it ended."""
    return lambda *words: CliRunner().invoke(app, ["pipeline", "dead", *words])


def letters(stream: Stream) -> dict[int, DeadLetter]:
    """The letters that wait, by number."""
    return {letter.number: letter for letter in stream.letters.after("")}


def test_list_shows_the_newest_first(stream: Stream, dead: Command) -> None:
    """Two lines per letter: id, time, event and attempts, then the reason; as JSON everything."""
    first, second = sorted(letters(stream).values(), key=lambda letter: letter.id)
    shown = dead("list").stdout.splitlines()
    assert [line.split()[0] for line in shown[:4:2]] == [second.id, first.id]
    assert shown[4:] == ["2 of 2"]
    by_number = {
        line.split()[2].rpartition("/")[2]: why for line, why in zip(shown[:4:2], shown[1:4:2], strict=True)
    }
    assert "document_parsing_exception: not a number" in by_number["1"]
    assert "the event is not JSON" in by_number["2"]
    assert dead("list", "--limit", "1").stdout.splitlines()[2] == "1 of 2"
    listed = json.loads(dead("list", "--json").stdout)
    assert (listed["total"], [letter["id"] for letter in listed["letters"]]) == (2, [second.id, first.id])


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_list_fits_the_terminal(
    stream: Stream, dead: Command, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """A reason is cut to the width, with an ellipsis; the line before it is 80 columns at most."""
    monkeypatch.setattr("vigie.terminal.out", Console(width=columns))
    first, _ = letters(stream).values()
    reason = "word  \n" * 60
    stream.client.hset(letter_key(first.id), "reason", reason)
    stream.client.hset(letter_key(first.id), "attempts", "100")
    *pairs, _ = dead("list").stdout.splitlines()
    assert all(len(line) <= 80 for line in pairs[::2])
    assert max(map(len, pairs[1::2])) == columns
    assert pairs[3].endswith("…")
    assert pairs[3].startswith("  word word")
    again = dead("replay", first.id).stdout.splitlines()[0]
    assert len(again) <= columns


def test_an_event_nested_too_deeply_is_listed_and_shown(
    stream: Stream, environment: dict[str, str], dead: Command
) -> None:
    """Its text stands where an event would be."""
    deep = b'{"data":' + b'{"a":' * 300 + b"1" + b"}" * 301
    stream.write(PRODUCER, [Record(3, deep)])
    run_once(load_settings(environment, None))
    letter = letters(stream)[3]
    assert letter.reason == "the event is nested deeper than 64 levels"
    assert json.loads(dead("show", letter.id).stdout)["event"] == deep.decode()
    listed = json.loads(dead("list", "--json").stdout)["letters"]
    assert listed[0]["event"] == deep.decode()


def test_show_prints_the_whole_letter(stream: Stream, dead: Command) -> None:
    """The event, every refused document, attempts, first and last time; an event that is no JSON as text."""
    found = letters(stream)
    shown = json.loads(dead("show", found[1].id).stdout)
    assert shown["event"]["data"]["latency_ms"] == "slow"
    assert {failure["index"].rpartition("-")[0] for failure in shown["failures"]} == {
        "ml-api-logs",
        "ml-api-message",
        "ml-api-perfs",
    }
    assert shown["failures"][0]["reason"] == "not a number"
    assert (shown["attempts"], shown["number"], shown["producer"]) == (1, 1, PRODUCER)
    assert shown["first_at"] <= shown["last_at"]
    assert json.loads(dead("show", found[2].id).stdout)["event"] == "�not json"


def test_replay_says_what_became_of_each(stream: Stream, store: FaultStore, dead: Command) -> None:
    """What is still there is named with its reason, and the exit status says so."""
    found = letters(stream)
    store.refuse = lambda line: None
    done = dead("replay", found[1].id)
    assert (done.exit_code, done.stdout) == (
        0,
        "1 indexed, 0 filtered, 0 failed again, 0 left as they were\n",
    )
    again = dead("replay", "--all")
    assert again.exit_code == 1
    assert again.stdout.splitlines()[0].startswith(f"{found[2].id}  failed: the event is not JSON")
    assert again.stdout.splitlines()[1:] == [
        "0 indexed, 0 filtered, 1 failed again, 0 left as they were",
        HOPELESS.format(1),
    ]


def test_many_that_are_still_there_are_counted(
    stream: Stream, dead: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal is not flooded: beyond some, the rest is a number."""
    monkeypatch.setattr("vigie.logs_pipeline.dead_commands.MOST_TOLD", 1)
    assert dead("replay", "--all").stdout.splitlines()[1:] == [
        "… and 1 more",
        "0 indexed, 0 filtered, 2 failed again, 0 left as they were",
        HOPELESS.format(1),
    ]


def test_discard_asks_before_it_throws_all_away(stream: Stream, dead: Command) -> None:
    """Single letters go at once, all of them only with --yes."""
    found = letters(stream)
    refused = dead("discard", "--all")
    assert (refused.exit_code, "--yes" in refused.output) == (2, True)
    assert stream.letters.count() == 2
    assert dead("discard", found[1].id).stdout == "1 discarded\n"
    assert dead("discard", "--all", "--yes").stdout == "1 discarded\n"
    assert dead("list").stdout == "0 of 0\n"


@pytest.mark.parametrize("words", [("show", "1-1"), ("replay", "1-1"), ("discard", "1-1")])
def test_an_unknown_id_is_named(stream: Stream, dead: Command, words: tuple[str, ...]) -> None:
    """One line, which `vigie` prints with exit status 2; nothing is done."""
    ended = dead(*words)
    assert isinstance(ended.exception, VigieError)
    assert str(ended.exception).startswith("no dead letter has the id 1-1")
    assert stream.letters.count() == 2


@pytest.mark.parametrize("command", ["replay", "discard"])
def test_ids_or_all_must_be_given(stream: Stream, dead: Command, command: str) -> None:
    """Neither and both are refused."""
    for words in ((command,), (command, "--all", "1-1")):
        assert dead(*words).exit_code == 2
    assert stream.letters.count() == 2


def test_a_redis_that_is_away_is_one_line(
    stream: Stream, dead: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that does not answer is named."""
    port = str(free_port())
    monkeypatch.setenv("REDIS_PORT", port)
    ended = dead("list")
    assert isinstance(ended.exception, VigieError)
    assert port in str(ended.exception)

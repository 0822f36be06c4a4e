"""The page on foreign events: its examples run as they are printed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from tests.servers import ROOT

from vigie.demo.redis_server import redis_command
from vigie.logs_pipeline.bridges.foreign_event import from_list
from vigie.settings import RedisSettings
from vigie.telemetry.stream.admission import Admission

PAGE = (ROOT / "docs" / "operations" / "foreign-events.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)[:3])


def command_of(language: str, text: str) -> list[str]:
    """How an example is run; skips where the machine lacks its language."""
    if language == "python":
        return [sys.executable, "-c", text]
    if language == "javascript":
        if shutil.which("node") is None:
            pytest.skip("node is not installed")
        return ["node", "-e", text]
    beside = Path(redis_command(1, Path())[0]).with_name("redis-cli")
    found = shutil.which("redis-cli") or (str(beside) if beside.exists() else None)
    if found is None:
        pytest.skip("redis-cli is not installed")
    return ["sh", "-c", text.replace("redis-cli", found)]


@pytest.mark.parametrize(
    ("language", "expected"),
    [("sh", ("", 0)), ("python", ("backup-host-1", 1)), ("javascript", ("", 0))],
)
def test_an_example_hands_in_an_event(
    language: str, expected: tuple[str, int], redis_settings: RedisSettings
) -> None:
    """Each pushes one event that is complete, with the identity that the page says."""
    text = EXAMPLES[language].replace("6379", str(redis_settings.redis_port))
    subprocess.run(command_of(language, text), check=True, timeout=60, capture_output=True)
    admission = Admission(redis.Redis(port=redis_settings.redis_port), 1000)
    (listed,) = admission.peek()
    found = from_list(listed)
    assert (found.producer, found.number) == expected
    assert b'"kind":' in found.event, "it lacks no more than the kind"
    assert admission.admit_list([found]).admitted == 1

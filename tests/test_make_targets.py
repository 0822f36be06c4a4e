"""Every make target does what its line in the help says, against a real stack."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import redis
from tests.servers import ROOT, outside, redis_answers, wait_for
from tests.stack import Stack

from vigie.telemetry.stream.pipeline_status import statuses
from vigie.telemetry.stream.stream import Stream

STAMPS = [f"--old-file={sys.prefix}/{name}" for name in ("installed", "installed-dev")]
"""The environment is there: make must not install it again, least of all from a copy."""


def make(
    *words: str, cwd: Path = ROOT, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run make to its end."""
    return subprocess.run(
        ["make", f"VENV={sys.prefix}", *STAMPS, *words],
        cwd=cwd,
        env={**outside(), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, package_path: Path) -> Iterator[Stack]:
    """Redis, store and API, running, for all targets that ask them."""
    one = Stack(tmp_path_factory.mktemp("make") / "home", package_path)
    try:
        one.start("redis", "store", "api")
        yield one
    finally:
        one.stop()


def test_help_is_the_default_and_lists_every_target() -> None:
    """`make` alone prints each described target with its line."""
    shown = make().stdout
    listed = re.findall(r"^  ([a-z-]+) +\S", shown, re.MULTILINE)
    assert listed == re.findall(r"^([a-z-]+):.*?## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "\x1b" not in shown, "a file or a pipe gets no colours"


def test_help_is_coloured_on_a_terminal() -> None:
    """A terminal shows the names of the targets in bold."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        running = subprocess.Popen(["make", "help"], cwd=ROOT, env=outside(), stdout=theirs)
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # what a terminal says when the last one that writes to it has ended
            while part := terminal.read(4096):
                shown += part
        assert running.wait(120) == 0
    assert shown.startswith(b"  \x1b[1mhelp ")


def test_operating_targets_against_a_running_stack(stack: Stack) -> None:
    """predict-test, logs, health, provision, pipeline-once and -replay, verify and clear-logs, one after the other."""
    environment = stack.environment
    answer = json.loads(make("predict-test", **environment).stdout)
    assert answer["label"] in {"YES", "NO"}
    wait_for(
        lambda: "no pipeline runs: " in make("health", **environment).stdout, what="health to miss a pipeline"
    )
    health = json.loads(make("health", **environment).stdout)
    assert (health["status"], health["redis"], health["store"]) == ("degraded", "ok", "ok")
    wait_for(
        lambda: answer["transaction_id"] in make("logs", **environment).stdout,
        what="the prediction in the log",
    )
    refused = make("clear-logs", **environment)
    assert refused.returncode != 0
    assert "409" in refused.stderr
    assert make("provision", **environment).returncode == 0
    assert "ml-api-logs" in httpx.get(stack.store_url + "/_index_template/*").text
    Stream.open(stack.settings.redis).client.xadd("api_logs", {"by": "hand"})
    once = make("pipeline-once", **environment)
    assert once.returncode == 0, once.stderr
    replayed = make("pipeline-replay", **environment)
    assert replayed.returncode != 0
    assert "1 failed again" in replayed.stdout
    assert any(d["transaction_id"] == answer["transaction_id"] for d in stack.documents("ml-api-message"))
    balanced = make("verify", **environment)
    assert balanced.returncode == 0, balanced.stdout
    assert "balanced" in balanced.stdout
    make("pipeline-once", **environment)
    cleared = make("clear-logs", "ARGS=--force", **environment)
    assert cleared.returncode == 0, cleared.stderr


def test_verify_fails_when_a_stored_document_is_gone(stack: Stack) -> None:
    """Exit status 1, and the index is named, when somebody deletes a document."""
    make("predict-test", **stack.environment)
    make("pipeline-once", **stack.environment)
    store = stack.store_url
    hit = httpx.post(f"{store}/ml-api-message/_search", json={"size": 1}).json()["hits"]["hits"][0]
    httpx.delete(f"{store}/{hit['_index']}/_doc/{hit['_id']}").raise_for_status()
    failed = make("verify", **stack.environment)
    assert failed.returncode != 0
    assert "ml-api-message" in failed.stdout


@pytest.mark.parametrize(
    ("target", "offered"),
    [("simulate", 200), ("simulate-load", 280), ("simulate-drift", 200), ("simulate-concept", 200)],
)
def test_simulated_traffic_is_answered(stack: Stack, target: str, offered: float) -> None:
    """simulate* send their traffic to the running API; ARGS win over the target's own options."""
    arguments = "--requests 20 --rate 200 --bad .2 --feedback-delay 0s --json"
    ran = make(target, f"ARGS={arguments}", **stack.environment)
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert (summary["sent"], summary["failed"], summary["offered_per_second"]) == (20, 0, offered)
    assert summary["kinds"]["bad"]["refused"] == summary["refused"] > 0
    assert (summary.get("outcomes", {}).get("taken", 0) > 0) == (target == "simulate-concept")


@pytest.mark.parametrize(
    ("target", "path"),
    [("run-api", "API_PORT=/livez"), ("run-ui", "GRADIO_PORT=/health"), ("run-store", "ES_PORT=/")],
)
def test_a_service_runs_in_the_foreground_until_sigterm(
    tmp_path: Path, package_path: Path, target: str, path: str
) -> None:
    """run-* answers on its port, and ending make ends it."""
    port_name, _, address = path.partition("=")
    one = Stack(tmp_path / "home", package_path)
    process = subprocess.Popen(
        ["make", f"VENV={sys.prefix}", *STAMPS, target], cwd=ROOT, env={**outside(), **one.environment}
    )
    try:
        url = f"http://127.0.0.1:{one.ports[port_name]}{address}"

        def answers() -> bool:
            try:
                return httpx.get(url, timeout=1).is_success
            except httpx.HTTPError:
                return False

        wait_for(answers, 60, url)
        process.send_signal(signal.SIGTERM)
        process.wait(15)
        wait_for(lambda: not answers(), 10, "the end of the service")
    finally:
        process.kill()


def test_run_redis_keeps_its_data(tmp_path: Path, package_path: Path) -> None:
    """The embedded Redis is append-only: what it took is there after a restart."""
    one = Stack(tmp_path / "home", package_path)
    port = one.ports["REDIS_PORT"]
    for expected in (None, b"kept"):
        process = subprocess.Popen(
            ["make", f"VENV={sys.prefix}", *STAMPS, "run-redis"],
            cwd=ROOT,
            env={**outside(), **one.environment},
        )
        try:
            wait_for(lambda: redis_answers(port), 20, "Redis")
            with redis.Redis(port=port) as client:
                assert client.get("key") == expected
                client.set("key", "kept")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)
        wait_for(lambda: not redis_answers(port), 10, "the end of Redis")


def test_train_writes_a_package_and_takes_a_file(tmp_path: Path) -> None:
    """`make train` trains the schema's model; with DATA that does not fit, one line says where."""
    folder = tmp_path / "model"
    shutil.copytree(
        ROOT / "model" / "lung_cancer", folder, ignore=lambda _d, names: set(names) - {"schema.yaml"}
    )
    home = tmp_path / "home"
    trained = make("train", MODEL=str(folder), VIGIE_HOME=str(home))
    assert trained.returncode == 0, trained.stderr
    assert (home / "models" / "lung_cancer" / "manifest.json").exists()
    assert [path.name for path in folder.iterdir()] == ["schema.yaml"]
    assert make("train", MODEL_PATH=str(folder)).returncode == 0
    assert (folder / "manifest.json").exists()
    bad = tmp_path / "survey.csv"
    bad.write_text("AGE,GENDER\nold,M\n")
    refused = make("train", MODEL=str(folder), DATA=str(bad))
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert "survey.csv" in refused.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project, to be changed."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "setup.py", "README.md", "requirements-build.in"):
        shutil.copy2(ROOT / name, folder)
    for name in (
        "requirements.txt",
        "requirements-embedded.txt",
        "requirements-dev.txt",
        "requirements-build.txt",
    ):
        shutil.copy2(ROOT / name, folder)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("src", "tests", "typings", "model", "docs", "examples", "kibana", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore, symlinks=True)
    return folder


def test_format_rewrites_and_lint_refuses(copy: Path) -> None:
    """A badly laid out file is refused by lint and put right by format."""
    ugly = copy / "src" / "ugly.py"
    ugly.write_text('"""Ugly."""\nx = {  "a":1 }\n')
    refused = make("lint", cwd=copy)
    assert refused.returncode != 0
    assert "ugly.py" in refused.stdout + refused.stderr
    assert make("format", cwd=copy).returncode == 0
    assert 'x = {"a": 1}' in ugly.read_text()


def test_reference_writes_what_the_code_says(copy: Path) -> None:
    """A stale page is written anew."""
    page = copy / "docs" / "reference" / "settings.md"
    fresh = page.read_text()
    page.write_text("stale")
    assert make("reference", cwd=copy).returncode == 0
    assert page.read_text() == fresh


def test_bench_keeps_what_it_measures_and_bench_check_judges_it(copy: Path) -> None:
    """`make bench` writes result, picture and page; `make bench-check` fails exactly when a ratio misses its floor."""
    result = {"ratios": {"answers": 1.9}, "bars": {"title": "Made up", "unit": "s", "rows": []}}
    script = f'"""Made up."""\nprint(\'{json.dumps(result)}\\n| a table |\')\n'
    (copy / "benchmarks" / "made_up.py").write_text(script)
    bound = "[{ratio: ratios.answers, what: answers, at_least: %s}]"
    floors = "bench: [{name: made_up, script: made_up, bounds: %s}]\n"
    (copy / "benchmarks" / "floors.yaml").write_text(floors % (bound % 2.0))
    assert make("bench", cwd=copy).returncode != 0
    kept = json.loads((copy / "benchmarks" / "results" / "made_up.json").read_text())
    assert kept["result"] == result
    assert "![Made up](performance/made_up.svg)" in (copy / "docs" / "performance.md").read_text()
    assert "<svg" in (copy / "docs" / "performance" / "made_up.svg").read_text()
    judged = make("bench-check", cwd=copy)
    assert judged.returncode != 0
    assert "| made_up | answers | 1.90 | ≥ 2 | MISSED |" in judged.stdout
    (copy / "benchmarks" / "floors.yaml").write_text(floors % (bound % 1.9))
    judged = make("bench-check", cwd=copy)
    assert judged.returncode == 0, judged.stdout
    assert "| made_up | answers | 1.90 | ≥ 1.9 | kept |" in judged.stdout


def test_dashboards_writes_what_the_panels_say(copy: Path) -> None:
    """Stale saved objects are written anew; a field that no mapping has is refused, its panel named."""
    saved = copy / "kibana" / "dashboards.ndjson"
    fresh = saved.read_bytes()
    saved.write_text("stale")
    assert make("dashboards", cwd=copy).returncode == 0
    assert saved.read_bytes() == fresh
    panels = copy / "kibana" / "panels.yaml"
    panels.write_text(panels.read_text().replace("field: memory_delta_mb", "field: memory_change_mb"))
    refused = make("dashboards", cwd=copy)
    assert refused.returncode != 0
    assert "panel memory_delta_over_time" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_test_passes_its_arguments_on(copy: Path) -> None:
    """`make test ARGS=…` runs what it is asked to."""
    ran = make("test", "ARGS=-q tests/test_schema.py -k both_spellings", cwd=copy)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


def test_coverage_below_the_floor_fails(copy: Path) -> None:
    """A run that covers little is refused, and the reports are written."""
    ran = make("test-coverage", "ARGS=-q tests/test_schema.py", cwd=copy)
    assert ran.returncode != 0
    assert "below 95%" in ran.stderr
    assert (copy / "coverage.xml").exists()
    assert (copy / "htmlcov" / "index.html").exists()


def test_pipeline_continuous_indexes_until_it_is_stopped(stack: Stack) -> None:
    """Events are indexed as they come, and SIGTERM ends it cleanly."""
    process = subprocess.Popen(
        ["make", f"VENV={sys.prefix}", *STAMPS, "pipeline-continuous"],
        cwd=ROOT,
        env={**outside(), **stack.environment},
    )
    try:
        answer = json.loads(make("predict-test", **stack.environment).stdout)
        query = {"term": {"transaction_id": answer["transaction_id"]}}
        wait_for(lambda: stack.documents("ml-api-message", query), 30, "the document")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    # A worker that stopped cleanly has taken its heartbeat away; a killed one's would go on for a while.
    assert statuses(Stream.open(stack.settings.redis).client) == []


@pytest.mark.slow
@pytest.mark.parametrize("target", ["demo", "dev"])
def test_demo_and_dev_start_everything_and_end(tmp_path: Path, package_path: Path, target: str) -> None:
    """Both say when everything is up, and end by themselves after DEMO_SECONDS with nothing left."""
    one = Stack(tmp_path / "home", package_path)
    ran = make(target, DEMO_SECONDS="3", **one.environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "everything is up" in ran.stdout
    assert ("predictions" in ran.stdout) == (target == "demo")
    assert "everything is stopped" in ran.stdout
    for port in one.ports.values():
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/", timeout=1)


def test_elastic_chooses_the_tests_that_use_a_store() -> None:
    """`make test-elastic` takes the contract, the faults of a real server and the whole path, and no unit test."""
    chosen = make(
        "test-elastic", "ARGS=--collect-only -q tests/contract tests/elastic tests/faults tests/telemetry"
    )
    assert chosen.returncode == 0, chosen.stdout
    for name in ("contract/test_bulk.py", "elastic/test_faults.py", "faults/test_whole_path.py"):
        assert name in chosen.stdout
    assert "telemetry/test_ids.py" not in chosen.stdout

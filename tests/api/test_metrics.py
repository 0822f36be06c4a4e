"""GET /metrics: what clients did, counted right, whoever of the workers is asked, whatever is away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from tests.api.conftest import Api, StartApi
from tests.servers import wait_for
from tests.stack import Stack

from vigie.telemetry.metrics.catalogue import METRICS

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    """The samples of a scrape, by name and labels; each is there once."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            key = one.name, frozenset(one.labels.items())
            assert key not in samples, key
            samples[key] = one.value
    return samples


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the samples of `name` that have these labels."""
    return sum(
        value
        for (found, own), value in samples.items()
        if found == name and labels.items() <= dict(own).items()
    )


async def scrape(api: Api) -> Samples:
    """What the API says just now."""
    answer = await api.client.get("/metrics")
    assert answer.status_code == 200
    return parsed(answer.text)


@pytest.mark.usefixtures("no_inference_is_slow")
async def test_the_figures_are_what_clients_did(api: Api) -> None:
    """Requests by path, status and class; predictions by label; rows of batches; each number as it was."""
    singles = ["/predict", "/predict", "/predict", "/predict_proba"]
    labels = [(await api.client.post(path, json=api.example)).json()["label"] for path in singles]
    assert (await api.client.post("/predict", json={"AGE": "old"})).status_code == 422
    batch = await api.client.post("/predict/batch", json=[api.example, api.example, {"AGE": 1}])
    labels += [row["label"] for row in batch.json()["results"] if "label" in row]
    await api.client.get("/logs")
    for path in ("/nothing/here", "/wp-login.php"):
        assert (await api.client.get(path)).status_code == 404
    await api.client.request("BREW", "/predict")
    await api.client.get("/health")
    samples = await scrape(api)

    requests = {
        tuple(dict(own)[name] for name in ("method", "path", "status", "status_class")): value
        for (found, own), value in samples.items()
        if found == "vigie_http_requests_total"
    }
    assert requests == {
        ("POST", "/predict", "ok", "2xx"): 3,
        ("POST", "/predict", "refused", "4xx"): 1,
        ("POST", "/predict_proba", "ok", "2xx"): 1,
        ("POST", "/predict/batch", "ok", "2xx"): 1,
        ("GET", "/logs", "ok", "2xx"): 1,
        ("GET", "(unmatched)", "refused", "4xx"): 2,
        ("OTHER", "/predict", "refused", "4xx"): 1,
    }
    version = api.service.identity["version"]
    for label in set(labels):
        found = total(samples, "vigie_predictions_total", label=label, model_version=version)
        assert found == labels.count(label)
    assert total(samples, "vigie_predictions_total") == len(labels) == 6
    assert total(samples, "vigie_batch_rows_total") == 3
    assert total(samples, "vigie_profiler_predictions_total", profiled="true", reason="budget") == 4
    assert total(samples, "vigie_profiler_predictions_total", profiled="false", reason="batch") == 2
    assert total(samples, "vigie_inference_duration_seconds_count") == 5
    assert total(samples, "vigie_inference_batch_size_rows_sum") == 6
    assert total(samples, "vigie_queue_wait_seconds_count") == 5


async def test_times_and_events_agree(api: Api) -> None:
    """The durations add up to what the events say, in seconds; the emitter's count is that of the events."""
    for _ in range(5):
        await api.client.post("/predict", json=api.example)
    samples = await scrape(api)
    latency = sum(data["latency_ms"] for data in api.requests())
    inference = sum(data["performance_metrics"]["inference_time_ms"] for data in api.requests())
    waits = sum(data["stages"]["queue_ms"] for data in api.requests())
    assert total(samples, "vigie_http_request_duration_seconds_sum") == pytest.approx(latency / 1e3)
    assert total(samples, "vigie_inference_duration_seconds_sum") == pytest.approx(inference / 1e3)
    assert total(samples, "vigie_queue_wait_seconds_sum") == pytest.approx(waits / 1e3)
    assert total(samples, "vigie_emitter_events_total") >= 5
    assert total(samples, "vigie_emitter_events_dropped_total") == 0
    assert total(samples, "vigie_observer_seconds_total", part="recording") > 0
    assert total(samples, "vigie_observer_seconds_total", part="profiling") > 0
    assert total(samples, "process_resident_memory_bytes") > 10_000_000
    assert total(samples, "process_start_time_seconds") == pytest.approx(psutil.Process().create_time())
    assert total(samples, "vigie_api_workers") == 1
    assert total(samples, "vigie_build_info", model="lung_cancer", runtime="onnx") == 1


async def test_it_is_no_request_of_its_own(api: Api) -> None:
    """Scraping makes no event and counts no request."""
    for _ in range(3):
        samples = await scrape(api)
    assert api.events == []
    assert total(samples, "vigie_http_requests_total") == 0


async def test_a_scrape_under_load_is_consistent(api: Api) -> None:
    """Buckets rise, the last one is the count, and the requests by status are that count too."""
    done = False

    async def load() -> int:
        sent = 0
        while not done:
            await api.client.post("/predict", json=api.example if sent % 3 else {})
            sent += 1
        return sent

    clients = [asyncio.create_task(load()) for _ in range(8)]
    counts = []
    for _ in range(10):
        samples = await scrape(api)
        check_histograms(samples)
        counts.append(total(samples, "vigie_http_requests_total"))
    done = True
    sent = sum(await asyncio.gather(*clients))
    assert counts == sorted(counts)
    assert total(await scrape(api), "vigie_http_requests_total") == sent


def check_histograms(samples: Samples) -> None:
    """Buckets rise to the count; requests by status are the count of their durations."""
    series: dict[tuple[str, frozenset[tuple[str, str]]], list[tuple[float, float]]] = {}
    for (name, labels), value in samples.items():
        if name.endswith("_bucket"):
            own = frozenset(item for item in labels if item[0] != "le")
            series.setdefault((name.removesuffix("_bucket"), own), []).append(
                (float(dict(labels)["le"]), value)
            )
    assert series
    for (name, labels), buckets in series.items():
        counts = [count for _, count in sorted(buckets)]
        assert counts == sorted(counts)
        assert counts[-1] == samples[f"{name}_count", labels]
        if name == "vigie_http_request_duration_seconds":
            assert counts[-1] == samples["vigie_http_requests_total", labels]


async def test_the_figures_of_the_pipeline_are_those_of_redis(api: Api) -> None:
    """Events in the stream that nobody indexes: backlog, age, and no worker to be seen."""
    for _ in range(4):
        await api.client.post("/predict", json=api.example)
    async with asyncio.timeout(60):
        while total(samples := await scrape(api), "vigie_pipeline_backlog_events") < 4:
            await asyncio.sleep(0.05)
    assert total(samples, "vigie_redis_up") == 1
    assert total(samples, "vigie_pipeline_events_total", state="written") >= 4
    assert total(samples, "vigie_pipeline_events_total", state="indexed") == 0
    assert total(samples, "vigie_pipeline_workers") == 0
    assert total(samples, "vigie_pipeline_dead_letters") == 0
    assert total(samples, "vigie_pipeline_lag_seconds") > 0


async def test_a_redis_that_never_answers_holds_up_nothing(start_api: StartApi) -> None:
    """The rest is answered, with `vigie_redis_up 0` and nothing that only Redis knows."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = await start_api(REDIS_PORT=silent.getsockname()[1], LOG_LEVEL="CRITICAL")
        await api.client.post("/predict", json=api.example)
        answers = await asyncio.wait_for(asyncio.gather(*(scrape(api) for _ in range(10))), 60)
    for samples in answers:
        assert total(samples, "vigie_redis_up") == 0
        assert ("vigie_redis_up", frozenset[tuple[str, str]]()) in samples
        assert not [name for name, _ in samples if name.startswith(("vigie_pipeline", "vigie_ledger"))]
        assert total(samples, "vigie_http_requests_total") == 1
        assert total(samples, "vigie_emitter_backlog_events") >= 1


async def test_without_redis_by_choice_nothing_is_said_of_it(start_api: StartApi) -> None:
    """LOG_TO_REDIS=false is neither up nor down."""
    api = await start_api(LOG_TO_REDIS="false")
    samples = await scrape(api)
    assert not [name for name, _ in samples if name.startswith(("vigie_redis", "vigie_pipeline"))]


async def test_open_metrics_for_who_asks(api: Api) -> None:
    """The newer format is spoken too; a parser of it takes every family."""
    await api.client.post("/predict", json=api.example)
    accept = "application/openmetrics-text; version=1.0.0"
    answer = await api.client.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in open_metrics(answer.text)}
    assert names <= {metric.name for metric in METRICS}
    assert {"vigie_http_requests", "vigie_predictions", "process_cpu_seconds"} <= names


async def test_a_full_queue_is_counted(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that finds no place is shed, and both say so: the request and the queue."""
    api = await start_api()
    monkeypatch.setattr(api.service.predictor._on_loop, "_max_waiting", 0)
    answer = await api.client.post("/predict", json=api.example)
    samples = await scrape(api)
    assert answer.status_code == 503
    assert total(samples, "vigie_queue_full_total") == 1
    assert total(samples, "vigie_http_requests_total", status="shed", status_class="5xx") == 1


@pytest.fixture
def two_workers(tmp_path: Path, package_path: Path) -> Iterator[Stack]:
    """The API with two worker processes, and its Redis."""
    stack = Stack(tmp_path / "home", package_path, {"API_WORKERS": 2, "LOG_LEVEL": "WARNING"})  # type: ignore[dict-item]
    try:
        stack.start("redis", "api")
        yield stack
    finally:
        stack.stop()


def workers_of(stack: Stack) -> list[psutil.Process]:
    """The processes that serve, as the parent's children that listen on its port."""
    parent = psutil.Process(stack.processes["api"].pid)
    return [child for child in parent.children() if child.net_connections("tcp") and child.num_threads() > 4]


def test_any_of_two_workers_answers_for_both(two_workers: Stack, schema: Any) -> None:
    """All workers tell the same sum, which never falls, not even when one is killed and another comes."""
    url = two_workers.url("api")
    counts: list[float] = []

    def look() -> Samples:
        samples = parsed(httpx.get(f"{url}/metrics", timeout=30).text)  # a connection of its own
        check_histograms(samples)
        counts.append(total(samples, "vigie_http_requests_total"))
        return samples

    def predict(times: int) -> None:
        for _ in range(times):
            httpx.post(f"{url}/predict", json=schema.example(), timeout=30).raise_for_status()

    predict(1)
    wait_for(lambda: total(look(), "vigie_api_workers") == 2, 120, "both workers to be seen")
    predict(39)
    wait_for(lambda: total(look(), "vigie_http_requests_total") == 40, 60, "each request to be counted")
    served = workers_of(two_workers)
    assert len(served) == 2
    os.kill(served[0].pid, signal.SIGKILL)
    wait_for(
        lambda: total(look(), "vigie_api_workers") == 2 and not served[0].is_running(), 120, "a new worker"
    )
    predict(10)
    wait_for(lambda: total(look(), "vigie_http_requests_total") >= 50, 60, "the others to be counted")
    assert counts == sorted(counts)
    assert counts[-1] == 50

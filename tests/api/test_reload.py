"""Another model takes over while requests come in."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.api.conftest import Api, StartApi
from tests.api.served import answer_from, request, serving
from tests.model.packages import install, train_successor
from tests.servers import ROOT

from vigie.api.served_model import ServedModel, serve_model
from vigie.model.cohort import draw
from vigie.model.model_loader import LoadedModel, load_model
from vigie.model.package import MANIFEST, ONNX, SCHEMA, sha256
from vigie.model.reload_request import answers, request_reload

VERSIONS = ("1.0.0", "2.0.0")
REFERENCE_SCHEMA = ROOT / "model" / "lung_cancer" / SCHEMA


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """MODEL_PATH is looked at often."""
    monkeypatch.setattr("vigie.api.reload.POLL_SECONDS", 0.2)


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the test changes the model."""
    monkeypatch.setattr("vigie.api.reload.POLL_SECONDS", 3600.0)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `condition` holds, for a minute at most."""
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.05)


async def model_of(api: Api) -> dict[str, Any]:
    """Return what GET /model says."""
    answer: dict[str, Any] = (await api.client.get("/model")).json()
    return answer


@pytest.mark.usefixtures("watched")
async def test_a_changed_package_takes_over_and_says_so_everywhere(
    start_api: StartApi, place: Path, successor_path: Path
) -> None:
    """MODEL_PATH is watched: version, threshold, notice and OpenAPI are those of the new one, at once."""
    api = await start_api(MODEL_PATH=place)
    assert (await model_of(api))["version"] == "1.0.0"
    assert (await api.client.get("/openapi.json")).status_code == 200
    install(successor_path, place)

    async def taken_over() -> bool:
        return bool((await model_of(api))["version"] == "2.0.0")

    await until(taken_over)
    about = await model_of(api)
    assert (about["threshold"], about["refused"]) == (0.8, None)
    assert about["artefacts"][ONNX] == sha256(successor_path / ONNX)
    assert (await api.client.get("/health")).json()["model"]["version"] == "2.0.0"
    assert (await api.client.get("/model/schema")).json()["version"] == "2.0.0"
    assert (await api.client.get("/openapi.json")).json()["components"]["schemas"]["Record"]
    answer = (await api.client.post("/predict", json=api.example)).json()
    expected = load_model(successor_path)
    p = expected.predict_proba(expected.features([api.example]))[0, 1]
    assert answer["model_version"] == "2.0.0"
    assert answer["probability"] == pytest.approx(p, abs=1e-6)


def successor_of(api: Api, path: Path) -> ServedModel:
    """Return the package at `path`, ready to serve in `api`."""
    service = api.service
    return serve_model(load_model(path), service.settings, service.records, figures=service.figures)


def probabilities(model: LoadedModel, records: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return P(YES) of each record."""
    return [float(p) for p in model.predict_proba(model.features(records))[:, 1]]


def told_apart(models: dict[str, LoadedModel]) -> list[dict[str, Any]]:
    """Return 48 records whose probabilities differ by 1e-4 and more, from one another and between the models."""
    drawn, _ = draw(models["1.0.0"].schema, 2000, seed=3)
    answers = [probabilities(model, drawn) for model in models.values()]
    chosen: list[dict[str, Any]] = []
    seen: list[float] = []
    for record, *both in zip(drawn, *answers, strict=True):
        if all(abs(p - other) > 1e-4 for p in both for other in seen) and abs(both[0] - both[1]) > 1e-4:
            chosen.append(dict(record))
            seen += both
    assert len(chosen) >= 48
    return chosen[:48]


@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize("mode", ["inline", "thread"])
async def test_each_request_is_wholly_of_one_model(
    start_api: StartApi,
    package_path: Path,
    successor_path: Path,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 16 clients with inputs of their own, while models take turns, each answer is its input's.

    Version and probability, in answer and event, belong to the same model; none fails.
    """
    api = await start_api(INFERENCE_MODE=mode)
    models = {"1.0.0": load_model(package_path), "2.0.0": load_model(successor_path)}
    records = told_apart(models)
    expected = {version: probabilities(model, records) for version, model in models.items()}
    found: list[tuple[int, dict[str, Any]]] = []
    swaps = 0

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for turn in range(30):
            which = (number * 7 + turn) % len(records)
            writer.write(request(json.dumps(records[which]).encode()))
            head, body = await answer_from(reader)
            assert head.startswith(b"HTTP/1.1 200"), head
            found.append((which, json.loads(body)))
        writer.close()

    async def take_turns() -> None:
        nonlocal swaps
        paths = (successor_path, package_path)
        while len(found) < 400:
            after = len(found) + 20
            api.service.adopt(successor_of(api, paths[swaps % 2]))
            swaps += 1
            while len(found) < min(after, 400):
                await asyncio.sleep(0)

    async with serving(api, monkeypatch) as served:
        await asyncio.gather(take_turns(), *(client(number) for number in range(16)))
    assert swaps > 4
    assert {answer["model_version"] for _, answer in found} == set(VERSIONS)
    events = {data["transaction_id"]: data for data in api.requests() if "transaction_id" in data}
    for which, answer in found:
        version = answer["model_version"]
        assert answer["probability"] == pytest.approx(expected[version][which], abs=1e-6)
        event = events[answer["transaction_id"]]
        assert event["input_data"] == records[which]
        assert (event["model"]["version"], event["result"]["probability"]) == (version, answer["probability"])


@pytest.mark.usefixtures("unwatched")
async def test_a_batch_in_hand_ends_with_the_model_it_began_with(
    start_api: StartApi, successor_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former model answers what it has, also in its thread, and the next batch is the new one's."""
    api = await start_api(INFERENCE_MODE="thread", REQUEST_TIMEOUT=120)
    runtime = api.service.model.runtime
    predict, begun, release = runtime.predict_proba, threading.Event(), threading.Event()

    def held(matrix: Any) -> Any:
        begun.set()
        release.wait(60)
        return predict(matrix)

    monkeypatch.setattr(runtime, "predict_proba", held)
    records = [{**api.example, "AGE": 20 + n % 80} for n in range(500)]
    first = asyncio.create_task(api.client.post("/predict/batch", json=records))
    async with asyncio.timeout(60):
        while not begun.is_set():
            await asyncio.sleep(0.01)
    api.service.adopt(successor_of(api, successor_path))
    second = (await api.client.post("/predict/batch", json=records)).json()
    release.set()
    answer = (await first).json()
    assert (answer["model_version"], answer["failed"]) == ("1.0.0", 0)
    assert (second["model_version"], second["failed"]) == ("2.0.0", 0)
    versions = [data["model"]["version"] for data in api.requests() if "batch_id" in data]
    assert sorted(versions) == ["1.0.0"] * 500 + ["2.0.0"] * 500


@pytest.mark.usefixtures("unwatched")
async def test_a_refused_request_is_the_models_that_refused_it(
    start_api: StartApi, successor_path: Path
) -> None:
    """An event of a request that is not valid names the model that was served then."""
    api = await start_api()
    await api.client.post("/predict", json={})
    api.service.adopt(successor_of(api, successor_path))
    await api.client.post("/predict", json={})
    assert [data["model"]["version"] for data in api.requests()] == list(VERSIONS)


@pytest.mark.usefixtures("watched")
async def test_a_package_that_fails_leaves_the_old_one_serving(
    start_api: StartApi, place: Path, successor_path: Path
) -> None:
    """Half copied, it is refused with the reason, in log, health and /model; when the rest is there, it serves."""
    api = await start_api(MODEL_PATH=place)
    shutil.copyfile(successor_path / MANIFEST, place / MANIFEST)

    async def refused() -> bool:
        return (await model_of(api))["refused"] is not None

    await until(refused)
    reason = (await model_of(api))["refused"]
    assert "its SHA-256 is not the manifest's" in reason
    health = (await api.client.get("/health")).json()
    assert health["status"] == "degraded"
    assert f"the package at MODEL_PATH is not served: {reason}" in health["reasons"]
    assert health["model"]["version"] == "1.0.0"
    assert (await api.client.post("/predict", json=api.example)).json()["model_version"] == "1.0.0"

    install(successor_path, place)

    async def taken_over() -> bool:
        return bool((await model_of(api))["version"] == "2.0.0")

    await until(taken_over)
    assert (await model_of(api))["refused"] is None


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("golden.json", None, "answers the golden rows otherwise"),
        (ONNX, b"not a graph", "model.onnx"),
        (MANIFEST, b"{", "not a manifest"),
    ],
)
async def test_a_demanded_reload_judges_everything(
    start_api: StartApi,
    place: Path,
    successor_path: Path,
    tmp_path: Path,
    file: str,
    content: bytes | None,
    reason: str,
) -> None:
    """Golden rows that are answered otherwise, a graph that is none, a manifest that is none: the old one serves."""
    broken = Path(shutil.copytree(successor_path, tmp_path / "broken"))
    if content is None:
        golden = json.loads((broken / file).read_text())
        golden["probabilities"][0] = golden["probabilities"][0][::-1]
        content = json.dumps(golden).encode()
    (broken / file).write_bytes(content)
    if file != MANIFEST:
        manifest = json.loads((broken / MANIFEST).read_text())
        manifest["files"][file] = sha256(broken / file)
        (broken / MANIFEST).write_text(json.dumps(manifest))
    api = await start_api(MODEL_PATH=place)
    install(broken, place)
    home = api.service.settings.api.vigie_home
    number = request_reload(home)

    async def answered() -> bool:
        return all(answer.number >= number for answer in answers(home))

    await until(answered)
    (answer,) = answers(home)
    assert answer.outcome is not None
    assert (answer.outcome.result, answer.outcome.after) == ("refused", "1.0.0")
    assert reason in answer.outcome.reason
    assert (await api.client.post("/predict", json=api.example)).json()["model_version"] == "1.0.0"


@pytest.mark.usefixtures("watched")
async def test_a_model_with_other_inputs_needs_a_restart(
    start_api: StartApi, place: Path, tmp_path: Path
) -> None:
    """What was made from the schema at the start would no longer fit, so the reason says what to do."""
    content = yaml.safe_load(REFERENCE_SCHEMA.read_text(encoding="utf-8"))
    content["features"][0]["maximum"] = 130
    other = train_successor(tmp_path / "other", features=content["features"])
    api = await start_api(MODEL_PATH=place)
    install(other, place)

    async def refused() -> bool:
        reason = (await model_of(api))["refused"] or ""
        return "differs from the served one in feature AGE;" in reason and "restart API" in reason

    await until(refused)
    assert (await model_of(api))["version"] == "1.0.0"


@pytest.mark.usefixtures("unwatched")
async def test_the_threads_of_former_models_end(
    start_api: StartApi, successor_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the longest time that a request may take a former model is let go, and its memory with it."""
    monkeypatch.setattr("vigie.api.service.DRAIN_MARGIN_SECONDS", 0.0)
    api = await start_api(REQUEST_TIMEOUT=0.5, INFERENCE_MODE="thread")
    assert (await api.client.post("/predict", json=api.example)).status_code == 200
    thread = next(iter(api.service.predictor._thread._threads))
    session = weakref.ref(api.service.model.runtime)
    gc.disable()  # it passes over what was there when the service started, so it must not be needed
    try:
        api.service.adopt(successor_of(api, successor_path))

        async def gone() -> bool:
            return not thread.is_alive() and session() is None

        await until(gone)
    finally:
        gc.enable()
    assert (await api.client.post("/predict", json=api.example)).json()["model_version"] == "2.0.0"

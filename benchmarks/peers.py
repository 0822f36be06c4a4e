"""Vigie beside other ways to serve the same estimator: `make bench-peers`.

MLServer, BentoML, LitServe, a plain FastAPI handler, and the shape that people write
(`peers/fastapi/naive.py`), each in an environment of its own (`.venv-peers/<name>`, pinned in
`peers/<name>/requirements.txt`). All serve the estimator of the reference model's package on one core, in
production mode with one worker and no access log, and take their own native request. All but the naive one
are spared work that Vigie does: they get the 28 columns ready made, check nothing, and write nothing down.
Each answer's probability is compared with Vigie's first. Where a server can batch, it takes part both ways,
and at each number of clients its better one counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import joblib
import orjson
from contestants import HERE, Contestant, Medians, Rounds, alternate, example_folder, start, start_echo
from installation import Installation, installation
from load import Request
from platform_parts import ROOT, free_port

from vigie.model.feature_matrix import FeatureMatrix
from vigie.schema import load_schema

ENVIRONMENTS = ROOT / ".venv-peers"
ECHO, OWN, NAIVE = "FastAPI's echo", "Vigie", "naive"
RIVALS = ("MLServer", "BentoML", "LitServe")
CLOSE = 1e-5
"""How far a peer's probability may be from Vigie's."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another way to serve the estimator."""

    name: str
    package: str
    """The distribution whose version is told; its environment has the name of `folder`."""
    folder: str
    command: Sequence[str]
    """Words after the environment's bin folder; {port} stands for the port."""
    path: str
    body: Mapping[str, Any]
    probability: Sequence[str | int]
    """Where in its answer the probability is."""
    setting: str
    """How it is served, for the table."""
    environment: Mapping[str, str]

    @property
    def bin(self) -> Path:
        """The programs of its environment."""
        return ENVIRONMENTS / self.folder / "bin"

    def version(self) -> str:
        """Return the version that is installed."""
        code = f"import importlib.metadata as m; print(m.version({self.package!r}))"
        told = subprocess.run([self.bin / "python", "-c", code], capture_output=True, text=True, check=True)
        return told.stdout.strip()

    def start(self, one: Installation) -> Contestant:
        """Start it and check that it answers as Vigie does. Raises RuntimeError when it does not."""
        port = free_port()
        program, *words = [word.replace("{port}", str(port)) for word in self.command]
        own = {name: value.replace("{port}", str(port)) for name, value in self.environment.items()}
        request = Request(port, self.path, orjson.dumps(self.body))
        return start(
            one.parts, self.name, [str(self.bin / program), *words], request, {"PEER_PORT": port, **own}
        )


def peers_of(one: Installation, model: Path) -> list[Peer]:
    """Return all of them, in all their settings."""
    example = load_schema(example_folder()).example()
    columns = FeatureMatrix(load_schema(example_folder()))([example])[0].tolist()
    row = {"columns": columns}
    served = {"PEER_MODEL": str(model), "PEER_REDIS_PORT": str(one.settings.redis.redis_port)}
    uvicorn = ("uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "warning", "--app-dir")
    fastapi = str(HERE / "peers" / "fastapi")
    naive_body = {name.replace(" ", "_"): value for name, value in example.items()}
    tensor = {"name": "input-0", "shape": [1, len(columns)], "datatype": "FP64", "data": columns}
    inference = {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}
    bentoml = ("bentoml", "serve", "service:Estimator", "--host", "127.0.0.1", "--port", "{port}",
               "--working-dir", str(HERE / "peers" / "bentoml"))  # fmt: skip
    litserve = ("python", str(HERE / "peers" / "litserve" / "server.py"))
    found = [
        Peer("FastAPI, plain", "fastapi", "fastapi", (*uvicorn, fastapi, "plain:app"), "/predict", row,
             ("probability",), "uvicorn[standard], one worker, coroutine handler", served),
        Peer(NAIVE, "fastapi", "fastapi", (*uvicorn, fastapi, "naive:app"), "/predict", naive_body,
             ("probability",), "DataFrame, predict and predict_proba, two awaited Redis writes", served),
    ]  # fmt: skip
    for batching, label in (("0", "no batching"), ("1", "batching")):
        chosen = {**served, "PEER_BATCHING": batching}
        folder = mlserver_folder(one.home / f"mlserver-{batching}", model, batching=batching == "1")
        found += [
            Peer(f"MLServer, {label}", "mlserver", "mlserver", ("mlserver", "start", str(folder)),
                 "/v2/models/estimator/infer", inference, ("outputs", 0, "data", 1),
                 f"V2 protocol, parallel_workers 0, debug off, {label}",
                 {"MLSERVER_HTTP_PORT": "{port}", "MLSERVER_GRPC_PORT": str(free_port()),
                  "MLSERVER_METRICS_PORT": str(free_port())}),
            Peer(f"BentoML, {label}", "bentoml", "bentoml", bentoml, "/predict", {"columns": [columns]},
                 (0, 1), f"one worker, {label}", {**chosen, "BENTOML_DO_NOT_TRACK": "True"}),
            Peer(f"LitServe, {label}", "litserve", "litserve", litserve, "/predict", row, ("probability",),
                 f"one API server, one inference worker, fast_queue, {label}", chosen),
        ]  # fmt: skip
    return found


def mlserver_folder(folder: Path, model: Path, *, batching: bool) -> Path:
    """Write MLServer's settings into `folder` and return it."""
    folder.mkdir()
    server = {"debug": False, "parallel_workers": 0, "host": "127.0.0.1", "gzip_enabled": False}
    batches = {"max_batch_size": 32, "max_batch_time": 0.001} if batching else {}
    estimator = {
        "name": "estimator",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(model)},
        **batches,
    }
    (folder / "settings.json").write_bytes(orjson.dumps(server))
    (folder / "model-settings.json").write_bytes(orjson.dumps(estimator))
    return folder


def write_joblib(package: Path, target: Path) -> Path:
    """Write the estimator of a model package as the file that the others load."""
    import skops.io

    archive = package / "model.skops"
    estimator = skops.io.load(archive, trusted=skops.io.get_untrusted_types(file=archive))
    joblib.dump(estimator, target)
    return target


def ask(request: Request, where: Sequence[str | int]) -> float:
    """Return the probability that a server answers."""
    url = f"http://127.0.0.1:{request.port}{request.path}"
    headers = {"Content-Type": "application/json"}
    answer: Any = httpx.post(url, content=request.body, headers=headers, timeout=30).raise_for_status().json()
    for step in where:
        answer = answer[step]
    return float(answer)


def start_all(one: Installation, own: Contestant, known: Sequence[Peer]) -> list[Contestant]:
    """Start the peers and compare their answers with our own."""
    wanted = ask(own.request, ("probability",))
    own.after(1)
    found = []
    for peer in known:
        contestant = peer.start(one)
        if abs(ask(contestant.request, peer.probability) - wanted) > CLOSE:
            raise RuntimeError(f"{peer.name} does not serve the same estimator")
        found.append(contestant)
    return found


def ratios(levels: Mapping[int, Rounds]) -> dict[str, float]:
    """Return what the floors are about; a server that took no part has none."""
    found: dict[str, float] = {}
    for clients, rounds in levels.items():
        medians = {name: Medians.of(own) for name, own in rounds.items()}
        own = medians[OWN]
        peers = {name: one for name, one in medians.items() if name not in (OWN, ECHO)}
        for name, one in {**peers, "echo": medians[ECHO]}.items():
            found[f"answers_to_{name}_at_{clients}"] = own.per_second / one.per_second
        if all(any(name.startswith(rival) for name in peers) for rival in RIVALS):
            best = max(one.per_second for name, one in peers.items() if name.startswith(RIVALS))
            found[f"answers_to_best_peer_at_{clients}"] = own.per_second / best
            found[f"p50_to_best_peer_at_{clients}"] = own.p50_ms / min(one.p50_ms for one in peers.values())
    return found


def main() -> int:
    """Choose, run the rounds, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="peers whose name begins so, such as MLServer,the naive")
    asked = parser.parse_args()
    with installation() as one:
        known = peers_of(one, write_joblib(Path(one.settings.model.model_path), one.home / "model.joblib"))
        known = [peer for peer in known if peer.name.startswith(tuple(asked.only.split(",")))]
        described = {peer.name: f"{peer.package} {peer.version()}: {peer.setting}" for peer in known}
        echo, own = start_echo(one.parts, one.request), one.api(OWN)
        everybody = [echo, own, *start_all(one, own, known)]
        levels = {
            clients: alternate(everybody, clients, asked.seconds, asked.rounds, one.home)
            for clients in (1, 32)
        }
        balance = one.balance(indexed=False)
    report(levels, described, asdict(balance))
    return int(not balance.holds)


def report(levels: Mapping[int, Rounds], described: Mapping[str, str], balance: object) -> None:
    """Print JSON, then the table."""
    result = {
        "rounds": {
            str(clients): {name: [asdict(one) for one in own] for name, own in rounds.items()}
            for clients, rounds in levels.items()
        },
        "settings": described,
        "ratios": ratios(levels),
        "balance": balance,
        "bars": {
            "title": "The same estimator, 32 clients, one core",
            "unit": "answers/s",
            "rows": [
                {"group": "", "name": name, "value": Medians.of(own).per_second}
                for name, own in levels[32].items()
            ],
        },
    }
    lines = [
        "| clients | server | answers/s | p50 | p99 | CPU per answer | served as |",
        "|---|---|---|---|---|---|---|",
    ]
    for clients, rounds in levels.items():
        for name, own in rounds.items():
            served = described.get(name, "full telemetry" if name == OWN else "no model")
            lines.append(f"| {clients} | {name} | {Medians.of(own).cells()} | {served} |")
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

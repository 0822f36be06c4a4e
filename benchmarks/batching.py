"""What batching gains with a dear model: `python benchmarks/batching.py` [--seconds 3] [--rounds 5].

The model is a scikit-learn pipeline that ONNX does not take; a call costs it about 2 ms of CPU, for one row
hardly less than for 32, as is usual: scaler, Nyström features, ten bagged regressions. The same package is
served twice: as Vigie does it by itself (in a thread, with whatever waits), and with each request by itself
on the event loop, where there is neither a queue nor a hop between threads. Rounds alternate, at 32 clients
and at one; servers and cores are those of serving.py, and every event of every answer must be in the stream.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from contestants import Contestant, Medians, Rounds, alternate, example_folder
from installation import Balance, Installation, installation
from sklearn.ensemble import BaggingClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vigie.model.dataset import declared_dataset
from vigie.model.export import export
from vigie.model.feature_matrix import FeatureMatrix
from vigie.model.training import split
from vigie.schema import load_schema

MANY, ONE = 32, 1
BATCHED, SINGLE = "Vigie, batching", "Vigie, each request by itself"
BY_ITSELF: Final = {"INFERENCE_MODE": "inline", "INFERENCE_BATCH_ROWS": 1}


def dear_package(folder: Path) -> Path:
    """Train the dear model on the reference model's cohort and return its package."""
    schema = load_schema(example_folder())
    training, held_out = split(declared_dataset(schema), schema)
    estimator = make_pipeline(
        StandardScaler(),
        Nystroem(n_components=32, random_state=0),
        BaggingClassifier(LogisticRegression(), n_estimators=10, random_state=0),
    )
    estimator.fit(FeatureMatrix(schema)(training.records), training.positions(schema))
    export(estimator, example_folder(), folder, training, held_out)
    return folder


def served(
    one: Installation, name: str, environment: Mapping[str, object]
) -> tuple[Contestant, dict[str, Any]]:
    """Start an API of the dear model; return it with what it says of its runtime."""
    api = one.api(name, environment)
    about = httpx.get(f"http://127.0.0.1:{api.request.port}/model", timeout=30).raise_for_status().json()
    one.answered += 1  # that was a request, with an event
    return api, about["runtime"]


def ratios(many: Rounds, alone: Rounds) -> dict[str, float]:
    """Return what batching gains at 32 clients, and what it costs a lone one."""
    batched, single = Medians.of(many[BATCHED]), Medians.of(many[SINGLE])
    return {
        "batched_to_single_at_32": batched.per_second / single.per_second,
        "cpu_single_to_batched_at_32": single.cpu_us / batched.cpu_us,
        "p50_batched_to_single_at_1": Medians.of(alone[BATCHED]).p50_ms / Medians.of(alone[SINGLE]).p50_ms,
    }


def main() -> int:
    """Run the rounds, check the account, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with installation() as one:
        package = {"MODEL_PATH": dear_package(one.home / "dear")}
        batched, runtime = served(one, BATCHED, package)
        single, _ = served(one, SINGLE, {**package, **BY_ITSELF})
        many, alone = (
            alternate([batched, single], clients, asked.seconds, asked.rounds, one.home)
            for clients in (MANY, ONE)
        )
        balance = one.balance(indexed=False)
    report(many, alone, runtime, balance)
    return int(not balance.holds)


def report(many: Rounds, alone: Rounds, runtime: Mapping[str, Any], balance: Balance) -> None:
    """Print JSON, then the table."""
    found = ratios(many, alone)
    levels = {MANY: many, ONE: alone}
    result = {
        "rounds": {
            str(clients): {name: [asdict(one) for one in own] for name, own in rounds.items()}
            for clients, rounds in levels.items()
        },
        "ratios": found,
        "row_cost_ms": runtime["row_cost_ms"],
        "balance": asdict(balance),
        "bars": {
            "title": "Answers per second of a model of about 2 ms a call",
            "unit": "answers/s",
            "rows": [
                {"group": f"{clients} clients", "name": name, "value": Medians.of(own).per_second}
                for clients, rounds in levels.items()
                for name, own in rounds.items()
            ],
        },
    }
    lines = ["| clients | server | answers/s | p50 | p99 | CPU per answer |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {clients} | {name} | {Medians.of(own).cells()} |"
        for clients, rounds in levels.items()
        for name, own in rounds.items()
    ]
    lines += [
        "",
        f"A row costs {runtime['row_cost_ms']:.2f} ms ({runtime['name']}, {runtime['inference']}). Batching "
        f"answers {found['batched_to_single_at_32']:.1f} × as many at {MANY} clients; the median of a lone "
        f"one is {found['p50_batched_to_single_at_1']:.2f} × that of the other. "
        f"Answered {balance.answered:,}, written {balance.written:,}, dropped {balance.dropped}.",
    ]
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

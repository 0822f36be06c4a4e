"""Two days of events, made from a fixed seed: what the panels' answers are computed from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from vigie.schema import FeatureSchema
from vigie.telemetry.ids import iso_timestamp
from vigie.telemetry.stream.dead_letters import DeadLetter, Failure, LetterState

Event = dict[str, Any]

START = datetime(2026, 11, 17, tzinfo=UTC)
DAYS = 2
FROM_SERVICES = START + timedelta(hours=30)
"""When the processes begin to report; they do for an hour and a half."""
FUNCTIONS = [f"part_{letter}" for letter in "abcdefghijklmn"]
PATHS = [
    "/logs",
    "/model",
    "/metrics-like",
    "/unknown",
    "/predict/history",
    *(f"/rare/{n}" for n in range(8)),
]
PRODUCERS = {
    "api": ["a0000000-0000-4000-8000-000000000001", "a0000000-0000-4000-8000-000000000002"],
    "ui": ["b0000000-0000-4000-8000-000000000001"],
    "pipeline": ["c0000000-0000-4000-8000-000000000001", "c0000000-0000-4000-8000-000000000002"],
}


OF_WATCHES = {
    name: f"d0000000-0000-4000-8000-00000000000{number}"
    for number, name in enumerate(("feedback", "drift", "quality"))
}
"""Producers of what is not said by a process of its own."""


def seeded_events(schema: FeatureSchema) -> list[Event]:
    """Return the events, as they are in the stream, with some before and after the two days."""
    source = Source(schema)
    told = [*source.outcomes(), *source.drift(), *source.quality()]
    return [*source.requests(), *source.batches(), *source.logs(), *source.reports(), *told]


def seeded_letters(schema: FeatureSchema) -> list[tuple[DeadLetter, LetterState]]:
    """Return dead letters and what became of each."""
    return [*Source(schema).letters()]


def as_event(letter: DeadLetter, state: LetterState) -> Event:
    """Return what is expected of a letter in the form of an event."""
    cause = letter.failures[0].type if letter.failures else "unprocessable"
    data = {"kind": "letter", "cause": cause, "state": state, "attempts": letter.attempts}
    return {"timestamp": letter.last_at, "data": data}


def written(moment: datetime) -> str:
    """Return a time as events have it."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def when(event: Event) -> datetime:
    """Return the event's time."""
    return datetime.fromisoformat(event["timestamp"])


class Source:
    """Makes events; each has a producer and the next number of it."""

    def __init__(self, schema: FeatureSchema) -> None:
        self._schema = schema
        self._random = random.Random(20261117)
        self._observed = random.Random(20261118)
        self._judged = random.Random(20261119)
        self._numbers: dict[str, int] = {}

    def requests(self) -> Iterator[Event]:
        """Predictions and other requests of every status, some of them outside the two days."""
        for _ in range(700):
            moment = START + timedelta(hours=self._random.triangular(-6, 24 * DAYS + 6, 30))
            if self._random.random() < 0.7:
                yield self._prediction(moment)
            else:
                yield self._request(moment, self._random.choices(PATHS, range(len(PATHS), 0, -1))[0])
        edge = START + timedelta(days=DAYS)
        for moment in (START, edge - timedelta(microseconds=1), edge, START - timedelta(microseconds=1)):
            yield self._prediction(moment)

    def batches(self) -> Iterator[Event]:
        """Calls of /predict/batch with their rows, each row with its share of the time."""
        for number in range(12):
            moment = START + timedelta(hours=self._random.uniform(0, 24 * DAYS))
            call = self._request(moment, "/predict/batch", ok=True)
            for _ in range(4):
                row = self._prediction(moment, path="/predict/batch")
                row["data"]["batch_id"] = call["data"]["transaction_id"]
                row["data"].pop("stages", None)
                yield row
            call["data"]["correlation_id"] = f"batch-{number}"
            yield call

    def logs(self) -> Iterator[Event]:
        """Application logs."""
        for _ in range(60):
            moment = START + timedelta(hours=self._random.uniform(0, 24 * DAYS))
            data = {"kind": "log", "service": "api", "logger": "vigie", "line": 3}
            yield self._event(moment, "api", data, "something was done")

    def reports(self) -> Iterator[Event]:
        """What the processes say of themselves every 30 s; the second pipeline process began anew once."""
        counters = dict.fromkeys(PRODUCERS["pipeline"], (0, 0))
        for tick in range(180):
            moment = FROM_SERVICES + timedelta(seconds=30 * tick + 7)
            for service, producers in PRODUCERS.items():
                for producer in producers:
                    data: Event = {
                        "kind": "service", "service": service, "dropped": 0, "uptime_seconds": 30.0 * tick + 2,
                        "backlog": self._random.randrange(0, 400),
                    }  # fmt: skip
                    if service != "pipeline":
                        data["observer_share"] = round(self._observed.uniform(0, 0.1), 5)
                        if self._observed.random() < 0.8:  # where there was any event
                            data["observer_us_per_request"] = round(self._observed.lognormvariate(3, 0.8), 3)
                    if service == "pipeline":
                        if producer == producers[0] and tick % 2:
                            data["ledger"] = self._ledger(tick)
                        restarted = producer == producers[1] and tick == 100
                        indexed, retried = (0, 0) if restarted else counters[producer]
                        indexed += self._random.randrange(0, 90)
                        retried += self._random.choice([0, 0, 0, 5])
                        counters[producer] = (indexed, retried)
                        data |= {
                            "indexed": indexed, "read": indexed + 3, "retried": retried, "dead": 0,
                            "lag_ms": round(self._random.uniform(0, 5000), 3),
                        }  # fmt: skip
                    yield self._event(moment, service, data, "a report", producer)

    def outcomes(self) -> Iterator[Event]:
        """Outcomes, most of them joined with their prediction, of which `joined` has what the document gets."""
        for number in range(160):
            moment = START + timedelta(hours=self._judged.triangular(-6, 24 * DAYS + 6, 30))
            predicted = moment - timedelta(hours=self._judged.expovariate(1 / 30))
            position, right = int(self._judged.random() < 0.8), self._judged.random() < 0.85
            label = self._schema.target.classes[position]
            outcome = {"label": label, "position": position, "at": written(moment), "correction": False}
            known: Event = {"joined": self._judged.random() < 0.9, "superseded": self._judged.random() < 0.1}
            event = self._event(
                moment,
                "api",
                {
                    "kind": "feedback",
                    "transaction_id": f"01900000-0000-7000-8000-{number:012x}",
                    "outcome": outcome,
                },
                "an outcome",
                OF_WATCHES["feedback"],
            )
            event["joined"] = {"outcome": {**outcome, **known}}
            if known["joined"]:
                lag_ms = (moment - predicted).total_seconds() * 1000
                known |= {"correct": right, "lag_ms": lag_ms, "predicted_at": written(predicted)}
                model = {"name": self._schema.name, "version": self._judged.choice(["1.0.0", "1.1.0"])}
                event["joined"] = {"outcome": {**outcome, **known}, "model": model}
            yield event

    def drift(self) -> Iterator[Event]:
        """Verdicts on windows, each on every input and the prediction, most in the hour of the reports."""
        for window in range(24):
            moment = START + timedelta(hours=self._judged.triangular(-3, 24 * DAYS + 3, 30.5))
            for position, name in enumerate([*self._schema.names, "prediction"]):
                drifted = self._judged.random() < 0.1 + 0.02 * position
                figures: Event = {
                    "feature": name,
                    "compared": "prediction" if name == "prediction" else "input",
                    "verdict": "drift" if drifted else "stable",
                    "alarm": drifted and self._judged.random() < 0.5,
                    "psi": round(self._judged.expovariate(20) + position / 1000, 5),
                    "p_value": self._judged.random(),
                    "window": window,
                    "reference_mean": 0.4 + position / 100,
                    "window_mean": round(0.4 + self._judged.random() / 2, 5),
                }
                if name == "prediction":
                    figures["reference_share"] = 0.875
                if name == "AGE":
                    figures["parts"] = [
                        {
                            "part": f"{number:02d} {part}",
                            "reference_share": 0.1 * number,
                            "window_share": (3 * window + 7 * number) % 10 / 10,
                        }
                        for number, part in enumerate(("≤ 50", "51–60", "61–70", "≥ 71"), start=1)
                    ]
                yield self._event(
                    moment, "api", {"kind": "drift", "drift": figures}, "a verdict", OF_WATCHES["drift"]
                )

    def quality(self) -> Iterator[Event]:
        """Verdicts on quality; the first ones before there was any outcome."""
        words = [
            ("fine", "as promised"),
            ("concept drift", "outcomes changed"),
            ("inputs drifted", "AGE drifted"),
        ]
        for number in range(60):
            moment = START + timedelta(hours=28, minutes=10 * number)
            verdict, conclusion = ("not enough", "too few") if number < 4 else self._judged.choice(words)
            figures: Event = {
                "verdict": verdict, "conclusion": conclusion, "outcomes": 10 * number, "training_accuracy": 0.925,
                "coverage": round(self._judged.random(), 4),
            }  # fmt: skip
            if number:
                realised = round(0.8 + self._judged.random() / 10, 4)
                figures |= {
                    "accuracy": realised, "accuracy_low": realised - 0.03, "accuracy_high": realised + 0.02,
                    "expected_accuracy": round(0.9 + self._judged.random() / 20, 4),
                }  # fmt: skip
            yield self._event(
                moment, "api", {"kind": "quality", "quality": figures}, "a verdict", OF_WATCHES["quality"]
            )

    def letters(self) -> Iterator[tuple[DeadLetter, LetterState]]:
        """Dead letters, most of them in the hour of the reports, and what became of each."""
        for number in range(1, 61):
            moment = START + timedelta(hours=30, minutes=self._random.uniform(-40, 120))
            ms = int(moment.timestamp() * 1000)
            kind = self._random.choices(
                ["document_parsing_exception", "illegal_argument_exception", ""], [5, 3, 2]
            )[0]
            failure = Failure("ml-api-message-2026.11.18", f"p-{number}", 400, kind, "because")
            when = iso_timestamp(ms * 1_000_000)
            letter = DeadLetter(
                id=f"{ms}-{number}",
                producer="p",
                number=number,
                event=b"{}",
                entry_id=f"{ms - 5000}-0",
                reason="because",
                failures=(failure,) if kind else (),
                stored={},
                attempts=self._random.randint(1, 6),
                first_at=when,
                last_at=when,
                stray=False,
            )
            states: tuple[LetterState, ...] = ("waiting", "replayed", "discarded")
            yield letter, self._random.choices(states, [5, 3, 2])[0]

    def _ledger(self, tick: int) -> Event:
        """Counts that grow; what is on its way comes and goes."""
        settled = {"indexed": 90 * tick, "filtered": tick // 3, "dead": tick // 40, "cleared": 7,
                   "expired": 10 * tick, "erased": tick // 60, "removed": 0, "dropped": 4 * (tick > 90)}  # fmt: skip
        pending, unaccounted = self._random.randrange(0, 300), int(tick in (61, 121))
        produced = sum(settled.values()) + pending + unaccounted
        return {"produced": produced, **settled, "pending": pending, "unaccounted": unaccounted}

    def _prediction(self, moment: datetime, path: str = "/predict") -> Event:
        chosen = self._random.choices(["ok", "refused", "failed", "shed"], [90, 6, 2, 2])[0]
        first_day = moment < START + timedelta(days=1)
        data: Event = {
            "kind": "prediction",
            **self._exchange(path, chosen),
            "model": {
                "name": self._schema.name,
                "version": "1.0.0" if first_day else "1.1.0",
                "runtime": self._random.choice(["onnx", "sklearn"]),
            },
        }
        if chosen == "refused":
            fields = self._random.sample(self._schema.names, self._random.randint(1, 2))
            data["errors"] = [{"field": name, "reason": "out of range"} for name in [*fields, fields[0]]]
            data["rejected_input"] = {"anything": True}
        elif chosen == "ok":
            data |= self._answer(data)
        return self._event(moment, "api", data, "a prediction")

    def _answer(self, data: Event) -> Event:
        record = {
            feature.name: self._random.randint(20, 120)
            if feature.type == "integer"
            else int(self._random.random() < 0.2 + 0.05 * position)
            for position, feature in enumerate(self._schema.features)
        }
        probability = self._random.choice([0.0, 0.5, 1.0, *(self._random.random() for _ in range(7))])
        position = int(probability >= 0.5)
        profiled = self._random.random() < 0.3
        functions = [
            {"rank": rank, "function": name, "file": "model/a.py", "line": 1, "calls": self._random.randint(1, 9),
             "own_ms": round(self._random.uniform(0.01, 2), 4), "cumulative_ms": round(self._random.uniform(2, 4), 4)}
            for rank, name in enumerate(self._random.sample(FUNCTIONS, 5), start=1)
        ]  # fmt: skip
        return {
            "input_data": record,
            "result": {
                "prediction": position,
                "label": self._schema.target.classes[position],
                "probability": probability,
                "confidence": max(probability, 1 - probability),
            },
            "performance_metrics": {
                "transaction_id": data["transaction_id"],
                "inference_time_ms": round(self._random.lognormvariate(-2, 0.6), 4),
                "cpu_time_ms": round(self._random.lognormvariate(-1.5, 0.5), 4),
                "memory_mb": round(120 + self._random.random() * 30, 2),
                "memory_delta_mb": round(self._random.gauss(0, 0.5), 3),
                "latency_ms": data["latency_ms"],
                "function_calls": 40 if profiled else None,
                "top_functions": functions if profiled else None,
            },
            "stages": {
                f"{stage}_ms": round(self._observed.lognormvariate(-3, 0.7), 4)
                for stage in ("validate", "queue", "features", "predict", "serialise")
            },
            "batch_size": 1 if profiled else self._observed.randint(1, 40),
            "profiled": profiled,
            "profile_reason": self._observed.choice(
                ["budget", "budget", "forced", "slow"]
                if profiled
                else ["budget", "batch", "batch", "disabled"]
            ),
            "weight": int(profiled),
        }

    def _request(self, moment: datetime, path: str, *, ok: bool = False) -> Event:
        chosen = "ok" if ok else self._random.choices(["ok", "refused", "failed"], [85, 12, 3])[0]
        return self._event(moment, "api", {"kind": "request", **self._exchange(path, chosen)}, "a request")

    def _exchange(self, path: str, status: str) -> Event:
        return {
            "transaction_id": f"01900000-0000-7000-8000-{self._random.getrandbits(48):012x}",
            "method": "POST",
            "path": path,
            "status": status,
            "status_code": {"ok": 200, "refused": 422, "failed": 500, "shed": 503}[status],
            "latency_ms": round(self._random.lognormvariate(1.0, 0.8), 4),
        }

    def _event(
        self, moment: datetime, service: str, data: Event, message: str, producer: str | None = None
    ) -> Event:
        producer = producer or self._random.choice(PRODUCERS[service])
        number = self._numbers[producer] = self._numbers.get(producer, 0) + 1
        return {
            "timestamp": written(moment),
            "level": "INFO",
            "message": message,
            "data": {"producer": producer, "number": number, **data},
        }

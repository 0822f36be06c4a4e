"""The right answer of every panel, in plain Python over the events; nothing here reads the specification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.dashboards.seed import Event, when

from vigie.schema import FeatureSchema

ZONE = ZoneInfo("Europe/Paris")
"""Display time zone of the seeded installation."""
WEEKDAYS = ("1 Mon", "2 Tue", "3 Wed", "4 Thu", "5 Fri", "6 Sat", "7 Sun")


@dataclass(frozen=True)
class Percentile:
    """A percentile of some values, which stores compute each in their own way."""

    values: tuple[float, ...]
    percent: float

    def accepts(self, answer: float | None) -> bool:
        """Whether `answer` is within 2 % of the interpolated percentile, or within one value of it."""
        if not self.values or answer is None:
            return not self.values and answer is None
        ordered = sorted(self.values)
        place = self.percent / 100 * (len(ordered) - 1)
        low, high = int(place), min(int(place) + 1, len(ordered) - 1)
        exact = ordered[low] + (ordered[high] - ordered[low]) * (place - low)
        least, most = ordered[max(low - 1, 0)], ordered[min(high + 1, len(ordered) - 1)]
        return least <= answer <= most or abs(answer - exact) <= 0.02 * abs(exact)


Number = float | Percentile | None
Table = dict[tuple[Any, ...], dict[str, Number]]
"""Keys of a bucket → metric → value."""
Measure = Callable[[list[Event]], dict[str, Number]]


@dataclass(frozen=True)
class Asked:
    """The events of the time asked for, and how it is cut."""

    events: list[Event]
    since: datetime
    until: datetime
    interval_seconds: int | None

    @classmethod
    def of(cls, events: Iterable[Event], since: datetime, until: datetime, interval: int | None) -> Asked:
        """Return what is seen of `events` from `since` up to (not including) `until`."""
        return cls([one for one in events if since <= when(one) < until], since, until, interval)

    def kind(self, *kinds: str) -> list[Event]:
        """Events of those kinds."""
        return [one for one in self.events if one["data"]["kind"] in kinds]

    @property
    def answered(self) -> list[Event]:
        """Predictions with an answer."""
        return [one for one in self.kind("prediction") if one["data"]["status"] == "ok"]

    @property
    def requests(self) -> list[Event]:
        """HTTP requests: a batch is one, its rows are none."""
        return [one for one in self.kind("prediction", "request") if "batch_id" not in one["data"]]

    @property
    def reports(self) -> list[Event]:
        """What processes say of themselves."""
        return self.kind("service")

    @property
    def pipeline(self) -> list[Event]:
        """The same of pipeline processes."""
        return [one for one in self.reports if one["data"]["service"] == "pipeline"]

    def by_time(self, events: list[Event], measure: Measure) -> Table:
        """Measure every interval of the time asked for, the empty ones too."""
        assert self.interval_seconds is not None
        step = self.interval_seconds * 1000
        groups = grouped(events, lambda one: [milliseconds(when(one)) // step * step])
        first = milliseconds(self.since) // step * step
        return {
            (start,): measure(groups.get(start, [])) for start in range(first, milliseconds(self.until), step)
        }


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def grouped(events: Iterable[Event], keys: Callable[[Event], Iterable[Any]]) -> dict[Any, list[Event]]:
    """Events by each of their keys."""
    result: dict[Any, list[Event]] = {}
    for one in events:
        for key in keys(one):
            result.setdefault(key, []).append(one)
    return result


def mean(values: Iterable[float]) -> float | None:
    """Arithmetic mean."""
    found = list(values)
    return sum(found) / len(found) if found else None


def largest(values: Iterable[float]) -> float | None:
    """Maximum."""
    return max(values, default=None)


def share(part: Iterable[bool]) -> float | None:
    """Part of what is true."""
    return mean(map(float, part))


def of(events: list[Event], name: str) -> list[float]:
    """Values of a key of the data."""
    return [one["data"][name] for one in events]


def metric(events: list[Event], name: str) -> list[float]:
    """Values of a performance metric."""
    return [one["data"]["performance_metrics"][name] for one in events]


def percentile(values: Iterable[float], percent: float) -> Percentile:
    """A percentile, to be compared with tolerance."""
    return Percentile(tuple(values), percent)


def one(**values: Number) -> Table:
    """The table of a panel without buckets."""
    return {(): values}


def counted(groups: Mapping[Any, list[Event]], size: int, name: str = "predictions") -> Table:
    """The `size` largest groups, largest first, then by key."""
    order = sorted(groups, key=lambda key: (-len(groups[key]), key))[:size]
    return {(key,): {name: len(groups[key])} for key in order}


def by_range(events: list[Event], value: Callable[[Event], float], edges: list[float]) -> Table:
    """Predictions from each edge up to the next, and from the last one on."""
    ends = [*edges[1:], float("inf")]
    return {
        (low,): {"predictions": sum(low <= value(event) < high for event in events)}
        for low, high in zip(edges, ends, strict=True)
    }


def label(event: Event) -> str:
    """The class given."""
    return str(event["data"]["result"]["label"])


def statuses(events: list[Event]) -> dict[str, Number]:
    """Requests by status."""
    return {
        name: sum(event["data"]["status"] == name for event in events)
        for name in ("ok", "refused", "shed", "failed")
    }


def response_times(asked: Asked) -> Table:
    """Per path, the ten most asked."""
    groups = grouped(asked.requests, lambda event: [event["data"]["path"]])
    return {
        key: {
            "requests": len(groups[key[0]]),
            "mean": mean(of(groups[key[0]], "latency_ms")),
            **{f"p{p}": percentile(of(groups[key[0]], "latency_ms"), p) for p in (50, 95, 99)},
        }
        for key in counted(groups, 10)
    }


def busy_hours(asked: Asked) -> Table:
    """By hour and weekday, in the display time zone."""

    def key(event: Event) -> list[tuple[str, str]]:
        local = when(event).astimezone(ZONE)
        return [(f"{local.hour:02}", WEEKDAYS[local.weekday()])]

    groups = grouped(asked.answered, key)
    return {both: {"predictions": len(groups[both])} for both in sorted(groups)}


def model_versions(asked: Asked) -> Table:
    """By name, version and runtime."""
    groups = grouped(asked.answered, lambda event: [tuple(event["data"]["model"].values())])
    return {
        key: {
            "predictions": len(events),
            "latency": mean(of(events, "latency_ms")),
            "inference": mean(metric(events, "inference_time_ms")),
        }
        for key, events in sorted(groups.items())
    }


def costly_functions(asked: Asked) -> Table:
    """The ten with the largest own time."""
    groups: dict[str, list[Event]] = {}
    for event in asked.answered:
        for function in event["data"]["performance_metrics"]["top_functions"] or ():
            groups.setdefault(function["function"], []).append(function)
    sums = {name: sum(part["own_ms"] for part in parts) for name, parts in groups.items()}
    return {
        (name,): {
            "own": sums[name],
            "cumulative": sum(part["cumulative_ms"] for part in groups[name]),
            "calls": sum(part["calls"] for part in groups[name]),
            "profiles": len(groups[name]),
        }
        for name in sorted(sums, key=lambda name: (-sums[name], name))[:10]
    }


def growth(asked: Asked, name: str) -> Table:
    """Growth per minute of a counter of each pipeline process; one below its last value began again at 0."""
    table: Table = {}
    groups = grouped(asked.pipeline, lambda event: [event["data"]["producer"]])
    for producer, events in groups.items():
        before: Number = None
        for (start,), values in asked.by_time(events, lambda part: {name: largest(of(part, name))}).items():
            now, rate = values[name], None
            assert asked.interval_seconds is not None
            if isinstance(now, int) and isinstance(before, int):
                rate = (now - before if now >= before else now) * 60 / asked.interval_seconds
            table[start, producer] = {name: rate}
            before = now
    return table


def backlogs(events: list[Event]) -> dict[str, Number]:
    """The largest backlog per service."""
    return {
        service: largest(event["data"]["backlog"] for event in events if event["data"]["service"] == service)
        for service in ("pipeline", "api", "ui")
    }


def ledger(events: list[Event], *names: str) -> dict[str, Number]:
    """The largest of each count of the ledger."""
    return {
        name: largest(event["data"]["ledger"][name] for event in events if "ledger" in event["data"])
        for name in names
    }


LEDGER = (
    "produced", "indexed", "filtered", "dead", "cleared", "expired", "erased", "removed", "pending", "dropped",
    "unaccounted",
)  # fmt: skip


def ledger_states(asked: Asked) -> Table:
    """One row, when anything was measured."""
    counts = ledger(asked.pipeline, *LEDGER)
    return {("pipeline",): counts} if counts["produced"] is not None else {}


def letters_by_cause(asked: Asked) -> Table:
    """Causes by number of letters, states by name."""
    table: Table = {}
    for (cause,) in counted(grouped(asked.kind("letter"), lambda one: [one["data"]["cause"]]), 10):
        of_cause = [one for one in asked.kind("letter") if one["data"]["cause"] == cause]
        for state, letters in sorted(grouped(of_cause, lambda one: [one["data"]["state"]]).items()):
            table[cause, state] = {"letters": len(letters), "attempts": largest(of(letters, "attempts"))}
    return table


def processes(asked: Asked) -> Table:
    """Per service."""
    groups = grouped(asked.reports, lambda event: [event["data"]["service"]])
    return {
        (service,): {
            "processes": len({event["data"]["producer"] for event in events}),
            "reports": len(events),
            "uptime": largest(of(events, "uptime_seconds")),
        }
        for service, events in sorted(groups.items())
    }


def there(events: list[Event], name: str) -> list[float]:
    """Values of a key of the data, where it is there."""
    return [one["data"][name] for one in events if name in one["data"]]


def staged(events: list[Event], name: str) -> list[float]:
    """Times of a stage, which rows of a batch have none of."""
    return [one["data"]["stages"][f"{name}_ms"] for one in events if "stages" in one["data"]]


def coverage(events: list[Event]) -> dict[str, Number]:
    """Predictions by whether and why they were profiled."""
    found = [(event["data"]["profiled"], event["data"]["profile_reason"]) for event in events]
    return {
        **{f"profiled_{reason}": found.count((True, reason)) for reason in ("budget", "forced", "slow")},
        **{reason: found.count((False, reason)) for reason in ("batch", "budget", "disabled")},
    }


def of_the_api(name: str) -> Callable[[Asked], Table]:
    """Mean and maximum of a figure of the API's reports over time."""
    return lambda asked: asked.by_time(
        [event for event in asked.reports if event["data"]["service"] == "api"],
        lambda e: {"mean": mean(there(e, name)), "maximum": largest(there(e, name))},
    )


def spread(name: str) -> Callable[[Asked], Table]:
    """Mean and p95 of a performance metric over time."""
    return lambda asked: asked.by_time(
        asked.answered, lambda e: {"mean": mean(metric(e, name)), "p95": percentile(metric(e, name), 95)}
    )


def quality_verdicts(asked: Asked) -> Table:
    """By verdict, then by words, the most frequent first."""
    table: Table = {}
    groups = grouped(asked.kind("quality"), lambda one: [one["data"]["quality"]["verdict"]])
    for verdict in sorted(groups):
        by_words = grouped(groups[verdict], lambda one: [one["data"]["quality"]["conclusion"]])
        for (words,) in counted(by_words, 10):
            figures = [one["data"]["quality"] for one in by_words[words]]
            table[verdict, words] = {
                "verdicts": len(figures),
                "realised": mean(found(figures, "accuracy")),
                "expected": mean(found(figures, "expected_accuracy")),
                "training": mean(found(figures, "training_accuracy")),
                "outcomes": largest(found(figures, "outcomes")),
            }
    return table


def found(figures: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    """Values of a figure, where it is there."""
    return [one[name] for one in figures if name in one]


def of_quality(**names: str) -> Callable[[Asked], Table]:
    """Means of figures of the verdicts on quality over time."""
    return lambda asked: asked.by_time(
        asked.kind("quality"),
        lambda e: {
            metric: mean(found([one["data"]["quality"] for one in e], name)) for metric, name in names.items()
        },
    )


def outcomes(asked: Asked) -> list[Event]:
    """Outcomes that are joined and stand."""
    feedback = asked.kind("feedback")
    return [
        one
        for one in feedback
        if one["joined"]["outcome"]["joined"] and not one["joined"]["outcome"]["superseded"]
    ]


def right(events: list[Event]) -> float | None:
    """Part of the outcomes that were foretold rightly."""
    return share(one["joined"]["outcome"]["correct"] for one in events)


def lags(events: list[Event]) -> list[float]:
    """How late the outcomes are."""
    return [one["joined"]["outcome"]["lag_ms"] for one in events]


def accuracy_by_prediction_time(asked: Asked) -> Table:
    """By day from the first prediction to the last, the days without any too."""
    assert asked.interval_seconds is not None
    step = asked.interval_seconds * 1000
    groups = grouped(
        outcomes(asked),
        lambda one: [
            milliseconds(datetime.fromisoformat(one["joined"]["outcome"]["predicted_at"])) // step * step
        ],
    )
    days = range(min(groups), max(groups) + 1, step) if groups else ()
    return {(day,): {"accuracy": right(groups.get(day, []))} for day in days}


def accuracy_by_version(asked: Asked) -> Table:
    """By version."""
    groups = grouped(outcomes(asked), lambda one: [one["joined"]["model"]["version"]])
    return {
        (version,): {"outcomes": len(events), "accuracy": right(events), "lag": mean(lags(events))}
        for version, events in sorted(groups.items())
    }


def verdicts_of(asked: Asked) -> dict[str, list[Mapping[str, Any]]]:
    """Figures of drift by feature, the largest PSI first."""
    groups = grouped(asked.kind("drift"), lambda one: [one["data"]["drift"]["feature"]])
    figures = {name: [one["data"]["drift"] for one in events] for name, events in groups.items()}
    order = sorted(figures, key=lambda name: (-max(one["psi"] for one in figures[name]), name))
    return {name: figures[name] for name in order}


def drift_verdicts(asked: Asked) -> Table:
    """By feature."""
    return {
        (name,): {
            "windows": len(figures),
            "verdicts": sum(one["verdict"] == "drift" for one in figures),
            "alarms": sum(one["alarm"] for one in figures),
            "psi": largest(found(figures, "psi")),
            "p": min(found(figures, "p_value")),
            "training": mean(found(figures, "reference_mean")),
            "now": mean(found(figures, "window_mean")),
        }
        for name, figures in verdicts_of(asked).items()
    }


def compared_age(asked: Asked) -> Table:
    """Mean shares of each part of AGE in the judged windows."""
    figures = [one["data"]["drift"] for one in asked.kind("drift")]
    parts = [part for one in figures if one["feature"] == "AGE" for part in one["parts"]]
    groups = grouped(parts, lambda part: [part["part"]])
    return {
        (name,): {"now": mean(found(own, "window_share")), "training": mean(found(own, "reference_share"))}
        for name, own in sorted(groups.items())
    }


def drift_over_time(asked: Asked) -> Table:
    """PSI over time of the features with a verdict, where there is one."""
    table: Table = {}
    drifted = [one for one in asked.kind("drift") if one["data"]["drift"]["verdict"] == "drift"]
    for name, own in sorted(grouped(drifted, lambda one: [one["data"]["drift"]["feature"]]).items()):
        over_time = asked.by_time(
            own, lambda e: {"psi": largest(found([one["data"]["drift"] for one in e], "psi"))}
        )
        table |= {(start, name): values for (start,), values in over_time.items()}
    return table


def beside_training(
    asked: Asked,
    name: str,
    now: Callable[[list[Event]], Number],
    *,
    metric: str,
    figure: str = "reference_mean",
) -> Table:
    """A figure of the answered predictions over time, beside what drift says of training."""
    drift = [one for one in asked.kind("drift") if one["data"]["drift"]["feature"] == name]
    known = asked.by_time(
        drift, lambda e: {"training": mean(found([one["data"]["drift"] for one in e], figure))}
    )
    answered = asked.by_time(asked.answered, lambda e: {metric: now(e)})
    return {key: {**answered[key], **known[key]} for key in answered}


EXPECTED: dict[str, Callable[[Asked], Table]] = {
    "predictions_answered": lambda asked: one(predictions=len(asked.answered)),
    "positive_share": lambda asked: one(share=share(label(event) == "YES" for event in asked.answered)),
    "mean_response_time": lambda asked: one(mean=mean(of(asked.requests, "latency_ms"))),
    "error_rate": lambda asked: one(
        share=share(event["data"]["status"] in ("failed", "shed") for event in asked.requests)
    ),
    "predictions_per_hour": lambda asked: asked.by_time(asked.answered, lambda e: {"predictions": len(e)}),
    "answer_share": lambda asked: asked.by_time(
        asked.answered,
        lambda e: {
            "class_0": sum(label(event) == "NO" for event in e),
            "class_1": sum(label(event) == "YES" for event in e),
        },
    ),
    "request_status": lambda asked: asked.by_time(asked.requests, statuses),
    "response_time_by_path": response_times,
    "busy_hours": busy_hours,
    "features_present": lambda asked: counted(
        grouped(
            asked.answered,
            lambda event: [
                name
                for name, value in event["data"]["input_data"].items()
                if value == 1 and name not in ("AGE", "GENDER")
            ],
        ),
        10,
    ),
    "model_versions": model_versions,
    "mean_latency": lambda asked: one(mean=mean(of(asked.answered, "latency_ms"))),
    "p95_latency": lambda asked: one(p95=percentile(of(asked.answered, "latency_ms"), 95)),
    "mean_cpu_time": lambda asked: one(mean=mean(metric(asked.answered, "cpu_time_ms"))),
    "largest_memory": lambda asked: one(maximum=largest(metric(asked.answered, "memory_mb"))),
    "latency_over_time": lambda asked: asked.by_time(
        asked.answered,
        lambda e: {
            "mean": mean(of(e, "latency_ms")),
            **{f"p{p}": percentile(of(e, "latency_ms"), p) for p in (50, 95, 99)},
        },
    ),
    "stage_times": lambda asked: asked.by_time(
        asked.answered,
        lambda e: {
            name: mean(staged(e, name)) for name in ("validate", "queue", "features", "predict", "serialise")
        },
    ),
    "queue_wait_over_time": lambda asked: asked.by_time(
        asked.answered, lambda e: {f"p{p}": percentile(staged(e, "queue"), p) for p in (50, 95, 99)}
    ),
    "batch_size_over_time": lambda asked: asked.by_time(
        asked.answered,
        lambda e: {"mean": mean(of(e, "batch_size")), "maximum": largest(of(e, "batch_size"))},
    ),
    "profiler_coverage": lambda asked: asked.by_time(asked.answered, coverage),
    "observer_cost_over_time": of_the_api("observer_us_per_request"),
    "observer_share_over_time": of_the_api("observer_share"),
    "inference_time_over_time": spread("inference_time_ms"),
    "cpu_time_over_time": spread("cpu_time_ms"),
    "memory_over_time": lambda asked: asked.by_time(
        asked.answered,
        lambda e: {"mean": mean(metric(e, "memory_mb")), "maximum": largest(metric(e, "memory_mb"))},
    ),
    "memory_delta_over_time": lambda asked: asked.by_time(
        asked.answered, lambda e: {"maximum": largest(metric(e, "memory_delta_mb"))}
    ),
    "costly_functions": costly_functions,
    "predicted_share": lambda asked: beside_training(
        asked,
        "prediction",
        lambda e: share(label(event) == "YES" for event in e),
        metric="share",
        figure="reference_share",
    ),
    "mean_probability": lambda asked: beside_training(
        asked,
        "prediction",
        lambda e: mean(event["data"]["result"]["probability"] for event in e),
        metric="mean",
    ),
    "quality_verdicts": quality_verdicts,
    "realised_and_expected": of_quality(
        realised="accuracy",
        low="accuracy_low",
        high="accuracy_high",
        expected="expected_accuracy",
        training="training_accuracy",
    ),
    "accuracy_by_prediction_time": accuracy_by_prediction_time,
    "accuracy_by_version": accuracy_by_version,
    "outcome_coverage": of_quality(coverage="coverage"),
    "outcome_lag": lambda asked: asked.by_time(
        outcomes(asked), lambda e: {f"p{p}": percentile(lags(e), p) for p in (50, 95)}
    ),
    "drift_verdicts": drift_verdicts,
    "drift_over_time": drift_over_time,
    "probability_distribution": lambda asked: by_range(
        asked.answered,
        lambda event: event["data"]["result"]["probability"],
        [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    ),
    "refused_fields": lambda asked: counted(
        grouped(
            [event for event in asked.kind("prediction") if event["data"]["status"] == "refused"],
            lambda event: {error["field"] for error in event["data"]["errors"]},
        ),
        10,
    ),
    "distribution_age": lambda asked: by_range(
        asked.answered,
        lambda event: event["data"]["input_data"]["AGE"],
        [float(age) for age in range(0, 120, 10)],
    ),
    "compared_age": compared_age,
    "mean_age": lambda asked: beside_training(
        asked,
        "AGE",
        lambda e: mean(event["data"]["input_data"]["AGE"] for event in e),
        metric="mean",
    ),
    "largest_backlog": lambda asked: one(maximum=largest(of(asked.pipeline, "backlog"))),
    "largest_lag": lambda asked: one(maximum=largest(of(asked.pipeline, "lag_ms"))),
    "processes_reporting": lambda asked: one(
        processes=len({event["data"]["producer"] for event in asked.reports})
    ),
    "ledger_unaccounted": lambda asked: one(maximum=ledger(asked.pipeline, "unaccounted")["unaccounted"]),
    "ledger_dropped": lambda asked: one(maximum=ledger(asked.pipeline, "dropped")["dropped"]),
    "ledger_states": ledger_states,
    "ledger_over_time": lambda asked: asked.by_time(
        asked.pipeline, lambda e: ledger(e, "pending", "dead", "dropped", "unaccounted")
    ),
    "letters_waiting": lambda asked: one(
        letters=sum(letter["data"]["state"] == "waiting" for letter in asked.kind("letter"))
    ),
    "letters_by_cause": letters_by_cause,
    "throughput": lambda asked: growth(asked, "indexed"),
    "retries": lambda asked: {
        keys: {"retried": value["retried"]} for keys, value in growth(asked, "retried").items()
    },
    "backlog_over_time": lambda asked: asked.by_time(asked.reports, backlogs),
    "lag_over_time": lambda asked: asked.by_time(
        asked.pipeline, lambda e: {"maximum": largest(of(e, "lag_ms"))}
    ),
    "events_stored": lambda asked: asked.by_time(
        asked.kind("prediction", "request", "log"),
        lambda e: {
            kind: sum(event["data"]["kind"] == kind for event in e)
            for kind in ("prediction", "request", "log")
        },
    ),
    "processes": processes,
}
"""Panel → its right answer; those on a two-valued input are in `expected_answers`."""


def expected_answers(schema: FeatureSchema) -> dict[str, Callable[[Asked], Table]]:
    """Return the right answer of every panel of the reference model."""

    def share_of(name: str) -> Callable[[Asked], Table]:
        return lambda asked: beside_training(
            asked,
            name,
            lambda e: mean(event["data"]["input_data"][name] for event in e),
            metric="share",
        )

    binary = [name for name in schema.names if name != "AGE"]
    return {**EXPECTED, **{f"share_{name.lower()}": share_of(name) for name in binary}}

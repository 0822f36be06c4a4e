"""A trace as its page shows it, in words and in the reader's language."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from vigie.schema import FeatureSchema
from vigie.ui.feature_words import value_words
from vigie.ui.language import Language
from vigie.ui.moments import milliseconds, moment
from vigie.ui.numbers import number
from vigie.ui.predict.result import Speaker
from vigie.ui.texts import Texts
from vigie.ui.trace.request import StageBar, metrics_of, number_of, waterfall
from vigie.ui.transaction import is_transaction
from vigie.ui.value_tree import Node, tree_of

BADGES: Final[Mapping[str, str]] = {"ok": "ok", "refused": "refused", "shed": "refused", "failed": "failed"}
"""Status → class of its badge."""
LONGEST_JSON: Final = 100_000


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about the request; `name` says which text names it."""

    name: str
    text: str
    badge: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """One value of the record, named as the form names it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Function:
    """One of the costliest functions."""

    function: str
    where: str
    calls: str
    own: float
    cumulative: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What `trace/request.html` shows."""

    facts: Sequence[Fact]
    errors: Sequence[Mapping[str, str]]
    given: Sequence[Input] | Sequence[Node]
    given_refused: bool
    """Whether `given` is a tree of what was refused, rather than the record's values."""
    bars: Sequence[StageBar]
    metrics: Sequence[tuple[str, float | None, str]]
    functions: Sequence[Function]
    is_row: bool
    dead: bool
    dead_reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document."""

    kind: str
    id: str
    physical: str
    tree: Sequence[Node]
    json: str


@dataclass(frozen=True)
class Teller:
    """Says in one language what a trace holds."""

    texts: Texts
    schema: FeatureSchema
    zone: ZoneInfo
    language: Language

    def seen(self, trace: Mapping[str, Any]) -> Seen:
        """Return what is shown of GET /predict/{id}'s answer, stored or still on its way."""
        data = data_of(trace)
        metrics = trace.get("metrics") or data.get("performance_metrics")
        functions = trace.get("top_functions") or (metrics or {}).get("top_functions")
        record = data.get("input_data")
        refused = data.get("rejected_input")
        dead = trace.get("state") == "dead letter"
        return Seen(
            facts=[fact for fact in self._facts(trace, data) if fact.text],
            errors=_errors(data.get("errors")),
            given=list(self._inputs(record)) if isinstance(record, Mapping) else _refused(refused),
            given_refused=not isinstance(record, Mapping),
            bars=waterfall(trace.get("stages") or data.get("stages"), data.get("latency_ms")),
            metrics=metrics_of(metrics) if metrics else [],
            functions=list(self._functions(functions)),
            is_row=bool(data.get("batch_id")),
            dead=dead,
            dead_reason=_text((trace.get("dead_letter") or {}).get("reason")) if dead else "",
        )

    def _facts(self, trace: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Fact]:
        status, code = _text(data.get("status")), _text(data.get("status_code"))
        batch, rows = _text(data.get("batch_id")), number_of(trace.get("rows"))
        result, probability = data.get("result") or {}, None
        if isinstance(result, Mapping):
            probability = number_of(result.get("probability"))
        yield Fact("transaction_id", _text(trace.get("transaction_id")))
        yield Fact("time", self._when(trace))
        yield Fact("request", f"{_text(data.get('method'))} {_text(data.get('path'))}".strip())
        if status in BADGES:
            yield Fact("status", f"{self._say(f'trace.status_{status}')} ({code})", badge=BADGES[status])
        yield Fact("answer", self.answer(data))
        yield Fact(
            "probability",
            ""
            if probability is None
            else Speaker(self.schema, self.texts, self.language).percent(probability),
        )
        yield Fact("model", " ".join(_text(part) for part in (data.get("model") or {}).values()))
        yield Fact("subject", _text(data.get("subject_id")))
        yield Fact("correlation", _text(data.get("correlation_id")))
        yield Fact(
            "batch", batch, link=f"./trace?{urlencode({'id': batch})}" if is_transaction(batch) else ""
        )
        if rows:
            found = f"./logs?{urlencode({'transaction_id': _text(trace.get('transaction_id'))})}"
            yield Fact("rows", self._say("trace.rows_link", count=number(self.language, rows)), link=found)

    def _when(self, trace: Mapping[str, Any]) -> str:
        shown = moment(_text((trace.get("event") or {}).get("timestamp")), self.zone)
        return f"{shown} {self.zone.key}" if shown else ""

    def answer(self, data: Mapping[str, Any]) -> str:
        """Return the class given, or the number; empty when there was no answer."""
        result = data.get("result")
        if not isinstance(result, Mapping):
            return ""
        label = result.get("label")
        return _text(label if label is not None else result.get("prediction"))

    def _inputs(self, record: Mapping[str, Any]) -> Iterator[Input]:
        for name, value in record.items():
            feature = self.schema.by_name.get(name)
            if feature is None or not isinstance(value, int | float | str):
                yield Input(str(name), _text(value))
                continue
            words = value_words(self.texts, self.language, feature, value)
            yield Input(feature.label.in_language(self.language), words)

    def _functions(self, given: object) -> Iterator[Function]:
        for one in given if isinstance(given, Sequence) else ():
            if isinstance(one, Mapping):
                yield Function(
                    _text(one.get("function")),
                    f"{_text(one.get('file'))}:{_text(one.get('line'))}",
                    number(self.language, number_of(one.get("calls")) or 0),
                    number_of(one.get("own_ms")) or 0.0,
                    number_of(one.get("cumulative_ms")) or 0.0,
                )

    def recent(self, item: Mapping[str, Any]) -> dict[str, str]:
        """Return what the table of recent predictions shows of one of GET /predict/history."""
        status, latency = _text(item.get("status")), number_of(item.get("latency_ms"))
        return {
            "id": _text(item.get("transaction_id")),
            "time": moment(_text(item.get("timestamp")), self.zone),
            "status": self._say(f"trace.status_{status}") if status in BADGES else status,
            "badge": BADGES.get(status, "quiet"),
            "answer": self.answer(item),
            "latency": "" if latency is None else milliseconds(self.language, latency),
            "version": _text((item.get("model") or {}).get("version")),
        }

    def _say(self, key: str, **values: str) -> str:
        return self.texts.say(self.language, key, **values)


def data_of(trace: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `data` of a trace's event; empty when there is none."""
    data = (trace.get("event") or {}).get("data")
    return data if isinstance(data, Mapping) else {}


def documents_of(trace: Mapping[str, Any]) -> dict[str, list[Document]]:
    """Return index → documents, as they are stored, without the application's log lines."""
    found: dict[str, list[Document]] = {}
    for index, documents in (trace.get("documents") or {}).items():
        shown = [_document(one) for one in documents if one["source"].get("doc_type") != "log"]
        if shown:
            found[index] = shown
    return found


def _document(document: Mapping[str, Any]) -> Document:
    source = document["source"]
    return Document(
        _text(source.get("doc_type")),
        _text(document.get("id")),
        _text(document.get("index")),
        tree_of(source),
        json.dumps(source, indent=2, ensure_ascii=False)[:LONGEST_JSON],
    )


def _errors(given: object) -> list[Mapping[str, str]]:
    errors = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
    return [{"field": _text(one.get("field")), "reason": _text(one.get("reason"))} for one in errors]


def _refused(given: object) -> Sequence[Node]:
    return () if given is None else tree_of(given)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

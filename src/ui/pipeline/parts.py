"""The parts of the page on the pipeline: stages, processes, ledger; each is asked and fails by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from vigie.ui.api_client import ApiFaultError
from vigie.ui.language import Language
from vigie.ui.moments import moment
from vigie.ui.site import Site
from vigie.ui.spans import span
from vigie.ui.store_reader import StoreAwayError

STAGES: Final = ("model", "journal", "redis", "pipeline", "store")
"""In the order in which events pass them."""
TERMS: Final = (
    "indexed", "filtered", "dead", "cleared", "expired", "erased", "removed", "pending", "dropped", "missing",
)  # fmt: skip
"""What becomes of an event; together they are what was produced."""
SERVICES: Final = ("api", "ui", "pipeline")
REPORTS: Final = 500
"""Reports that are looked at, the newest first."""
LOOK_BACK: Final = timedelta(minutes=10)
SILENT: Final = timedelta(seconds=90)
"""A process reports every 30 s: one that has been silent for longer has ended, or cannot get through."""
SHOWN: Final = 30
"""Producers that are shown one by one; those that had a loss always are."""
HEALTH_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class ProducerRow:
    """A line of the ledger: one producer, or several that need no attention together."""

    name: str
    role: str
    together: int
    """How many producers it is of."""
    counts: Mapping[str, int]
    loss: bool


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process as its newest report has it."""

    service: str
    producer: str
    at: str
    silent: str
    """How long it has been silent; empty while it reports."""
    uptime: str
    backlog: int | None
    lag: str
    lag_ms: float | None
    dropped: int
    cost_us: float | None


class PipelineParts:
    """Draws the parts; shared by all visitors."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._zone = ZoneInfo(site.settings.api.display_timezone)

    async def stages(self, language: Language) -> str:
        """Return the state of each stage, with the remedy, as HTML."""
        try:
            document = (await self._site.api.ask("GET", "/health", timeout=HEALTH_SECONDS)).json
        except ApiFaultError as error:
            if not error.document.get("stages"):
                return self._failure(language, "pipeline.away_stages", error)
            document = error.document
        found = [(stage, document["stages"].get(stage)) for stage in STAGES]
        return self._site.templates.render(language, "pipeline/stages.html", stages=found, health=document)

    async def ledger(self, language: Language) -> str:
        """Return where every event is as HTML."""
        try:
            document = (await self._site.api.ask("GET", "/ledger")).json
        except ApiFaultError as error:
            return self._failure(language, "pipeline.away_ledger", error)
        rows = list(producer_rows(document["producers"]))
        totals = document["totals"]
        return self._site.templates.render(
            language,
            "pipeline/ledger.html",
            ledger=document,
            rows=rows,
            terms=TERMS,
            services=SERVICES,
            columns=[term for term in TERMS if totals[term] or term in {"indexed", "pending", "missing"}],
            losses=[row for row in rows if row.loss],
        )

    async def processes(self, language: Language, now: datetime | None = None) -> str:
        """Return which processes report, and how far behind they are, as HTML."""
        now = now or datetime.now(UTC)
        body = {
            "size": REPORTS,
            "query": {
                "bool": {
                    "filter": [
                        {"term": {"doc_type": "service"}},
                        {"range": {"@timestamp": {"gte": (now - LOOK_BACK).isoformat()}}},
                    ]
                }
            },
            "sort": [{"@timestamp": "desc"}, {"producer": "desc"}, {"number": "desc"}],
            "track_total_hits": False,
        }
        try:
            answer = await self._site.store.search("ml-api-perfs", body)
        except StoreAwayError as error:
            words = {"away": "dashboards.store_away", "slow": "dashboards.store_slow"}
            reason = words.get(error.kind, "dashboards.store_refused")
            return self._site.templates.render(
                language,
                "pipeline/away.html",
                title="pipeline.away_processes",
                reason=self._site.texts.say(language, reason, url=self._site.store.url),
            )
        reports = [hit["_source"] for hit in answer["hits"]["hits"]]
        rows = list(self._rows(reports, language, now))
        reporting = {row.service for row in rows if not row.silent}
        return self._site.templates.render(
            language,
            "pipeline/processes.html",
            rows=rows,
            services=SERVICES,
            absent=[service for service in SERVICES if service not in reporting],
            behind=max(
                (row for row in rows if row.service == "pipeline" and row.backlog is not None),
                key=lambda row: row.at,
                default=None,
            ),
        )

    def _rows(
        self, reports: Sequence[Mapping[str, Any]], language: Language, now: datetime
    ) -> Iterator[ProcessRow]:
        newest: dict[str, Mapping[str, Any]] = {}
        for report in reports:
            newest.setdefault(report["producer"], report)
        for producer, report in sorted(newest.items(), key=lambda one: (one[1]["service"], one[0])):
            quiet = now - datetime.fromisoformat(report["@timestamp"])
            lag_ms = report.get("lag_ms")
            yield ProcessRow(
                service=report["service"],
                producer=producer,
                at=moment(report["@timestamp"], self._zone)[:-4],
                silent=span(language, quiet / timedelta(milliseconds=1)) if quiet > SILENT else "",
                uptime=span(language, 1000 * report.get("uptime_seconds", 0)),
                backlog=report.get("backlog"),
                lag="" if lag_ms is None else span(language, lag_ms),
                lag_ms=lag_ms,
                dropped=report.get("dropped", 0),
                cost_us=report.get("observer_us_per_request"),
            )

    def _failure(self, language: Language, title: str, error: ApiFaultError) -> str:
        return self._site.templates.render(
            language, "pipeline/failed.html", title=title, failure=error.failure
        )


def producer_rows(producers: Sequence[Mapping[str, Any]]) -> Iterator[ProducerRow]:
    """Yield those that lost events or still run, one by one, then the others together."""
    lossy = [one for one in producers if _lost(one)]
    running = [one for one in producers if not _lost(one) and (not one["closed"] or one["pending"])]
    for one in (*lossy, *running[:SHOWN]):
        counts = {term: int(one[term] or 0) for term in ("produced", *TERMS)}
        yield ProducerRow(one["producer"], one["role"], 1, counts, _lost(one))
    shown = {one["producer"] for one in (*lossy, *running[:SHOWN])}
    others = [one for one in producers if one["producer"] not in shown]
    if others:
        sums = {term: sum(int(one[term] or 0) for one in others) for term in ("produced", *TERMS)}
        yield ProducerRow("", "", len(others), sums, loss=False)


def _lost(producer: Mapping[str, Any]) -> bool:
    return bool(producer["dropped"] or producer["missing"] or producer["doubled"])

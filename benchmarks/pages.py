"""How soon a page is drawn, with N events in the store: `python benchmarks/pages.py --events 100000`.

It fills a Redis with prediction events as the service makes them, lets the pipeline index all of them into
an embedded store, starts API and front end, and opens each page in the system's Chromium: `--rounds` times
by a new visitor, whose browser has nothing kept, and then once more by the same. A page is drawn when the
last thing that its opening changed has changed (the last panel of a dashboard), the header's health aside.
With the time goes the CPU time that front end, store and API took for it. All events are of the time that
making them took, so that each panel aggregates all of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import orjson
import psutil
from platform_parts import ROOT, Processes, free_port, processes, until
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright
from prediction_events import fill

from vigie.model.training import train
from vigie.settings import Settings, load_settings
from vigie.telemetry.stream.stream import Stream

ADDRESSES: Final[Mapping[str, str]] = {
    "Predict": "/",
    "Batch": "/batch",
    "Trace": "/trace?id={id}",
    "Overview": "/dashboards?name=overview&last=24h",
    "Performance": "/dashboards?name=performance&last=24h",
    "Drift and quality (dashboard)": "/dashboards?name=drift&last=24h",
    "Pipeline (dashboard)": "/dashboards?name=pipeline&last=24h",
    "Logs": "/logs",
    "Drift and quality": "/drift",
    "Pipeline": "/pipeline",
}
SERVERS: Final = ("ui", "store", "api")
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET_SECONDS: Final = 0.7
"""A page that asked and changed nothing for so long is drawn."""
DEADLINE_SECONDS: Final = 120.0
WATCH: Final = """
window.drawnAt = 0;
document.addEventListener("DOMContentLoaded", () => {
  const seen = () => { window.drawnAt = performance.now(); };
  const options = {childList: true, subtree: true, attributes: true, characterData: true};
  new MutationObserver(seen).observe(document.querySelector("gradio-app"), options);
});
"""
"""Remembers when the page below the header changed last, in milliseconds since the visitor asked for it."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of a page."""

    seconds: float
    cpu_seconds: float


@contextmanager
def platform(events: int) -> Iterator[tuple[Settings, Processes, str]]:
    """Yield an installation with `events` predictions in the store, and the id of one of them."""
    with tempfile.TemporaryDirectory(prefix="vigie-pages-") as folder:
        home = Path(folder)
        train(ROOT / "model" / "lung_cancer", home / "model", None)
        ports = {name: free_port() for name in ("REDIS_PORT", "ES_PORT", "API_PORT", "GRADIO_PORT")}
        environment: dict[str, object] = {
            "VIGIE_HOME": home / "home",
            "MODEL_PATH": home / "model",
            "REDIS_HOST": "127.0.0.1",
            "ES_HOST": "127.0.0.1",
            "REDIS_STREAM_MAX_ENTRIES": max(2 * events, 1_000_000),
            "LOG_LEVEL": "WARNING",
            **ports,
        }
        settings = load_settings({name: str(value) for name, value in environment.items()}, None)
        with processes(home, environment) as parts:
            parts.redis(ports["REDIS_PORT"])
            parts.store(ports["ES_PORT"])
            until(lambda: answers(settings.store.url), "the store")
            note(f"making {events:,} events")
            until(lambda: _redis_answers(settings), "Redis")
            fill(settings, events)
            note("indexing them")
            status = parts.vigie("pipeline-once", "pipeline", "once").wait(3600)
            if status:
                raise RuntimeError(f"the pipeline ended with {status}: {_log(home, 'pipeline-once')}")
            parts.running.pop("pipeline-once")
            parts.vigie("api", "api")
            parts.vigie("pipeline", "pipeline", "run")
            parts.vigie("ui", "ui")
            until(lambda: answers(f"{settings.api.url}/readyz"), "the API")
            until(lambda: answers(f"{settings.ui.url}/health"), "the front end")
            yield settings, parts, stored_id(settings)


def answers(url: str) -> bool:
    """Whether a server answers with a success."""
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _redis_answers(settings: Settings) -> bool:
    try:
        return bool(Stream.open(settings.redis).client.ping())
    except OSError:
        return False


def _log(home: Path, name: str) -> str:
    return (home / f"{name}.log").read_text(errors="replace")[-1000:]


def stored_id(settings: Settings) -> str:
    """Return the transaction id of a prediction that is in the store."""
    answer = httpx.get(f"{settings.api.url}/predict/history", params={"limit": 1}, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["items"][0]["transaction_id"])


def note(text: str) -> None:
    """Say how far it is; the result alone goes to standard output."""
    sys.stderr.write(f"{text}\n")


class Visitor:
    """Opens pages in one browser context and measures each."""

    def __init__(self, context: BrowserContext, base: str, servers: list[psutil.Process]) -> None:
        context.add_init_script(WATCH)
        self._page = context.new_page()
        self._base = base
        self._servers = servers
        self._pending: set[Request] = set()
        self._page.on("request", self._asked)
        self._page.on("requestfinished", self._answered)
        self._page.on("requestfailed", self._answered)

    def open(self, path: str) -> Opening:
        """Return what opening the page at `path` took."""
        before = self._cpu_seconds()
        self._page.goto(f"{self._base}{path}")
        self._page.wait_for_selector("body[data-drawn]", state="attached", timeout=1000 * DEADLINE_SECONDS)
        drawn = self._quiet(self._page)
        opening = Opening(drawn / 1000, self._cpu_seconds() - before)
        if failures := self._page.locator("main .failure").all_inner_texts():
            raise RuntimeError(f"{path} shows a failure: {failures[0]}")
        self._page.goto("about:blank")
        self._pending.clear()
        return opening

    def _asked(self, request: Request) -> None:
        self._pending.add(request)

    def _answered(self, request: Request) -> None:
        self._pending.discard(request)

    def _quiet(self, page: Page) -> float:
        """Wait until nothing is asked and changed any more; return when the last change was, in ms."""
        end = time.monotonic() + DEADLINE_SECONDS
        seen, since = -1.0, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            page.wait_for_timeout(30)
            asked = any("/heartbeat/" not in request.url for request in self._pending)
            changed = float(page.evaluate("window.drawnAt"))
            if asked or changed != seen:
                seen, since = changed, time.monotonic()
            if time.monotonic() > end:
                raise TimeoutError(f"{page.url} did not come to rest in {DEADLINE_SECONDS:.0f} s")
        return seen

    def _cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._servers)


def measure(
    browser: Browser, settings: Settings, servers: list[psutil.Process], path: str, rounds: int
) -> Any:
    """Return the openings of one page: by new visitors, and by the same visitors again."""
    first, again = [], []
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        visitor = Visitor(context, settings.ui.url, servers)
        first.append(visitor.open(path))
        again.append(visitor.open(path))
        context.close()
    return {
        "first_seconds": median(one.seconds for one in first),
        "again_seconds": median(one.seconds for one in again),
        "slowest_seconds": max(one.seconds for one in (*first, *again)),
        "cpu_seconds": median(one.cpu_seconds for one in again),
    }


def main() -> int:
    """Measure every page, print JSON and a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        note("no Chromium: install chromium, or name it by CHROMIUM")
        return 2
    with platform(asked.events) as (settings, parts, transaction), sync_playwright() as playwright:
        servers = [psutil.Process(parts.running[name].pid) for name in SERVERS]
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        pages = {}
        for name, address in ADDRESSES.items():
            pages[name] = measure(
                browser, settings, servers, address.replace("{id}", transaction), asked.rounds
            )
            note(f"{name}: {pages[name]['again_seconds']:.2f} s")
        browser.close()
    result = {
        "events": asked.events,
        "pages": pages,
        "ratios": {"slowest_to_one_second": max(one["again_seconds"] for one in pages.values())},
        "bars": {
            "title": f"Until a page is drawn, with {asked.events:,} predictions in the store",
            "unit": "s",
            "rows": [
                {"group": "", "name": name, "value": one["again_seconds"]} for name, one in pages.items()
            ],
        },
    }
    lines = [
        "| page | first visit | later | slowest | CPU of the servers |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {one['first_seconds']:.2f} s | {one['again_seconds']:.2f} s "
            f"| {one['slowest_seconds']:.2f} s | {one['cpu_seconds']:.2f} s |"
            for name, one in pages.items()
        ),
    ]
    sys.stdout.write(f"{orjson.dumps(result).decode()}\n" + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

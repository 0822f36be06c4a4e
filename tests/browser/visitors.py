"""Visitors: browsers that keep nothing in common, and what went wrong in them."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

DEADLINE_MS = 60_000
QUIET_SECONDS = 0.3
"""A page that asked nothing for so long has what it wanted."""
Language = Literal["en", "fr"]
Theme = Literal["light", "dark"]
LOCALES: dict[Language, str] = {"en": "en-GB", "fr": "fr-FR"}


@dataclass
class Visitors:
    """Opens pages for visitors, and remembers what went wrong in their browsers."""

    browser: Browser
    base_url: str
    contexts: list[BrowserContext] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _tolerated: list[str] = field(default_factory=list)
    _pending: defaultdict[Page, set[Request]] = field(default_factory=lambda: defaultdict(set))

    def __call__(
        self,
        path: str | None = "/",
        *,
        language: Language = "en",
        theme: Theme = "light",
        width: int = 1280,
        height: int = 900,
    ) -> Page:
        """Return a page of a new visitor, at `path` with its components drawn (None: not opened yet)."""
        context = self.browser.new_context(
            base_url=self.base_url,
            locale=LOCALES[language],
            color_scheme=theme,
            viewport={"width": width, "height": height},
            accept_downloads=True,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(DEADLINE_MS)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"error in the page: {error}"))
        pending = self._pending[page]

        def answered(request: Request) -> None:
            pending.discard(request)

        page.on("request", lambda request: (self._asked(request), pending.add(request)))
        page.on("requestfinished", answered)
        page.on("requestfailed", answered)
        if path is not None:
            self.open(page, path)
        return page

    def open(self, page: Page, path: str) -> None:
        """Go to `path` and wait until the page's components are drawn."""
        page.goto(path)
        self.drawn(page)

    def drawn(self, page: Page) -> None:
        """Wait until the components of the page are in the document."""
        page.wait_for_selector("body[data-drawn]", state="attached")

    def settled(self, page: Page) -> None:
        """Wait until the page has been answered everything it asked, what it asks when it is drawn included."""
        self.drawn(page)
        deadline = time.monotonic() + DEADLINE_MS / 1000
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            if any("/heartbeat/" not in request.url for request in self._pending[page]):
                quiet_since = time.monotonic()
            assert time.monotonic() < deadline, [request.url for request in self._pending[page]]
            page.wait_for_timeout(20)  # lets the browser's events in

    def tolerate(self, pattern: str) -> None:
        """Accept console errors that match `pattern` (a regular expression) in this test."""
        self._tolerated.append(pattern)

    @property
    def untold(self) -> list[str]:
        """What went wrong and is not tolerated."""
        return [fault for fault in self.faults if not any(re.search(one, fault) for one in self._tolerated)]

    def close(self) -> None:
        """Let every visitor go."""
        for context in self.contexts:
            context.close()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme in {"http", "https", "ws", "wss"} and asked.netloc != urlsplit(self.base_url).netloc:
            self.faults.append(f"another host was asked: {request.url}")

"""The documents that browsers get: Gradio's, in the visitor's language and with the frame around it.

Gradio draws a page from a description in its document and knows one language per browser. Here the
description is translated before it leaves, for components whose texts Gradio would not translate (choices,
HTML) as well; and the header is there before a script has run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vigie.ui.header import THEME_COOKIE, Frame, Theme, theme_of
from vigie.ui.language import Language, language_of
from vigie.ui.page import PAGES, Page
from vigie.ui.texts import Texts

_CONFIG: Final = re.compile(r"(?<=<script>window\.gradio_config = )\{.*?\}(?=;</script>)", re.DOTALL)
_CARD: Final = re.compile(r'\s*<meta\s+(?:property="og:|name="twitter:)[^>]*>')
"""How Gradio advertises itself where a page is linked."""
_ESCAPES: Final = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("'", "\\u0027"))
"""JSON that no text in it can end the script around it."""
_BY_ADDRESS: Final = {f"/{page.path}": page for page in PAGES}


class Documents:
    """ASGI middleware that completes the documents of the pages; everything else passes unchanged."""

    def __init__(self, app: ASGIApp, frame: Frame, texts: Texts) -> None:
        self._app = app
        self._frame = frame
        self._texts = texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, its pages completed."""
        page = _BY_ADDRESS.get(scope["path"]) if scope["type"] == "http" else None
        if page is None or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        kept = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self._app({**scope, "headers": kept}, receive, collect)
        body = b"".join(parts)
        if _is_html(start):
            theme = theme_of(request.cookies.get(THEME_COOKIE))
            body = self.complete(body.decode(), language_of(request), theme, page).encode()
            headers = MutableHeaders(raw=start["headers"])
            headers["Content-Length"] = str(len(body))
            headers["Cache-Control"] = "private, no-cache"
            headers.add_vary_header("Cookie, Accept-Language")
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def complete(self, document: str, language: Language, theme: Theme, page: Page) -> str:
        """Return Gradio's `document` of `page` in `language`, with the frame.

        Raises ValueError when it is not built as expected: Gradio's template has changed.
        """
        document = _CONFIG.sub(lambda found: self._config(found[0], language, page), document, count=1)
        document = _CARD.sub("", document)
        for mark, replacement in (
            ('lang="en"', f'lang="{language}"'),
            ("<head>", f"<head>\n{self._frame.head(language)}"),
            ("<gradio-app", f'{self._frame.header(language, theme, page)}<gradio-app theme_mode="{theme}"'),
        ):
            before, found, after = document.partition(mark)
            if not found:
                raise ValueError(f"Gradio's document has no {mark}")
            document = f"{before}{replacement}{after}"
        if theme == "dark":
            document = document.replace("<body", '<body class="dark"', 1)
        return document

    def _config(self, written: str, language: Language, page: Page) -> str:
        config: dict[str, Any] = orjson.loads(written)
        config["components"] = _translated(config["components"], language, self._texts)
        config["title"] = self._frame.title(language, page)
        config["i18n_translations"] = {language: self._texts.words(language, page.key)}
        written = orjson.dumps(config).decode()
        for character, escaped in _ESCAPES:
            written = written.replace(character, escaped)
        return written


def _is_html(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return start["status"] == 200 and headers.get("content-type", "").startswith("text/html")


def _translated(value: Any, language: Language, texts: Texts) -> Any:
    """A JSON value with every text for components replaced by its words."""
    if isinstance(value, str):
        return texts.resolve(language, value)
    if isinstance(value, list):
        return [_translated(item, language, texts) for item in value]
    if isinstance(value, Mapping):
        return {name: _translated(item, language, texts) for name, item in value.items()}
    return value

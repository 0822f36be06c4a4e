"""What every answer of the front end tells browsers not to do, and what it refuses to do for other sites."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vigie.ui.routes import problem

POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        # Gradio starts by inline scripts, and Vega compiles its expressions.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
"""Nothing is loaded from, sent to or shown within another site."""
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OWN: Final = frozenset({"none", "same-origin"})
"""What browsers say in Sec-Fetch-Site of a request that no other site made; programs say nothing."""
UPLOADS: Final = "/gradio_api/upload"
MOST_UPLOADED_BYTES: Final = 65 * 1024 * 1024
"""Of a whole upload. Gradio bounds each of its files, of which it takes a thousand at once."""
MOST_BODY_BYTES: Final = 2 * 1024 * 1024
"""Of any other request, which is read into memory."""


class SecurityHeaders:
    """ASGI middleware that adds the headers to every answer, and refuses what another site's page asks for.

    The pages can clear logs and replay dead letters; a page of another site that a visitor has open beside
    them must not be able to press these buttons. What is too large is refused before any of it is kept.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        if _acts(scope) and _is_of_another_site(headers):
            refusal = problem(403, "Another site's request", "A page of another site asked for this.")
        elif "transfer-encoding" in headers:
            refusal = problem(411, "Length required", "A request has to say how long it is.")
        elif _length(headers) > (most := _most(scope)):
            refusal = problem(413, "Too large", f"At most {most} bytes are taken at once.")
        else:
            await self._app(scope, receive, add)
            return
        await _drain(receive)
        await refusal(scope, receive, add)


def _acts(scope: Scope) -> bool:
    """Whether the request may change something; a named consumer of /logs_api confirms what it has."""
    if scope["method"] not in READING:
        return True
    return scope["path"] == "/logs_api" and "consumer" in QueryParams(scope["query_string"])


def _is_of_another_site(headers: Headers) -> bool:
    """Browsers say so, but for pages by plain HTTP: of these they name the origin of what is sent."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in OWN
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def _length(headers: Headers) -> int:
    given = headers.get("content-length", "")
    return int(given) if given.isdecimal() else 0


def _most(scope: Scope) -> int:
    return MOST_UPLOADED_BYTES if scope["path"] == UPLOADS else MOST_BODY_BYTES


async def _drain(receive: Receive) -> None:
    """Let the rest of a request pass by: a client that is still sending would miss the answer."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass

"""What every answer of the front end tells browsers not to do, and what it refuses to do for other sites."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
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
OWN: Final = frozenset({None, "none", "same-origin"})
"""What browsers say in Sec-Fetch-Site of a request that no other site made; programs say nothing."""


class SecurityHeaders:
    """ASGI middleware that adds the headers to every answer, and refuses what another site's page asks for.

    The pages can clear logs and replay dead letters; a page of another site that a visitor has open beside
    them must not be able to press these buttons.
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

        asked_by = Headers(scope=scope).get("sec-fetch-site")
        if scope["method"] not in READING and asked_by not in OWN:
            refusal = problem(403, "Another site's request", "A page of another site asked for this.")
            await refusal(scope, receive, add)
        else:
            await self._app(scope, receive, add)

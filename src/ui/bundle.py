"""The pages' styles and scripts, one file each, under addresses that change with their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

STYLES: Final = Path(__file__).with_name("styles")
SCRIPTS: Final = Path(__file__).with_name("scripts")
FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}

_APART: Final = "try { (() => {\n%s\n})(); } catch (error) { console.error(error); }"


@dataclass(frozen=True)
class Bundle:
    """One file made of a folder's files, `base` first."""

    name: str
    """Its address below `/`, in which a digest of the content stands."""
    content: str
    media_type: str

    @classmethod
    def of_styles(cls, folder: Path = STYLES) -> Bundle:
        """Return the stylesheet of all pages."""
        content = "\n".join(file.read_text(encoding="utf-8") for file in _files(folder, "css"))
        return cls(f"frame-{_digest(content)}.css", content, "text/css")

    @classmethod
    def of_scripts(cls, folder: Path = SCRIPTS) -> Bundle:
        """Return the script of all pages; each file has its own names, and an error ends that file alone."""
        content = "\n".join(_APART % file.read_text(encoding="utf-8") for file in _files(folder, "js"))
        return cls(f"frame-{_digest(content)}.js", content, "text/javascript")


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"*.{kind}"), key=lambda file: (file.stem != "base", file.stem))


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def router_of(*bundles: Bundle) -> APIRouter:
    """Return the routes that serve each of `bundles` at its name."""
    router = APIRouter(include_in_schema=False)
    for bundle in bundles:
        router.add_api_route(f"/{bundle.name}", partial(_serve, bundle), methods=["GET"])
    return router


async def _serve(bundle: Bundle) -> Response:
    return Response(bundle.content, media_type=bundle.media_type, headers=FOR_EVER)

"""`/batch/…`: results as files, by a token that is the visitor's secret; and an example of a file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, BinaryIO, Final
from urllib.parse import quote

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from vigie.schema import FeatureSchema
from vigie.ui.batch import visit as visits
from vigie.ui.batch.export import Export, Format, Part
from vigie.ui.routes import problem

CHUNK_BYTES: Final = 256 * 1024
CSV_TYPE: Final = "text/csv; charset=utf-8"
MEDIA_TYPES: Final[dict[Format, str]] = {
    "csv": CSV_TYPE,
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
LONGEST_NAME: Final = 80


def batch_router(schema: FeatureSchema) -> APIRouter:
    """Return the routes by which results, and an example of a file, are downloaded."""
    router = APIRouter(include_in_schema=False)
    example = _example(schema)

    @router.get("/batch/example.csv")
    async def example_file() -> Response:
        """Answer with a file of one valid row."""
        headers = {"Content-Disposition": f'attachment; filename="{schema.name}-example.csv"'}
        return Response(example, headers=headers, media_type=CSV_TYPE)

    @router.get("/batch/results/{token}/{part}.{kind}", response_model=None)
    async def results(
        token: Annotated[str, Path(max_length=100)], part: Part, kind: Format
    ) -> Response | JSONResponse:
        """Answer with the results so far of the batch that `token` names."""
        visit = visits.find(token)
        export = visit.export(part) if visit else None
        if visit is None or export is None:
            return problem(404, "No such results", "They are kept while the page that made them is open.")
        headers = {"Content-Disposition": disposition(visit.name, part, kind), "Cache-Control": "no-store"}
        content = await _content(export, kind)
        return StreamingResponse(content, headers=headers, media_type=MEDIA_TYPES[kind])

    return router


def _example(schema: FeatureSchema) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([schema.names, schema.example().values()])
    return buffer.getvalue().encode()


async def _content(export: Export, kind: Format) -> Iterator[bytes]:
    if kind == "xlsx":
        return _read_out(await run_in_threadpool(export.xlsx))
    return export.csv() if kind == "csv" else export.json()


def _read_out(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def disposition(uploaded: str, part: Part, kind: Format) -> str:
    """Return the header (RFC 6266) that names a download after the uploaded file, however that is called."""
    stem = re.sub(r"[^\w .()-]", "_", PurePath(uploaded).stem)[:LONGEST_NAME].strip() or "batch"
    name = f"{stem}-{'results' if part == 'all' else 'refused'}.{kind}"
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"

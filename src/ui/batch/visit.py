"""One visitor's file on its way: read, looked at, sent. The page that uploaded it holds it, nothing else."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO, Final
from weakref import WeakValueDictionary

from loguru import logger

from vigie.schema import FeatureSchema
from vigie.settings import ApiSettings
from vigie.ui.batch.export import Export, Part
from vigie.ui.batch.records import Preview, Records, preview_of
from vigie.ui.batch.run import Ask, Run
from vigie.ui.batch.sentence import FileFaultError, Sentence
from vigie.ui.batch.table import Table, read_table

READERS: Final = 2
"""Files read at the same time, those of all visitors together: the others wait their turn."""
MOST_VISITS: Final = 100
"""Files held at the same time; each is at most some hundred megabytes on disk, mostly far less."""

_readers: Final = ThreadPoolExecutor(READERS, thread_name_prefix="batch-reader")
_open: Final[WeakValueDictionary[str, Visit]] = WeakValueDictionary()
"""By their token. A visit ends with the last page that holds it, and its token with it."""


@dataclass(eq=False)
class Visit:
    """What became of one uploaded file. `token` is a secret of its visitor: whoever has it has the file."""

    name: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    read_share: float = 0.0
    """Share (0-1) of the file that is read."""
    fault: Sentence | None = None
    """Why the file cannot be used."""
    table: Table | None = None
    preview: Preview | None = None
    run: Run | None = None
    run_fault: Sentence | None = None
    """Why the run broke, when it was not the API's doing."""
    task: asyncio.Task[None] | None = None
    """What is being done at the moment, or was last."""

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self.task is not None and not self.task.done()

    @property
    def ready(self) -> bool:
        """Whether the rows can be sent: the file is read, and every input has a column."""
        return self.table is not None and self.preview is not None and not self.table.matching.missing

    def export(self, part: Part) -> Export | None:
        """Return the results as far as there are any."""
        if self.table is None or self.run is None or not self.run.results.summary.answered:
            return None
        return Export(self.table, self.run.results, part)

    def end(self) -> None:
        """Stop what is being done: the visitor is gone, or has another file."""
        if self.run is not None:
            self.run.stop()


def room() -> bool:
    """Whether another file can be held."""
    return len(_open) < MOST_VISITS


def find(token: str) -> Visit | None:
    """Return the visit of that token, as long as a page holds it."""
    return _open.get(token)


def begin(file: BinaryIO, name: str, schema: FeatureSchema) -> Visit:
    """Return a visit that starts to read `file`, and closes it; call it on the event loop."""
    visit = Visit(name)
    _open[visit.token] = visit
    visit.task = asyncio.create_task(_read(visit, file, schema))
    return visit


def refused(name: str, key: str) -> Visit:
    """Return a visit whose file is not read, for the reason in the text `key`."""
    return Visit(name, fault=Sentence(key))


async def _read(visit: Visit, file: BinaryIO, schema: FeatureSchema) -> None:
    def work() -> tuple[Table, Preview]:
        def progress(share: float) -> None:
            visit.read_share = share

        with file:
            table = read_table(file, visit.name, schema, progress)
        return table, preview_of(table, Records(table, schema))

    try:
        visit.table, visit.preview = await asyncio.get_running_loop().run_in_executor(_readers, work)
    except FileFaultError as error:
        visit.fault = error.sentence
    except OSError as error:
        logger.opt(exception=True).error("an uploaded table could not be kept on disk")
        visit.fault = Sentence("batch.fault_disk", {"reason": error.strerror or type(error).__name__})
    except Exception:  # noqa: BLE001 - strangers' files find faults of ours: the log has it, the page says so
        logger.exception("an uploaded table could not be read")
        visit.fault = Sentence("batch.fault_unexpected")


def start(visit: Visit, schema: FeatureSchema, ask: Ask, settings: ApiSettings) -> None:
    """Send the rows of `visit` that have no answer yet, by `ask` (ApiClient.ask); on the event loop."""
    if not visit.ready or visit.busy or visit.table is None:
        return
    if visit.run is None:
        records = Records(visit.table, schema)
        chunk_bytes = settings.batch_max_body_bytes
        visit.run = Run(visit.table, records, ask, settings.batch_max_records, chunk_bytes)
    visit.run_fault = None
    visit.run.prepare()
    visit.task = asyncio.create_task(_send(visit, visit.run))


async def _send(visit: Visit, run: Run) -> None:
    try:
        await run()
    except* Exception as errors:  # noqa: BLE001 - a full disk, or a fault of ours: the log has it, the page says so
        logger.opt(exception=errors).error("a batch broke off")
        reason = "; ".join(str(error) or type(error).__name__ for error in errors.exceptions)
        run.state = "failed"
        visit.run_fault = Sentence("batch.run_broke", {"reason": reason[:200]})

"""The page at `/batch`: a file goes in, is looked at, sent in chunks, and comes back with its answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import gradio as gr

from vigie.ui.batch import visit as visits
from vigie.ui.batch.upload import table_upload
from vigie.ui.batch.view import LIMITS, BatchView, Place
from vigie.ui.batch.visit import Visit
from vigie.ui.language import Language, language_of
from vigie.ui.numbers import number
from vigie.ui.page_events import on_load
from vigie.ui.site import Site

TICK_SECONDS: Final = 1.0
AT_ONCE_SECONDS: Final = 1.0
"""A file that is read in this time is shown without a word about reading."""
KEPT_SECONDS: Final = 6 * 3600
"""A page that asked nothing for so long loses its file. Gradio notices that a browser is gone, but not that a
program never was one, and such visits would take the place of all others."""
FILE_TYPES: Final = [".csv", ".tsv", ".txt", ".xlsx", ".xls"]
""".xls is taken to be refused in a sentence that says what to do."""
QUICK: Final[dict[str, Any]] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
REMEMBERED: Final = "() => [sessionStorage.getItem('vigie-batch') ?? '']"
"""The token of this tab's file, so that the way back from a trace, or a reload, finds it again."""


@dataclass
class Seen:
    """What a page shows at the moment, so that what has not changed is not sent again."""

    visit: Visit | None = None
    place: Place = field(default_factory=Place)
    drawn: tuple[object, ...] = ()


def build(site: Site) -> None:
    """Add the page to the Blocks in context."""
    page = _Page(site)
    page.add()


class _Page:
    """The components, and what happens to them. Holds nothing of a visitor: that is in `Seen`, a gr.State."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._view = BatchView(site)

    def add(self) -> None:
        say = self._site.texts
        gr.HTML(self._site.html("batch/head.html", limits=LIMITS))
        self.seen = gr.State(time_to_live=KEPT_SECONDS)
        self.token = gr.Textbox(visible=False, elem_id="batch-token")
        self.upload = table_upload(
            label=say("batch.upload"), file_types=FILE_TYPES, height=150, elem_id="batch-upload"
        )
        self.file = gr.HTML(elem_id="batch-file")
        with gr.Row(elem_id="batch-actions"):
            self.run = gr.Button(
                variant="primary", visible=False, elem_id="batch-run", scale=0, min_width=220
            )
            self.stop = gr.Button(
                say("batch.stop"), visible=False, elem_id="batch-stop", scale=0, min_width=140
            )
        self.progress = gr.HTML(elem_id="batch-progress")
        with gr.Row(elem_id="batch-pager", visible=False) as self.pager:
            choices = [(say("batch.part_all"), "all"), (say("batch.part_refused"), "refused")]
            self.part = gr.Radio(
                choices, value="all", label=say("batch.part"), container=False, elem_id="batch-part"
            )
            self.back = gr.Button(say("batch.previous"), size="sm", scale=0, min_width=120)
            self.forth = gr.Button(say("batch.next"), size="sm", scale=0, min_width=120)
        self.results = gr.HTML(elem_id="batch-results")
        self.timer = gr.Timer(TICK_SECONDS, active=False)
        self._events()

    def _events(self) -> None:
        seen, once = self.seen, {**QUICK, "trigger_mode": "once"}
        shown = [
            seen, self.file, self.run, self.stop, self.progress,
            self.pager, self.back, self.forth, self.results, self.timer,
        ]  # fmt: skip
        self.upload.upload(self._uploaded, [self.upload, seen], shown, **once)
        self.upload.clear(self._cleared, seen, shown, **once)
        self.run.click(self._start, seen, shown, **once)
        self.stop.click(self._stop, seen, shown, **once)
        self.timer.tick(self._tick, seen, shown, **once)
        self.part.input(self._choose, [self.part, seen], shown, **once)
        self.back.click(self._previous, seen, shown, **once)
        self.forth.click(self._next, seen, shown, **once)
        on_load(self._return, [self.token, seen], shown, js=REMEMBERED)

    async def _uploaded(self, path: str | None, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        language = language_of(request)
        _leave(seen)
        if path is None:
            return self._draw(Seen(), language, again=True)
        visit = _opened(Path(path), self._site)
        if visit.task is not None:
            await asyncio.wait([visit.task], timeout=AT_ONCE_SECONDS)
        return self._draw(Seen(visit), language, again=True)

    async def _cleared(self, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        _leave(seen)
        return self._draw(Seen(), language_of(request), again=True)

    async def _start(self, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        seen = seen or Seen()
        if seen.visit is not None:
            visits.start(seen.visit, self._site.schema, self._site.api.ask, self._site.settings.api)
            seen.place = Place()
        return self._draw(seen, language_of(request))

    async def _stop(self, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        _leave(seen)
        return self._draw(seen or Seen(), language_of(request))

    async def _tick(self, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        return self._draw(seen or Seen(), language_of(request))

    async def _return(self, token: str, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        found = Seen(visits.find(token)) if token else seen
        return self._draw(found or Seen(), language_of(request), again=True)

    def _choose(self, part: str, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        seen = seen or Seen()
        seen.place = Place("refused" if part == "refused" else "all")
        return self._draw(seen, language_of(request))

    def _previous(self, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        return self._turn(seen or Seen(), -1, language_of(request))

    def _next(self, seen: Seen | None, request: gr.Request) -> tuple[Any, ...]:
        return self._turn(seen or Seen(), 1, language_of(request))

    def _turn(self, seen: Seen, by: int, language: Language) -> tuple[Any, ...]:
        if seen.visit is not None:
            seen.place = seen.place.moved(seen.visit, by)
        return self._draw(seen, language)

    def _draw(self, seen: Seen, language: Language, again: bool = False) -> tuple[Any, ...]:
        """Return what changes in the page: its parts in the order of the outputs."""
        visit, view = seen.visit, self._view
        run = visit.run if visit else None
        active = visit is not None and visit.busy
        answered = run is not None and not active and run.results.summary.answered > 0
        share = visit.read_share if visit and visit.table is None else 1.0
        read = (visit, share, visit and visit.fault, visit and visit.preview is None)
        told = (visit, seen.place, answered and run and run.results.summary.answered)
        before = (None, None) if again else seen.drawn or (None, None)
        seen.drawn = (read, told)
        return (
            seen,
            gr.skip() if read == before[0] else view.file(visit, language),
            self._run_button(visit, language),
            gr.Button(
                visible=active and run is not None, interactive=run is not None and run.state == "running"
            ),
            view.progress(visit, language),
            gr.Row(visible=answered),
            gr.Button(interactive=seen.place.page > 0),
            gr.Button(interactive=visit is not None and seen.place.page + 1 < seen.place.pages(visit)),
            gr.skip() if told == before[1] else view.results(visit, seen.place, language),
            gr.Timer(active=active),
        )

    def _run_button(self, visit: Visit | None, language: Language) -> gr.Button:
        if visit is None or not visit.ready or visit.busy or visit.table is None:
            return gr.Button(visible=False)
        run, count = visit.run, len(visit.table.rows)
        if run is not None and run.state == "done":
            return gr.Button(visible=False)
        key = "batch.go_on" if run else "batch.run_one" if count == 1 else "batch.run"
        left = count - (run.results.summary.answered if run else 0)
        said = self._site.texts.say(language, key, count=number(language, left))
        return gr.Button(said, visible=True)


def _opened(path: Path, site: Site) -> Visit:
    """Return the visit of an uploaded file; its name is gone from the disk before anything is read of it."""
    name = path.name
    if not visits.room():
        path.unlink(missing_ok=True)
        return visits.refused(name, "batch.fault_no_room")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return visits.refused(name, "batch.fault_gone")
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()
    return visits.begin(file, name, site.schema)


def _leave(seen: Seen | None) -> None:
    """Send no more of what the page shows: its visitor says so, or has another file now."""
    if seen is not None and seen.visit is not None:
        seen.visit.end()

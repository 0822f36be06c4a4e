"""What one API process holds: settings, model, predictor, emitter, and what reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vigie.api.dead_letters import DeadLetterDesk
from vigie.api.events import Recorder
from vigie.api.explanation import Explainer
from vigie.api.feedback import FeedbackWriter
from vigie.api.health import Health
from vigie.api.history import HistoryReader
from vigie.api.ledger import LedgerReader
from vigie.api.logs import LogReader
from vigie.api.metrics import MetricsReader
from vigie.api.reload import Reloader
from vigie.api.roles import ENDPOINTS
from vigie.api.served_model import ServedModel, serve_model
from vigie.api.store_questions import StoreQuestions
from vigie.api.trace import TraceReader
from vigie.api.validation import RecordReader
from vigie.errors import VigieError
from vigie.model.model_loader import LoadedModel, load_model
from vigie.model.predictor import Predictor
from vigie.settings import Settings
from vigie.telemetry import application_log
from vigie.telemetry.emitter import Emitter, EmitterStatus
from vigie.telemetry.event import ModelIdentity
from vigie.telemetry.metrics.figures import Figures
from vigie.telemetry.service_report import ServiceReports

DRAIN_MARGIN_SECONDS = 5.0
"""How much longer than a request may take a model that is no longer served is kept."""


class Service:
    """Made before the server starts; `start` and `stop` run in the process that serves."""

    def __init__(self, settings: Settings) -> None:
        """Load the model. Raises VigieError, in one line, when it or a setting does not let the API start."""
        refuse_unavailable(settings)
        self.settings = settings
        self.figures = Figures(ENDPOINTS)
        model = load_model(settings.model.model_path)
        self.served: ServedModel = serve_model(model, settings, figures=self.figures)
        self.recorder = Recorder(settings.api.log_exclude_paths, self.figures)
        self.logs = LogReader(settings.redis)
        self.ledger = LedgerReader(settings)
        self.dead_letters = DeadLetterDesk(settings.redis)
        self.feedback = FeedbackWriter(settings, self.figures)
        self.explainer = Explainer()
        self.store = StoreQuestions(settings)
        self.history = HistoryReader(settings, self.store)
        self.trace = TraceReader(settings, self.store)
        self.health = Health(lambda: self.served.model, self._status, lambda: self.refusal, settings)
        self.metrics = MetricsReader(settings, self.figures, lambda: self.served, self._status)

        self._followers: list[Callable[[], None]] = []
        self._former: set[Predictor] = set()
        self._reloader: Reloader | None = None
        self._emitter: Emitter | None = None
        self._reports: ServiceReports | None = None

    @property
    def emitter(self) -> Emitter:
        """What takes the events, while the service runs."""
        if self._emitter is None:
            raise RuntimeError("the service is not started")
        return self._emitter

    @property
    def model(self) -> LoadedModel:
        """The model that answers now."""
        return self.served.model

    @property
    def identity(self) -> ModelIdentity:
        """Its name, version and runtime."""
        return self.served.identity

    @property
    def notice(self) -> str:
        """What has to be said wherever it answers."""
        return self.served.notice

    @property
    def records(self) -> RecordReader:
        """What reads the records for it."""
        return self.served.records

    @property
    def predictor(self) -> Predictor:
        """What runs it."""
        return self.served.predictor

    @property
    def refusal(self) -> str | None:
        """Why the package at MODEL_PATH is not the model that answers; None while it is."""
        return None if self._reloader is None else self._reloader.refusal

    def follow(self, follower: Callable[[], None]) -> None:
        """Call `follower` whenever another model is served, in the same step of the event loop."""
        self._followers.append(follower)

    def adopt(self, served: ServedModel) -> None:
        """Serve `served` from now on, as one step of the event loop.

        Requests in hand stay with the model they began with; no request takes longer than REQUEST_TIMEOUT,
        and after that the thread of the former ends.
        """
        former, self.served = self.served, served
        for follower in self._followers:
            follower()
        self._former.add(former.predictor)
        seconds = self.settings.api.request_timeout + DRAIN_MARGIN_SECONDS
        asyncio.get_running_loop().call_later(seconds, self._retire, former.predictor)

    def ask_reload(self) -> None:
        """Judge the package at MODEL_PATH now."""
        if self._reloader is not None:
            self._reloader.ask()

    def _retire(self, predictor: Predictor) -> None:
        self._former.discard(predictor)
        predictor.close()

    def _adopter(self) -> Callable[[ServedModel], None]:
        """Return `adopt` for another thread, which waits until it is done."""
        loop = asyncio.get_running_loop()

        async def step(served: ServedModel) -> None:
            self.adopt(served)

        return lambda served: asyncio.run_coroutine_threadsafe(step(served), loop).result()

    def _status(self) -> EmitterStatus:
        return self.emitter.status()

    def start(self) -> None:
        """Open the journal, and send events and application logs to it."""
        self._emitter = Emitter.start(self.settings, "api")
        self.recorder.attach(self._emitter)
        application_log.install(self._emitter, "api", self.settings.api.log_level)
        self.metrics.start()
        self._reports = ServiceReports(self._emitter, "api", figures=self.figures)
        self._reports.start()
        self._reloader = Reloader(self.settings, lambda: self.served, self._adopter())
        self._reloader.start()

    async def stop(self) -> None:
        """Ship what can be shipped, and close everything."""
        if self._reloader is not None:
            await asyncio.to_thread(self._reloader.stop)
        for predictor in (self.predictor, *self._former):
            predictor.close()
        self.logs.close()
        self.ledger.close()
        self.dead_letters.close()
        self.feedback.close()
        self.explainer.close()
        self.store.close()
        self.trace.close()
        self.metrics.close()
        await self.health.close()
        if self._reports is not None:
            await asyncio.to_thread(self._reports.stop)
        await asyncio.to_thread(self.emitter.stop)


def refuse_unavailable(settings: Settings) -> None:
    """Raise VigieError for security that is asked for and not there: nobody shall believe it is on."""
    if settings.security.auth_enabled:
        raise VigieError(
            "AUTH_ENABLED=true: authentication is not available in this version; unset it, and keep the API "
            "on the loopback address or behind a proxy that authenticates"
        )
    if settings.security.rate_limit is not None:
        raise VigieError("RATE_LIMIT is set: the rate limit is not available in this version; unset it")

"""What one API process holds: settings, model, predictor, emitter, and what reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from vigie.api.events import Recorder
from vigie.api.health import Health
from vigie.api.ledger import LedgerReader
from vigie.api.logs import LogReader
from vigie.api.validation import RecordReader
from vigie.errors import VigieError
from vigie.model.model_loader import LoadedModel, load_model
from vigie.model.package import notice
from vigie.model.predictor import Predictor
from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.telemetry import application_log
from vigie.telemetry.emitter import Emitter, EmitterStatus
from vigie.telemetry.event import ModelIdentity
from vigie.telemetry.service_report import ServiceReports


class Service:
    """Made before the server starts; `start` and `stop` run in the process that serves."""

    def __init__(self, settings: Settings) -> None:
        """Load the model. Raises VigieError, in one line, when it or a setting does not let the API start."""
        refuse_unavailable(settings)
        self.settings = settings
        self.model: LoadedModel = load_model(settings.model.model_path)
        self.identity = ModelIdentity(
            name=self.model.schema.name, version=self.model.version, runtime=self.model.runtime_name
        )
        self.notice = notice(self.model.schema, self.model.manifest)
        self.messages = messages(self.model.schema, self.notice)
        self.records = RecordReader(self.model.schema)
        self.recorder = Recorder(self.identity, settings.api.log_exclude_paths)
        self.predictor = Predictor(self.model, settings.observing)
        self.logs = LogReader(settings.redis)
        self.ledger = LedgerReader(settings)
        self.health = Health(self.model, self._status, settings)

        self._emitter: Emitter | None = None
        self._reports: ServiceReports | None = None

    @property
    def emitter(self) -> Emitter:
        """What takes the events, while the service runs."""
        if self._emitter is None:
            raise RuntimeError("the service is not started")
        return self._emitter

    def _status(self) -> EmitterStatus:
        return self.emitter.status()

    def start(self) -> None:
        """Open the journal, and send events and application logs to it."""
        self._emitter = Emitter.start(self.settings, "api")
        self.recorder.attach(self._emitter)
        application_log.install(self._emitter, "api", self.settings.api.log_level)
        self._reports = ServiceReports(self._emitter, "api")
        self._reports.start()

    async def stop(self) -> None:
        """Ship what can be shipped, and close everything."""
        self.predictor.close()
        self.logs.close()
        self.ledger.close()
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


def messages(schema: FeatureSchema, notice_text: str) -> Mapping[str, str]:
    """Return the plain sentence of an answer, by class label: what the label means, and the notice."""
    target = schema.target
    return {
        label: f"{target.meaning[label].en if label in target.meaning else _plain(schema, label)} "
        f"Please note: {notice_text}."
        for label in target.classes
    }


def _plain(schema: FeatureSchema, label: str) -> str:
    return f"{schema.target.title.en}: {label}."

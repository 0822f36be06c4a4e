"""Takes a new package at MODEL_PATH into service while the old one answers.

Everything that takes time is done in a thread of its own: read, verify, prove on the golden rows, warm up,
measure. What is left for the event loop is to put one object in another's place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from loguru import logger

from vigie.api.served_model import ServedModel, serve_model
from vigie.errors import VigieError
from vigie.model.model_loader import load_model
from vigie.model.package import PackageError, read_manifest
from vigie.model.package_watch import PackageWatch, Signature, signature
from vigie.model.reload_request import Outcome, ReloadDesk
from vigie.model.replacement import refuse_other_contract
from vigie.settings import Settings

POLL_SECONDS: Final = 1.0
"""Between two looks at the package: a dozen calls of stat(2)."""


class Reloader(threading.Thread):
    """Looks after MODEL_PATH: a changed package, a request of `vigie model reload`, and `ask` (SIGHUP)."""

    def __init__(
        self, settings: Settings, served: Callable[[], ServedModel], adopt: Callable[[ServedModel], None]
    ) -> None:
        """`served` returns the model in service; `adopt` puts another into service and returns when it is."""
        super().__init__(name="model-reload", daemon=True)
        self._settings = settings
        self._path = settings.model.model_path
        self._served = served
        self._adopt = adopt
        self._watch = PackageWatch(self._path)
        self._desk = self._open_desk()
        self._wake = threading.Event()
        self._asked = False
        self._stopping = False
        self.refusal: str | None = None
        """Why what is at MODEL_PATH is not what is served; None while it is."""

    def ask(self) -> None:
        """Judge the package now, changed or not."""
        self._asked = True
        self._wake.set()

    def stop(self) -> None:
        """End the thread, unless it is in the middle of a load, which then comes to nothing."""
        self._stopping = True
        self._wake.set()
        self.join(1)
        if self._desk is not None:
            self._desk.close()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopping:
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
            if not self._stopping:
                try:
                    self.look()
                except Exception:  # noqa: BLE001 - a look that fails must not be the last
                    logger.exception("looking at the package {} failed", self._path)

    def look(self) -> None:
        """Judge the package when it is asked for, or when it has changed and come to rest."""
        wanted = self._desk.wanted() if self._desk is not None else None
        asked, self._asked = self._asked, False
        changed = self._watch.look()
        if wanted is None and not asked and changed is None:
            return
        outcome = self._judge(demanded=asked or wanted is not None)
        if outcome is None:
            self._asked = asked  # it is being written just now: again at the next look
        elif wanted is not None and self._desk is not None:
            self._desk.answer(wanted, outcome)

    def _judge(self, *, demanded: bool) -> Outcome | None:
        """Serve what is at MODEL_PATH if it may be; None when it changed meanwhile."""
        seen, before = signature(self._path), self._served()
        version = before.model.version
        try:
            found = self._successor(before, demanded=demanded)
        except VigieError as error:
            return self._refuse(seen, version, str(error))
        except Exception as error:  # noqa: BLE001 - what a runtime raises at a model it does not know
            return self._refuse(seen, version, f"{self._path}: {type(error).__name__}: {error}")
        if signature(self._path) != seen or self._stopping:
            return None
        self._watch.settle(seen)
        self.refusal = None
        if found is None:
            return Outcome(result="unchanged", before=version, after=version)
        self._adopt(found)
        model = found.model
        reason = f"{model.runtime_name}: {model.runtime_reason}"
        outcome = Outcome(result="reloaded", before=version, after=model.version, reason=reason)
        logger.info("model {}: {}", model.schema.name, outcome)
        return outcome

    def _successor(self, before: ServedModel, *, demanded: bool) -> ServedModel | None:
        """Return the package at MODEL_PATH ready to serve; None when it is the one that is served."""
        if not demanded and read_manifest(self._path) == before.model.manifest:
            return None
        model = load_model(self._path)
        if model.manifest == before.model.manifest:
            return None
        try:
            refuse_other_contract(before.model.schema, model.schema)
        except PackageError as error:
            raise PackageError(f"{self._path}: {error}") from None
        return serve_model(model, self._settings, before.records, figures=before.predictor.figures)

    def _refuse(self, seen: Signature, version: str, reason: str) -> Outcome | None:
        if signature(self._path) != seen:
            return None
        self._watch.settle(seen)
        if reason != self.refusal:  # once, not at every look
            logger.error("the package at MODEL_PATH is not served, {} goes on answering: {}", version, reason)
        self.refusal = reason
        return Outcome(result="refused", before=version, after=version, reason=reason)

    def _open_desk(self) -> ReloadDesk | None:
        try:
            return ReloadDesk(self._settings.api.vigie_home)
        except OSError as error:
            logger.warning("`vigie model reload` will not reach this process: {}", error)
            return None

"""What all pages share, and nothing of a visitor."""

from __future__ import annotations

from dataclasses import dataclass

from gradio.i18n import I18nData

from vigie.model.package import PackageError, notice, read_manifest
from vigie.schema import FeatureSchema
from vigie.settings import Settings
from vigie.ui.api_client import ApiClient
from vigie.ui.drift.reading import DriftReading
from vigie.ui.language import Language
from vigie.ui.logs_api import LogsReader
from vigie.ui.store_reader import StoreReader
from vigie.ui.templates import Templates
from vigie.ui.texts import Texts


@dataclass(frozen=True)
class Site:
    """One per process, used by all visitors at once: what belongs to a visitor lives in the page."""

    settings: Settings
    schema: FeatureSchema
    api: ApiClient
    store: StoreReader
    reader: LogsReader
    drift: DriftReading
    texts: Texts
    templates: Templates

    @classmethod
    def open(cls, settings: Settings, schema: FeatureSchema) -> Site:
        """Return the site of an installation; nothing is connected before a page asks."""
        texts = Texts()
        return cls(
            settings=settings,
            schema=schema,
            api=ApiClient(settings.api),
            store=StoreReader(settings.store),
            reader=LogsReader(settings),
            drift=DriftReading(settings),
            texts=texts,
            templates=Templates(texts),
        )

    def notice(self, language: Language = "en") -> str:
        """Return what the model is not: the package's notice, or untrained the schema's caution."""
        try:
            return notice(self.schema, read_manifest(self.settings.model.model_path), language)
        except PackageError:
            return self.schema.caution.in_language(language)

    def html(self, template: str, /, **values: object) -> I18nData:
        """Return a `template` whose values nobody's visit changes, for a `gr.HTML` of a page."""
        return self.texts.made(lambda language: self.templates.render(language, template, **values))

    async def close(self) -> None:
        """Close the connections."""
        await self.api.close()
        self.store.close()
        self.reader.close()
        self.drift.close()

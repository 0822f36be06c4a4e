"""What the pages say, in English and French: one file per page, one key per text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import yaml
from gradio.i18n import I18nData
from pydantic import TypeAdapter, ValidationError

from vigie.errors import VigieError
from vigie.schema import Text
from vigie.ui.language import LANGUAGES, Language

TEXTS: Final = Path(__file__).with_name("texts")
"""A file for each page: key → {en, fr}; the key of a text in the code is `<file>.<key>`."""
_FILE: Final = TypeAdapter(dict[str, Text])
_MARK: Final = re.compile(r'__i18n__(\{"__type__": "translation_metadata", "key": "[^"]*"\})')
"""How a text stands in the description of a page until it is known who reads it."""


def _read(file: Path) -> dict[str, Text]:
    try:
        return _FILE.validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise VigieError(f"{file}: {error}") from error


class Texts:
    """All texts of the pages. A text is asked by its key; an unknown key raises KeyError."""

    def __init__(self, folder: Path = TEXTS) -> None:
        """Read the files of `folder`; raises VigieError, with file and key, for what is no text."""
        self._texts: dict[str, Text] = {}
        for file in sorted(folder.glob("*.yaml")):
            self._texts |= {f"{file.stem}.{key}": text for key, text in _read(file).items()}

    def __call__(self, key: str) -> I18nData:
        """Return the text for a component, in the language of whoever looks at it."""
        self._texts[key]  # an unknown key is an error here, not an odd word in the page
        return I18nData(key)

    def of(self, text: Text) -> I18nData:
        """Return a text that is declared elsewhere (the schema's labels) for a component."""
        digest = hashlib.sha256(json.dumps([text.en, text.fr]).encode()).hexdigest()[:16]
        key = f"own.{digest}"
        self._texts[key] = text
        return I18nData(key)

    def made(self, make: Callable[[Language], str]) -> I18nData:
        """Return what `make` makes for each language as one text for a component."""
        return self.of(Text(en=make("en"), fr=make("fr")))

    def say(self, language: Language, key: str, /, **values: object) -> str:
        """Return the text with `values` filled in (str.format); raises KeyError for a missing value."""
        text = self._texts[key].in_language(language)
        return text.format_map(values)

    def resolve(self, language: Language, written: str) -> str:
        """Return `written` with every text for components in it replaced by its words."""
        if "__i18n__" not in written:
            return written
        return _MARK.sub(lambda found: self._word(language, found), written)

    def _word(self, language: Language, found: re.Match[str]) -> str:
        text = self._texts.get(json.loads(found[1])["key"])
        return found[0] if text is None else text.in_language(language)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the files' texts."""
        return frozenset(key for key in self._texts if not key.startswith("own."))

    def words(self, language: Language, page: str = "") -> Mapping[str, str]:
        """Return the texts of one page's file, or of all, for what reaches a page after it was drawn."""
        wanted = (key for key in self.keys if not page or key.startswith(f"{page}."))
        return {key: self._texts[key].in_language(language) for key in sorted(wanted)}

    def both(self, key: str) -> dict[Language, str]:
        """Return the text in each language."""
        return {language: self._texts[key].in_language(language) for language in LANGUAGES}


def sentence(text: str) -> str:
    """Return `text` with a capital at its beginning and a full stop at its end."""
    capital = text[:1].upper() + text[1:]
    return capital if capital.endswith(".") else f"{capital}."

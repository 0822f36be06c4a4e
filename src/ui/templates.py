"""HTML made by the server: templates in files, everything that is filled in is escaped."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vigie.ui.language import Language
from vigie.ui.numbers import number, percent
from vigie.ui.texts import Texts

TEMPLATES: Final = Path(__file__).with_name("templates")


class Templates:
    """The templates of `templates/<page>/`; `t("page.key")` in one is that text in the reader's language."""

    def __init__(self, texts: Texts, folder: Path = TEMPLATES) -> None:
        self._texts = texts
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, language: Language, name: str, /, **values: object) -> str:
        """Return the template `name` for a reader of `language`.

        Raises TemplateNotFound, UndefinedError for a value that is missing, KeyError for an unknown text.
        """
        return self._environment.get_template(name).render(
            values,
            t=partial(self._texts.say, language),
            number=partial(number, language),
            percent=partial(percent, language),
            language=language,
        )

"""What is said about a file, as a text's key and the values in it: the page says it in its language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vigie.errors import VigieError


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text's key, and what goes into the text."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)


class FileFaultError(VigieError):
    """A file cannot be used; `sentence` says what is wrong, where, and what to do."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.sentence = Sentence(key, values)

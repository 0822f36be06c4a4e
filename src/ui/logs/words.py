"""The little language of the search box: words, "phrases", beginnings*, and -what is not there.

One reading of it makes the store's query and judges an entry that is not stored yet, so that a search and
what arrives while it is open agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

FIELDS: Final = ("message", "exception")
"""Fields that are searched, all of them analysed texts."""
MOST_TERMS: Final = 20
_TERM: Final = re.compile(r'(?P<no>-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that has to be in an entry's texts, or must not be there."""

    words: tuple[str, ...]
    """In lower case; they stand side by side in a phrase."""
    phrase: bool = False
    beginning: bool = False
    """Whether something that begins with the (only) word is enough."""
    negated: bool = False

    def query(self) -> dict[str, Any]:
        """Return it in the store's query language."""
        return {"bool": {"should": [self._in(field) for field in FIELDS], "minimum_should_match": 1}}

    def _in(self, field: str) -> dict[str, Any]:
        if self.beginning:
            return {"prefix": {field: self.words[0]}}
        text = " ".join(self.words)
        if self.phrase:
            return {"match_phrase": {field: text}}
        return {"match": {field: {"query": text, "operator": "and"}}}

    def is_in(self, words: Sequence[str]) -> bool:
        """Return whether it is among the `words` of a text, whatever `negated` says."""
        if self.beginning:
            return any(word.startswith(self.words[0]) for word in words)
        if self.phrase:
            length = len(self.words)
            return any(tuple(words[at : at + length]) == self.words for at in range(len(words)))
        return set(self.words) <= set(words)


def terms_of(text: str) -> list[Term]:
    """Return what a search box's text asks for, at most MOST_TERMS; what has no word in it asks nothing."""
    found = (_term(match) for match in _TERM.finditer(text))
    return [term for term in found if term is not None][:MOST_TERMS]


def _term(match: re.Match[str]) -> Term | None:
    word = match["word"]
    words = tuple(words_of(match["phrase"] if word is None else word))
    if not words:
        return None
    beginning = word is not None and word.endswith("*") and len(words) == 1
    return Term(words, word is None, beginning, match["no"] is not None)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, much as the store's analysis has them."""
    return _WORD.findall(text.lower())


def clauses(terms: Sequence[Term]) -> Iterator[dict[str, Any]]:
    """Yield the conditions in the store's query language."""
    yield from (term.query() for term in terms if not term.negated)
    unwanted = [term.query() for term in terms if term.negated]
    if unwanted:
        yield {"bool": {"must_not": unwanted}}


def fit(terms: Sequence[Term], texts: Sequence[str]) -> bool:
    """Return whether an entry with these texts is what `terms` ask for."""
    worded = [words_of(text) for text in texts]
    return all(any(term.is_in(words) for words in worded) != term.negated for term in terms)

"""Queries over analysed text: match, phrase, and the simple query string's little language."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import tantivy

from vigie.store.columns import STANDARD_ANALYZER, Column
from vigie.store.errors import illegal_argument
from vigie.store.generation import Generation

Query = tantivy.Query
_Must, _Should, _MustNot = tantivy.Occur.Must, tantivy.Occur.Should, tantivy.Occur.MustNot
FieldQuery = Callable[[str, str], Query]


def term_of_text(value: object) -> str:
    """Return a query's value as the text that Elasticsearch compares: numbers and booleans as in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)) or value is None:
        raise illegal_argument(f"a value is needed, not [{orjson.dumps(value).decode()}]")
    return orjson.dumps(value).decode()


def match_query(column: Column, text: str, operator: str, generation: Generation) -> Query:
    """Return the query of documents with any (`or`) or all (`and`) of the text's words."""
    words = STANDARD_ANALYZER.analyze(text)
    if not words:
        return Query.empty_query()
    occur = _Must if operator == "and" else _Should
    return Query.boolean_query(
        [(occur, Query.term_query(generation.schema, column.name, word)) for word in words]
    )


def phrase_query(column: Column, text: str, slop: int, generation: Generation) -> Query:
    """Return the query of documents with the text's words in their order, at most `slop` moves apart."""
    words = STANDARD_ANALYZER.analyze(text)
    if len(words) < 2:
        return match_query(column, text, "and", generation)
    return Query.phrase_query(generation.schema, column.name, list(words), slop)


class _SimpleParser:
    """Recursive descent over `+ | - "phrase" prefix* ( )`; what makes no sense is skipped, as Elasticsearch
    does.

    Operators bind from left to right without precedence.
    """

    def __init__(self, text: str, operator: str, word: Callable[[str, str], Query | None]) -> None:
        self._text = text
        self._position = 0
        self._default = "+" if operator == "and" else "|"
        self._word = word

    def parse(self) -> Query | None:
        """Return the query of the text up to a closing parenthesis; None when nothing is in it."""
        state: Query | None = None
        joined_by = ""
        while self._position < len(self._text):
            character = self._text[self._position]
            if character in "+|":
                joined_by = character
                self._position += 1
            elif character.isspace():
                self._position += 1
            elif character == ")":
                self._position += 1
                break
            else:
                operand = self._operand()
                if operand is not None:
                    state = _joined(state, operand, joined_by or self._default)
                joined_by = ""
        return state

    def _operand(self) -> Query | None:
        negated = False
        while self._position < len(self._text) and self._text[self._position] == "-":
            negated = not negated
            self._position += 1
        if self._position >= len(self._text):
            return None
        character = self._text[self._position]
        if character == "(":
            self._position += 1
            query = self.parse()
        elif character == '"':
            query = self._word("phrase", self._until_quote())
        else:
            token = self._token()
            query = self._word("prefix", token[:-1]) if token.endswith("*") and len(token) > 1 else None
            query = query or (self._word("word", token.replace("\\", "")) if token else None)
        if query is None or not negated:
            return query
        return Query.boolean_query([(_Must, Query.all_query()), (_MustNot, query)])

    def _until_quote(self) -> str:
        end = self._text.find('"', self._position + 1)
        text = self._text[self._position + 1 : end if end >= 0 else None]
        self._position = end + 1 if end >= 0 else len(self._text)
        return text

    def _token(self) -> str:
        start = self._position
        while self._position < len(self._text):
            character = self._text[self._position]
            if character == "\\":
                self._position += 1
            elif character.isspace() or character in '+|()"':
                break
            self._position += 1
        if self._position == start:
            self._position += 1
        return self._text[start : min(self._position, len(self._text))]


def _joined(state: Query | None, operand: Query, operator: str) -> Query:
    if state is None:
        return operand
    occur = _Must if operator == "+" else _Should
    return Query.boolean_query([(occur, state), (occur, operand)])


def simple_query_string(
    text: str,
    operator: str,
    columns: list[Column],
    generation: Generation,
    term: FieldQuery,
    prefix: FieldQuery,
) -> Query:
    """Return the query of a simple query string over several fields, any of which may match each word.

    `term` and `prefix` build the queries of fields that are not analysed.
    """

    def in_column(kind: str, part: str, column: Column) -> Query | None:
        if kind == "prefix":
            return prefix(column.field.path, part.lower() if column.kind == "text" else part)
        if column.kind != "text":
            return term(column.field.path, part)
        if kind == "phrase":
            return phrase_query(column, part, 0, generation)
        return match_query(column, part, operator, generation) if STANDARD_ANALYZER.analyze(part) else None

    def word(kind: str, part: str) -> Query | None:
        found = [query for column in columns if (query := in_column(kind, part, column)) is not None]
        if not found:
            return None if columns else Query.empty_query()
        return found[0] if len(found) == 1 else Query.boolean_query([(_Should, query) for query in found])

    return _SimpleParser(text, operator, word).parse() or Query.empty_query()

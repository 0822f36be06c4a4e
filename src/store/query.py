"""Elasticsearch's query DSL, compiled to tantivy queries for one generation of an index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import tantivy

from vigie.store import ranges
from vigie.store.catalog import matches
from vigie.store.columns import ID, PRESENT, Column, encode_term
from vigie.store.errors import JsonObject, ShardError, StoreError, illegal_argument, parsing, unknown_field
from vigie.store.full_text import match_query, phrase_query, simple_query_string, term_of_text
from vigie.store.query_context import QueryContext, any_of

_BOOL_KEYS = frozenset({"must", "filter", "should", "must_not", "minimum_should_match", "boost"})
# One UTF-8 character in hexadecimal, by its first digit: one to four bytes.
_ANY_CHARACTER = "(?:[0-7].|[cd].{3}|e.{5}|f.{7})"

Query = tantivy.Query
Must, Should, MustNot = tantivy.Occur.Must, tantivy.Occur.Should, tantivy.Occur.MustNot


def compile_query(source: object, context: QueryContext) -> Query:
    """Return the tantivy query of a DSL query.

    Raises a StoreError with the type Elasticsearch has for it, and for each clause or parameter not
    supported.
    """
    if not isinstance(source, dict):
        raise parsing("[_na] query malformed, no start_object after query name")
    if not source:
        raise illegal_argument("query malformed, empty clause found")
    name, body = next(iter(source.items()))
    if len(source) > 1:
        raise parsing(f"[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]")
    compiler = _COMPILERS.get(name)
    if compiler is None:
        raise parsing(f"unknown query [{name}]")
    if not isinstance(body, dict):
        raise parsing(f"[{name}] query malformed, no start_object after query name")
    return compiler(body, context)


def exists(path: str, context: QueryContext) -> Query:
    """Return the query of documents that have a value of that field, or of any field of that object."""
    column = context.column(path)
    if column is None:
        return any_of(
            [exists(field.path, context) for field in context.generation.mapping.object_fields(path)]
        )
    if column.kind == "text":
        return Query.term_query(context.generation.schema, PRESENT, column.name)
    return Query.exists_query(column.name)


def _match_all(body: JsonObject, _: QueryContext) -> Query:
    _only("match_all", body, "boost")
    return Query.all_query()


def _match_none(body: JsonObject, _: QueryContext) -> Query:
    _only("match_none", body)
    return Query.empty_query()


def _bool(body: JsonObject, context: QueryContext) -> Query:
    for key in body:
        if key not in _BOOL_KEYS:
            raise unknown_field("bool", key)
    clauses = [(Must, compile_query(part, context)) for part in _listed(body.get("must"))]
    filters = [compile_query(part, context) for part in _listed(body.get("filter"))]
    clauses += [(Must, Query.const_score_query(part, 0.0)) for part in filters]
    required = bool(clauses)
    clauses += [(MustNot, compile_query(part, context)) for part in _listed(body.get("must_not"))]
    shoulds = [(Should, compile_query(part, context)) for part in _listed(body.get("should"))]
    wanted = _minimum_should_match(body.get("minimum_should_match"), len(shoulds), required)
    if wanted > len(shoulds):
        return Query.empty_query()
    if not required and wanted == 0:
        clauses.append((Must, Query.const_score_query(Query.all_query(), 0.0 if shoulds else 1.0)))
    return Query.boolean_query(clauses + shoulds, minimum_number_should_match=wanted)


def _minimum_should_match(given: object, count: int, required: bool) -> int:
    if given is None:
        return 0 if required or count == 0 else 1
    match = re.fullmatch(r"(-?\d+)(%?)", str(given), re.ASCII)
    if match is None:
        raise illegal_argument(f"[minimum_should_match] of [{given}] is not supported by this store")
    number = int(match[1])
    if match[2]:
        number = -(-number * count // 100) if number < 0 else number * count // 100
    return max(0, count + number if match[1].startswith("-") else number)


def _listed(part: object) -> list[object]:
    if part is None:
        return []
    return part if isinstance(part, list) else [part]


def _only(query: str, body: JsonObject, *allowed: str) -> None:
    for key in body:
        if key not in allowed:
            raise unknown_field(query, key)


def one_field(query: str, body: JsonObject, value_key: str, *options: str) -> tuple[str, JsonObject]:
    """Return field and parameters of a query written `{field: value}` or `{field: {value_key: value, …}}`."""
    fields = [name for name in body if name not in ("boost", "_name")]
    if len(fields) != 1 or len(fields) != len(body):
        found = " and ".join(f"[{name}]" for name in body) or "none"
        raise parsing(f"[{query}] query doesn't support multiple fields, found {found}")
    value = body[fields[0]]
    parameters = value if isinstance(value, dict) else {value_key: value}
    if isinstance(parameters.get(value_key), list):
        raise parsing(f"[{query}] query does not support array of values")
    for key in parameters:
        if key not in (value_key, "boost", *options):
            raise parsing(f"[{query}] query does not support [{key}]")
    if parameters.get(value_key) is None and value_key:
        raise illegal_argument(f"value cannot be null or missing in [{query}] of field [{fields[0]}]")
    return fields[0], parameters


def _term(body: JsonObject, context: QueryContext) -> Query:
    field, parameters = one_field("term", body, "value")
    return term(field, parameters["value"], context)


def term(path: str, value: object, context: QueryContext) -> Query:
    """Return the query of documents that have this value of the field."""
    if path == ID:
        return Query.term_query(context.generation.schema, ID, str(value))
    if path == "_index":
        return Query.all_query() if matches(str(value), context.index) else Query.empty_query()
    column = context.column(path)
    if column is None:
        return Query.empty_query()
    if column.kind == "keyword":
        return Query.term_query(context.generation.schema, column.name, encode_term(term_of_text(value)))
    if column.kind == "text":
        return Query.term_query(context.generation.schema, column.name, term_of_text(value))
    return ranges.equal_to(column, value, context.generation, context.now)


def _terms(body: JsonObject, context: QueryContext) -> Query:
    fields = [name for name in body if name != "boost"]
    if len(fields) != 1:
        raise parsing("[terms] query requires exactly one field")
    field, values = fields[0], body[fields[0]]
    if not isinstance(values, list):
        raise parsing(f"[terms] query does not support [{field}]")
    column = context.column(field)
    if field == ID:
        return Query.term_set_query(context.generation.schema, ID, [str(value) for value in values])
    if column is not None and column.kind in ("keyword", "text"):
        texts = [term_of_text(value) for value in values]
        terms = [encode_term(text) for text in texts] if column.kind == "keyword" else texts
        return Query.const_score_query(
            Query.term_set_query(context.generation.schema, column.name, terms), 1.0
        )
    return any_of([term(field, value, context) for value in values])


def _range(body: JsonObject, context: QueryContext) -> Query:
    field, parameters = one_field(
        "range", body, "", "gt", "gte", "lt", "lte", "from", "to", "include_lower", "include_upper", "format",
        "time_zone", "relation",
    )  # fmt: skip
    if not isinstance(body[field], dict):
        raise parsing("[range] query malformed, no start_object after query name")
    column = context.column(field)
    bounds = ranges.bounds_of(parameters)
    if column is None:
        return Query.empty_query()
    return Query.const_score_query(ranges.between(column, bounds, context.generation, context.now), 1.0)


def _exists(body: JsonObject, context: QueryContext) -> Query:
    _only("exists", body, "field", "boost")
    if not isinstance(body.get("field"), str):
        raise parsing("[exists] must be provided with a [field]")
    return Query.const_score_query(exists(body["field"], context), 1.0)


def _ids(body: JsonObject, context: QueryContext) -> Query:
    _only("ids", body, "values", "boost")
    values = [str(value) for value in _listed(body.get("values"))]
    return Query.const_score_query(Query.term_set_query(context.generation.schema, ID, values), 1.0)


def _prefix(body: JsonObject, context: QueryContext) -> Query:
    field, parameters = one_field("prefix", body, "value")
    return prefix(field, str(parameters["value"]), context)


def prefix(path: str, text: str, context: QueryContext) -> Query:
    """Return the query of documents with a term of the field that begins so."""
    column = _term_column("prefix", path, context)
    if column is None:
        return Query.empty_query()
    start = encode_term(text) if column.kind == "keyword" else _escaped(text)
    return Query.regex_query(context.generation.schema, column.name, f"(?s){start}.*")


def _wildcard(body: JsonObject, context: QueryContext) -> Query:
    field, parameters = one_field("wildcard", body, "value", "wildcard")
    column = _term_column("wildcard", field, context)
    if column is None:
        return Query.empty_query()
    keyword = column.kind == "keyword"
    pattern = "x" if keyword else ""
    for kind, character in _wildcard_parts(str(parameters.get("value", parameters.get("wildcard")))):
        if kind == "*":
            pattern += ".*" if not keyword else "(?:..)*"
        elif kind == "?":
            pattern += _ANY_CHARACTER if keyword else "."
        else:
            pattern += encode_term(character)[1:] if keyword else _escaped(character)
    return Query.regex_query(context.generation.schema, column.name, f"(?s){pattern}")


def _wildcard_parts(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield (`*`, ), (`?`, ) or (``, character), a backslash making the next character ordinary."""
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            yield "", next(characters, "\\")
        else:
            yield (character, "") if character in "*?" else ("", character)


def _term_column(query: str, path: str, context: QueryContext) -> Column | None:
    column = context.column(path)
    if column is not None and column.kind not in ("keyword", "text"):
        raise ShardError(
            "query_shard_exception",
            f"Can only use {query} queries on keyword, text and wildcard fields - not on [{path}] which is "
            f"of type [{column.field.type}]",
            index=context.index,
        )
    return column


def _escaped(text: str) -> str:
    return "".join(part if part.isalnum() or part == "_" else f"\\x{{{ord(part):x}}}" for part in text)


def _match(body: JsonObject, context: QueryContext) -> Query:
    field, parameters = one_field("match", body, "query", "operator")
    column = context.column(field)
    operator = str(parameters.get("operator", "or")).lower()
    if operator not in ("or", "and"):
        raise illegal_argument(f"operator needs to be either AND or OR, but not [{operator}]")
    if column is None or column.kind != "text":
        return term(field, parameters["query"], context)
    return match_query(column, term_of_text(parameters["query"]), operator, context.generation)


def _match_phrase(body: JsonObject, context: QueryContext) -> Query:
    field, parameters = one_field("match_phrase", body, "query", "slop")
    column = context.column(field)
    if column is None or column.kind != "text":
        return term(field, parameters["query"], context)
    return phrase_query(
        column, term_of_text(parameters["query"]), parameters.get("slop", 0), context.generation
    )


def _simple_query_string(body: JsonObject, context: QueryContext) -> Query:
    _only("simple_query_string", body, "query", "fields", "default_operator", "boost")
    if not isinstance(body.get("query"), str):
        raise parsing("[simple_query_string] query text missing")
    fields = body.get("fields")
    if not isinstance(fields, list) or not fields:
        raise StoreError(
            400, "parsing_exception", "[simple_query_string] without [fields] is not supported by this store"
        )
    operator = str(body.get("default_operator", "or")).lower()
    paths = [path for path in context.generation.columns if any(matches(str(part), path) for part in fields)]
    return simple_query_string(
        body["query"],
        operator,
        [context.generation.columns[path] for path in paths],
        context.generation,
        lambda path, text: term(path, text, context),
        lambda path, text: prefix(path, text, context),
    )


_COMPILERS: dict[str, Callable[[JsonObject, QueryContext], Query]] = {
    "match_all": _match_all,
    "match_none": _match_none,
    "bool": _bool,
    "term": _term,
    "terms": _terms,
    "range": _range,
    "exists": _exists,
    "ids": _ids,
    "prefix": _prefix,
    "wildcard": _wildcard,
    "match": _match,
    "match_phrase": _match_phrase,
    "simple_query_string": _simple_query_string,
}

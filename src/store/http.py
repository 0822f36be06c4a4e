"""HTTP as Elasticsearch speaks it: media types, parameters, bodies, and the call that handlers get."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

import orjson

from vigie.store.engine import Engine
from vigie.store.errors import JsonObject, StoreError, illegal_argument
from vigie.store.index import StoreIndex

# Elasticsearch's default of http.max_content_length.
MAX_BODY_BYTES = 100 * 1024 * 1024
JSON_TYPE = "application/json"
COMPATIBLE_JSON_TYPE = "application/vnd.elasticsearch+json;compatible-with=8"
_BODY_TYPES = frozenset(
    {
        "application/json",
        "application/x-ndjson",
        "application/vnd.elasticsearch+json",
        "application/vnd.elasticsearch+x-ndjson",
    }
)
# Parameters that every request takes; they change how an answer is printed, or how long a cluster may take.
COMMON_PARAMETERS = frozenset({"pretty", "human", "error_trace", "timeout", "master_timeout"})
INDICES_PARAMETERS = frozenset({"ignore_unavailable", "allow_no_indices", "expand_wildcards"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status and JSON body (None: no body)."""

    status: int
    body: object = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as its handler sees it: path variables, query parameters and the raw body."""

    engine: Engine
    executor: Executor
    variables: dict[str, str]
    parameters: dict[str, str]
    body: bytes

    def json(self) -> JsonObject:
        """Return the body as a JSON object, empty when there is none. Raises for anything else."""
        if not self.body.strip():
            return {}
        try:
            content = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise StoreError(400, "x_content_parse_exception", str(error)) from error
        if not isinstance(content, dict):
            raise StoreError(400, "parsing_exception", "the request body must be a JSON object")
        return content

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean parameter. Raises when it is neither true nor false."""
        value = self.parameters.get(name)
        if value is None:
            return default
        if value not in ("", "true", "false"):
            raise illegal_argument(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")
        return value != "false"

    def names(self, expression: str | None = None) -> list[str]:
        """Return the indices that the path's index expression (or the given one) stands for."""
        return self.engine.catalog.resolve(
            self.variables.get("index", "") if expression is None else expression,
            ignore_unavailable=self.flag("ignore_unavailable", False),
            allow_no_indices=self.flag("allow_no_indices", True),
        )

    def indices(self, expression: str | None = None) -> list[StoreIndex]:
        """Return those indices, opened."""
        return [self.engine.index(name) for name in self.names(expression)]


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """Methods, path template (`{name}` for a variable), handler, and the parameters it takes."""

    methods: tuple[str, ...]
    template: str
    handler: Handler
    parameters: frozenset[str] = frozenset()

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Return the path variables when the path fits the template."""
        parts = self.template.strip("/").split("/")
        if len(parts) != len(segments):
            return None
        variables: dict[str, str] = {}
        for part, segment in zip(parts, segments, strict=True):
            if part.startswith("{"):
                variables[part[1:-1]] = segment
            elif part != segment:
                return None
        return variables


def path_segments(raw_path: bytes) -> list[str]:
    """Return the decoded parts of a path; an encoded slash stays inside its part."""
    return [unquote(part) for part in raw_path.decode("ascii").split("?")[0].strip("/").split("/")]


def query_parameters(query: bytes) -> dict[str, str]:
    """Return the parameters of a query string, the last value of each name."""
    return dict(parse_qsl(query.decode("ascii"), keep_blank_values=True))


def check_parameters(path: str, given: dict[str, str], allowed: frozenset[str]) -> None:
    """Raise for the first parameter that the request does not take here."""
    for name in given:
        if name not in allowed and name not in COMMON_PARAMETERS:
            raise illegal_argument(
                f"request [{path}] contains unrecognized parameter: [{name}] (or one not supported by this "
                "store)"
            )
    if given.get("expand_wildcards", "open") not in ("open", "all", "open,hidden"):
        raise illegal_argument(
            f"[expand_wildcards] of [{given['expand_wildcards']}] is not supported by this store"
        )


def check_content_type(value: str) -> None:
    """Raise a 406 for a body of another media type than JSON."""
    if value.split(";", maxsplit=1)[0].strip().lower() not in _BODY_TYPES:
        raise StoreError(
            406, "media_type_header_exception", f"Content-Type header [{value}] is not supported"
        )


def decoded_body(body: bytes, encoding: str) -> bytes:
    """Return a body without its content encoding (gzip or none). Raises for another, or for a broken one."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise illegal_argument(f"Content-Encoding [{encoding}] is not supported by this store")
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise illegal_argument(f"the gzip body cannot be read: {error}") from error

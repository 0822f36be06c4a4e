"""Errors of the store: those answered over HTTP in Elasticsearch's shape, and those told to a person."""

from __future__ import annotations

from typing import Any

from vigie.errors import VigieError

JsonObject = dict[str, Any]


class StoreLockedError(VigieError):
    """The data directory belongs to another running store."""


class PortInUseError(VigieError):
    """The address that the store should listen on is taken."""


class NotLoopbackError(VigieError):
    """The store was asked to listen on an address that other machines can reach."""


class StoreError(Exception):
    """A refusal with Elasticsearch's status, error type and reason.

    `details` are further members of the error object (for example `index`), `caused_by` its cause.
    """

    def __init__(
        self,
        status: int,
        error_type: str,
        reason: str,
        *,
        details: JsonObject | None = None,
        caused_by: JsonObject | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.error_type = error_type
        self.reason = reason
        self.details = details or {}
        self.caused_by = caused_by

    def as_object(self) -> JsonObject:
        """Return the error object as it stands in a bulk item: type, reason, details, cause."""
        body: JsonObject = {"type": self.error_type, "reason": self.reason, **self.details}
        if self.caused_by is not None:
            body["caused_by"] = self.caused_by
        return body

    def body(self) -> JsonObject:
        """Return the whole response body: error with its root cause, and the status."""
        error = self.as_object()
        root = {name: value for name, value in error.items() if name != "caused_by"}
        return {"error": {"root_cause": [root], **error}, "status": self.status}


class ShardError(StoreError):
    """A refusal that Elasticsearch finds only while searching, and wraps as a failure of all shards."""

    def __init__(
        self, error_type: str, reason: str, *, index: str = "", caused_by: JsonObject | None = None
    ) -> None:
        details = {"index": index} if index else {}
        super().__init__(400, error_type, reason, details=details, caused_by=caused_by)

    def body(self) -> JsonObject:
        """Return the response body of a search of which every shard failed for this reason."""
        cause = self.as_object()
        failed = [{"shard": 0, "index": self.details.get("index"), "node": "vigie", "reason": cause}]
        error = {
            "root_cause": [{name: value for name, value in cause.items() if name != "caused_by"}],
            "type": "search_phase_execution_exception",
            "reason": "all shards failed",
            "phase": "query",
            "grouped": True,
            "failed_shards": failed,
            "caused_by": cause,
        }
        return {"error": error, "status": self.status}


def illegal_argument(reason: str) -> StoreError:
    """Return a 400 illegal_argument_exception."""
    return StoreError(400, "illegal_argument_exception", reason)


def parsing(reason: str) -> StoreError:
    """Return a 400 parsing_exception: the request's JSON is not a query or search we know."""
    return StoreError(400, "parsing_exception", reason)


def unknown_field(owner: str, name: str) -> StoreError:
    """Return the 400 for a parameter that `owner` does not have or that this store does not support."""
    return StoreError(
        400, "x_content_parse_exception", f"[{owner}] unknown field [{name}] (or not supported by this store)"
    )


def index_not_found(name: str) -> StoreError:
    """Return the 404 for an index or alias that does not exist."""
    details = {"resource.type": "index_or_alias", "resource.id": name, "index_uuid": "_na_", "index": name}
    return StoreError(404, "index_not_found_exception", f"no such index [{name}]", details=details)


def require_keys(owner: str, given: JsonObject, allowed: frozenset[str]) -> None:
    """Raise for the first key of `given` that is not `allowed`."""
    for name in given:
        if name not in allowed:
            raise unknown_field(owner, name)

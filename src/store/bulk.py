"""Writing documents: the bulk request's lines, each checked on its own, and single documents."""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import orjson

from vigie.store.column_plan import Values
from vigie.store.engine import Engine
from vigie.store.errors import JsonObject, StoreError, illegal_argument, index_not_found
from vigie.store.generation import Generation
from vigie.store.index import Operation, StoreIndex, Written

_ACTIONS = ("create", "index", "delete")
_ONLY_AT = (("index", "if_seq_no"), ("index", "if_primary_term"))
_NEVER = 1 << 62
"""A sequence number that no document has: this store's primary term is always 1."""
_MAX_ID_BYTES = 512
_STATUS = {"created": 201, "updated": 200, "deleted": 200, "not_found": 404}

_PATHS = frozenset({"errors", "took", "items.*.status", "items.*.error"})
"""What may be asked for by filter_path."""
_TAKEN: dict[tuple[str, str], JsonObject] = {
    (action, result): {action: {"status": status}}
    for action in _ACTIONS
    for result, status in _STATUS.items()
}


@dataclass(slots=True)
class _Item:
    action: str
    index: str
    doc_id: str
    source: bytes = b""
    id_is_new: bool = False
    only_at: int | None = None
    error: StoreError | None = None
    written: Written | None = None


@dataclass(slots=True)
class _Group:
    """The items that go to one store index."""

    index: StoreIndex
    generation: Generation
    items: list[_Item] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)


def bulk(
    engine: Engine,
    body: bytes,
    default_index: str | None,
    executor: Executor | None,
    *,
    refreshed: bool,
    wanted: Sequence[str] = (),
) -> JsonObject:
    """Execute a bulk request and return its response, when all that it wrote is durable.

    `body` is newline-delimited JSON; `executor` runs the writes to several indices side by side. An item
    that is refused has its own status and error; the request as a whole is refused only when its lines make
    no sense. `wanted` are paths of the response (filter_path) without which it is whole.
    """
    started = time.perf_counter()
    shown = _shown(wanted)
    items = list(_parse(body, default_index))
    if not items:
        raise StoreError(400, "parse_exception", "request body is required")
    _execute(engine, items, executor)
    answer: JsonObject = {
        "errors": any(item.error is not None for item in items),
        "took": int((time.perf_counter() - started) * 1000),
    }
    if shown is None:
        return {**answer, "items": [_answer(item, refreshed) for item in items]}
    answer = {name: value for name, value in answer.items() if name in wanted}
    verdicts = [verdict for item in items if (verdict := _verdict(item, shown))]
    return {**answer, "items": verdicts} if verdicts else answer


def write_one(
    engine: Engine, action: str, index: str, doc_id: str | None, source: bytes
) -> tuple[int, JsonObject]:
    """Write one document (`action` create, index or delete) and return status and response body.

    Raises the StoreError that a bulk would put into the item.
    """
    problem = _problem(action, index, doc_id)
    if problem:
        raise StoreError(400, "action_request_validation_exception", f"Validation Failed: 1: {problem};")
    item = _Item(action, index, doc_id or _new_id(), source, id_is_new=doc_id is None)
    if action != "delete" and not source:
        raise StoreError(400, "parse_exception", "request body is required")
    _execute(engine, [item], None)
    if item.error is not None:
        raise item.error
    answer: JsonObject = _answer(item, refreshed=False)[action]
    return answer.pop("status"), answer


def _parse(body: bytes, default_index: str | None) -> Iterator[_Item]:
    if body and not body.endswith(b"\n"):
        raise illegal_argument("The bulk request must be terminated by a newline [\\n]")
    lines = body.split(b"\n")
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if not line.strip():
            continue
        item = _parse_action(line, position, default_index)
        if item.action != "delete":
            if position >= len(lines) - 1:
                raise illegal_argument("The bulk request must be terminated by a newline [\\n]")
            item.source = lines[position]
            position += 1
        yield item


def _parse_action(line: bytes, number: int, default_index: str | None) -> _Item:
    try:
        action, metadata = next(iter(orjson.loads(line).items()))
    except (orjson.JSONDecodeError, AttributeError, StopIteration) as error:
        raise illegal_argument(f"Malformed action/metadata line [{number}], expected START_OBJECT") from error
    if action not in _ACTIONS:
        raise illegal_argument(
            f"Malformed action/metadata line [{number}], expected field [create], [delete] or [index] but "
            "found "
            f"[{action}]" + (" (update is not supported by this store)" if action == "update" else "")
        )
    if not isinstance(metadata, dict):
        raise illegal_argument(f"Malformed action/metadata line [{number}], expected START_OBJECT")
    for key in metadata:
        if key not in ("_index", "_id") and (action, key) not in _ONLY_AT:
            raise illegal_argument(f"Action/metadata line [{number}] contains an unknown parameter [{key}]")
    index = metadata.get("_index", default_index)
    doc_id = metadata.get("_id")
    problem = _problem(action, index, doc_id)
    if problem:
        raise StoreError(400, "action_request_validation_exception", f"Validation Failed: 1: {problem};")
    item = _Item(action, str(index), _new_id() if doc_id is None else str(doc_id), id_is_new=doc_id is None)
    if not item.doc_id:
        item.error = illegal_argument("if _id is specified it must not be empty")
    item.only_at = _only_at(metadata)
    return item


def _only_at(metadata: JsonObject) -> int | None:
    """Return the sequence number that the document must have; None when any will do."""
    sequence, term = metadata.get("if_seq_no"), metadata.get("if_primary_term")
    if sequence is None and term is None:
        return None
    if not isinstance(sequence, int) or not isinstance(term, int) or sequence < 0 or term < 1:
        raise StoreError(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: if_seq_no and if_primary_term go together: numbers from 0 and from 1 on;",
        )
    return sequence if term == 1 else _NEVER


def _problem(action: str, index: object, doc_id: object) -> str:
    """Return what makes an action, and with it the whole request, invalid; nothing when it is valid."""
    if not index:
        return "index is missing"
    if doc_id is None:
        return "id is missing" if action == "delete" else ""
    size = len(str(doc_id).encode())
    return (
        f"id is too long, must be no longer than {_MAX_ID_BYTES} bytes but was: {size}"
        if size > _MAX_ID_BYTES
        else ""
    )


def _new_id() -> str:
    return urlsafe_b64encode(time.time_ns().to_bytes(8, "big")[1:] + os.urandom(8)).decode()


def _document(source: bytes) -> JsonObject:
    """Return the document of that text. Raises the 400 of the item."""
    try:
        document = orjson.loads(source)
    except orjson.JSONDecodeError as error:
        cause = {"type": "x_content_parse_exception", "reason": str(error)}
        raise StoreError(
            400, "document_parsing_exception", f"failed to parse: {error}", caused_by=cause
        ) from error
    if not isinstance(document, dict):
        raise StoreError(400, "document_parsing_exception", "Malformed content, must start with an object")
    return document


def _execute(engine: Engine, items: list[_Item], executor: Executor | None) -> None:
    groups: dict[str, _Group | StoreError] = {}
    for item in items:
        if item.error is None:
            _prepare(engine, item, groups)
    writing = list({id(group): group for group in groups.values() if isinstance(group, _Group)}.values())
    if executor is None or len(writing) < 2:
        for group in writing:
            _write_group(group)
    else:
        list(executor.map(_write_group, writing))


def _prepare(engine: Engine, item: _Item, groups: dict[str, _Group | StoreError]) -> None:
    """Put the item into its group, checked; its document's JSON is read here, and gone when this returns."""
    values: Values | None = None
    try:
        document = None if item.action == "delete" else _document(item.source)
        group = _group_of(engine, item, groups)
        item.index = group.index.name
        if document is not None:
            values = group.generation.plan.values(document, item.doc_id)
    except StoreError as error:
        item.error = error
        return
    group.items.append(item)
    group.operations.append(
        Operation(
            item.action, item.doc_id, item.source, values, group.generation, item.id_is_new, item.only_at
        )
    )


def _group_of(engine: Engine, item: _Item, groups: dict[str, _Group | StoreError]) -> _Group:
    if item.action == "delete" and engine.catalog.write_target(item.index) is None:
        raise index_not_found(item.index)
    group = groups.get(item.index)
    if group is None:
        try:
            index = engine.ensure_index(item.index)
            # The same group for the index under its own name and under an alias keeps the items' order.
            group = next((g for g in groups.values() if isinstance(g, _Group) and g.index is index), None)
            group = group or _Group(index, index.generations[-1])
        except StoreError as error:
            group = error
        groups[item.index] = group
    if isinstance(group, StoreError):
        raise group
    return group


def _write_group(group: _Group) -> None:
    try:
        outcome = group.index.write(group.operations)
    except Exception as error:  # noqa: BLE001 - told to the client per item, as retriable
        refused = StoreError(
            503, "unavailable_shards_exception", f"[{group.index.name}] the write failed: {error}"
        )
        for item in group.items:
            item.error = refused
        return
    for item, written in zip(group.items, outcome, strict=True):
        if written.result == "conflict":
            item.error = StoreError(
                409,
                "version_conflict_engine_exception",
                f"[{item.doc_id}]: version conflict, "
                + (
                    f"document already exists (current version [{written.version}])"
                    if item.only_at is None
                    else f"required seqNo [{item.only_at}], primary term [1], and it is another"
                ),
                details={"shard": "0", "index": item.index},
            )
        else:
            item.written = written


def _shown(wanted: Sequence[str]) -> frozenset[str] | None:
    """Return which members of each item are wanted; None when all are. Raises for a path not known here."""
    for path in wanted:
        if path not in _PATHS:
            raise illegal_argument(f"[filter_path] of [{path}] is not supported by this store")
    return frozenset(path.rpartition(".")[2] for path in wanted if "*" in path) if wanted else None


def _verdict(item: _Item, shown: frozenset[str]) -> JsonObject:
    """Return those members of an item's answer; nothing when it has none of them."""
    if item.error is None and item.written is not None:
        return _TAKEN[item.action, item.written.result] if "status" in shown else {}
    answer: JsonObject = _answer(item, refreshed=False)[item.action]
    chosen = {name: value for name, value in answer.items() if name in shown}
    return {item.action: chosen} if chosen else {}


def _answer(item: _Item, refreshed: bool) -> JsonObject:
    answer: JsonObject = {"_index": item.index, "_id": item.doc_id}
    if item.error is not None:
        answer |= {"status": item.error.status, "error": item.error.as_object()}
    elif item.written is not None:
        answer |= {
            "_version": item.written.version,
            "result": item.written.result,
            **({"forced_refresh": True} if refreshed else {}),
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "_seq_no": item.written.sequence,
            "_primary_term": 1,
            "status": _STATUS[item.written.result],
        }
    return {item.action: answer}

"""A double of the few endpoints of Kibana that provisioning uses, as strict about requests as Kibana 8.3 is.

Shapes and refusals follow Kibana's API documentation and what an 8.3.3 answered.
"""

from __future__ import annotations

import copy
import email
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

Json = dict[str, Any]
Answer = tuple[int, Any]
"""HTTP status and body: a JSON value, or text as it is."""

LEVELS = {"lens": (8, 3, 0), "dashboard": (8, 3, 0), "index-pattern": (8, 0, 0), "tag": (8, 0, 0)}
CORE_LEVEL = (8, 3, 3)
GROUPS = {".index-threshold": {"threshold met", "recovered"}, ".es-query": {"query matched", "recovered"}}
PARAMS = {
    ".index-threshold": {
        "index", "timeField", "aggType", "aggField", "groupBy", "termField", "termSize", "timeWindowSize",
        "timeWindowUnit", "thresholdComparator", "threshold",
    },
    ".es-query": {
        "index", "timeField", "esQuery", "size", "timeWindowSize", "timeWindowUnit", "thresholdComparator",
        "threshold",
    },
}  # fmt: skip
DEFAULTS: dict[str, Json] = {
    ".index-threshold": {},
    ".es-query": {"searchType": "esQuery", "excludeHitsFromPreviousRun": True},
}
UPDATABLE = {"name", "tags", "schedule", "params", "actions", "notify_when", "throttle"}


class KibanaDouble:
    """Remembers what it was given; `faults` answers a request by (method, path) instead."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.connectors: dict[str, Json] = {}
        self.rules: dict[str, Json] = {}
        self.writes: list[str] = []
        self.version = "8.19.4"
        self.not_ready: list[Answer] = []
        """Answers to the first calls of /api/status."""
        self.faults: dict[tuple[str, str], Answer] = {}
        self.refused: dict[str, Json] = {}
        """Id of a saved object → the error that its import gives."""
        self.encryption_key = True
        self.authorization: list[str] = []
        self.url = ""

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        """Return what Kibana would answer."""
        self.authorization.append(str(headers.get("Authorization", "")))
        path, _, query = path.partition("?")
        for (faulty, pattern), fault in self.faults.items():
            if faulty == method and re.fullmatch(pattern, path):
                return fault
        if path == "/api/status":
            return self._status()
        if method != "GET" and "kbn-xsrf" not in headers:
            return _refusal(400, "Request must contain a kbn-xsrf header.")
        if path == "/api/saved_objects/_bulk_get" and method == "POST":
            return 200, {"saved_objects": [self._found(one) for one in orjson.loads(body)]}
        if path == "/api/saved_objects/_import" and method == "POST":
            return self._import(_uploaded(headers["Content-Type"], body), overwrite="overwrite=true" in query)
        if path == "/api/alerting/_health":
            return 200, {
                "is_sufficiently_secure": True,
                "has_permanent_encryption_key": self.encryption_key,
                "alerting_framework_health": {"read_health": {"status": "ok"}},
            }
        kind, _, key = path.removeprefix("/api/").rpartition("/")
        if path == "/api/actions/connectors" and method == "GET":
            return 200, [{**one, "referenced_by_count": 1} for one in self.connectors.values()]
        if path == "/api/actions/connector" and method == "POST":
            return self._make_connector(orjson.loads(body))
        if kind == "actions/connector":
            return self._connector(method, key, body)
        if kind == "alerting/rule":
            return self._rule(method, key, body)
        return _refusal(404, "Not Found")

    def _status(self) -> Answer:
        if self.not_ready:
            return self.not_ready.pop(0)
        overall = {"level": "available", "summary": "All services are available"}
        return 200, {"name": "kibana", "version": {"number": self.version}, "status": {"overall": overall}}

    def _found(self, asked: Json) -> Json:
        one = self.objects.get((asked["type"], asked["id"]))
        if one is None:
            message = f"Saved object [{asked['type']}/{asked['id']}] not found"
            return {**asked, "error": {"statusCode": 404, "error": "Not Found", "message": message}}
        migrated = copy.deepcopy(one)  # what comes back is not what was given
        migrated["coreMigrationVersion"] = "8.8.0"
        migrated["attributes"]["version"] = 1
        return {**migrated, "namespaces": ["default"], "updated_at": "2026-11-20T10:00:00.000Z"}

    def _import(self, objects: list[Json], *, overwrite: bool) -> Answer:
        for one in objects:
            for kind, level in {**one.get("migrationVersion", {})}.items():
                if kind not in LEVELS or _version(level) > LEVELS[kind]:
                    return _refusal(422, f'Document "{one["id"]}" belongs to a more recent version of Kibana')
            if _version(one.get("coreMigrationVersion", "0.0.0")) > CORE_LEVEL:
                return _refusal(422, f'Document "{one["id"]}" has a newer "coreMigrationVersion"')
        coming = {(one["type"], one["id"]) for one in objects}
        successes, errors = [], []
        for one in objects:
            error = self._import_error(one, coming, overwrite)
            if error is not None:
                about = {"type": one["type"], "id": one["id"], "title": one["attributes"].get("title")}
                errors.append({**about, "meta": {}, "error": error})
                continue
            self.writes.append(f"{one['type']}/{one['id']}")
            self.objects[one["type"], one["id"]] = one
            successes.append({"type": one["type"], "id": one["id"], "meta": {}, "overwrite": overwrite})
        answer = {"success": not errors, "successCount": len(successes), "successResults": successes}
        return 200, {**answer, "warnings": [], **({"errors": errors} if errors else {})}

    def _import_error(self, one: Json, coming: set[tuple[str, str]], overwrite: bool) -> Json | None:
        if one["id"] in self.refused:
            return self.refused[one["id"]]
        missing = [
            {"type": reference["type"], "id": reference["id"]}
            for reference in one["references"]
            if (reference["type"], reference["id"]) not in {*coming, *self.objects}
        ]
        if missing:
            return {"type": "missing_references", "references": missing}
        if (one["type"], one["id"]) in self.objects and not overwrite:
            return {"type": "conflict"}
        return None

    def _make_connector(self, body: Json) -> Answer:
        if body.keys() != {"name", "connector_type_id", "config", "secrets"}:
            return _refusal(400, "[request body]: definition for this key is missing")
        if body["connector_type_id"] not in {".index", ".server-log"}:
            return _refusal(403, "Action type is disabled because your basic license does not support it.")
        key = str(uuid.uuid4())
        made = {name: value for name, value in body.items() if name != "secrets"}
        made["config"] = {"executionTimeField": None, "refresh": False, **made["config"]}
        self.connectors[key] = {"id": key, **made, "is_preconfigured": False, "is_missing_secrets": False}
        self.writes.append(f"connector/{body['name']}")
        return 200, self.connectors[key]

    def _connector(self, method: str, key: str, body: bytes) -> Answer:
        if key not in self.connectors:  # also a POST with an id of one's own, which came with 8.8
            return _refusal(404, f"Saved object [action/{key}] not found")
        if method == "PUT":
            self.connectors[key] |= {k: v for k, v in orjson.loads(body).items() if k != "secrets"}
            self.writes.append(f"connector/{self.connectors[key]['name']}")
        return 200, self.connectors[key]

    def _rule(self, method: str, key: str, body: bytes) -> Answer:
        if method == "GET":
            return (200, self.rules[key]) if key in self.rules else _refusal(404, f"[alert/{key}] not found")
        given = orjson.loads(body)
        if method == "POST":
            if key in self.rules:
                return _refusal(409, f"Saved object [alert/{key}] conflict")
            if uuid.UUID(key).version != 4:
                return _refusal(
                    400, "Predefined IDs are not allowed for saved objects with encrypted attributes"
                )
            if given.keys() != UPDATABLE | {"rule_type_id", "consumer", "enabled"}:
                return _refusal(400, f"[request body]: {sorted(given)}")
            kind = given["rule_type_id"]
        else:
            if given.keys() != UPDATABLE:
                return _refusal(400, f"[request body]: {sorted(given)}")
            kind = self.rules[key]["rule_type_id"]
        problem = self._rule_problem(kind, given)
        if problem is not None:
            return _refusal(400, problem)
        params = {**DEFAULTS[kind], **given["params"]}
        actions = [
            {**action, "connector_type_id": ".index", "uuid": str(uuid.uuid4())}
            for action in given["actions"]
        ]
        known = self.rules.get(key, {"id": key, "created_by": None, "mute_all": False})
        self.rules[key] = {**known, **given, "params": params, "actions": actions}
        self.writes.append(f"rule/{given['name']}")
        return 200, self.rules[key]

    def _rule_problem(self, kind: str, given: Json) -> str | None:
        if kind not in PARAMS:
            return f"Rule type {kind} is disabled because your basic license does not support it."
        params = given["params"]
        if unknown := params.keys() - PARAMS[kind]:
            return f"params invalid: [{sorted(unknown)}]: definition for this key is missing"
        if kind == ".index-threshold" and (params["groupBy"] == "top") != (
            {"termField", "termSize"} <= params.keys()
        ):
            return "params invalid: [termField]: termField required when [groupBy] is top"
        if kind == ".es-query" and "query" not in orjson.loads(params["esQuery"]):
            return 'params invalid: [esQuery]: must contain "query"'
        for action in given["actions"]:
            if action["group"] not in GROUPS[kind]:
                return f"Invalid action groups: {action['group']}"
            if action["id"] not in self.connectors:
                return f"Saved object [action/{action['id']}] not found"
        if given["notify_when"] not in {"onActionGroupChange", "onActiveAlert", "onThrottleInterval"}:
            return "[notify_when]: not valid"
        return None


def _refusal(status: int, message: str) -> Answer:
    return status, {"statusCode": status, "error": "refused", "message": message}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _uploaded(content_type: str, body: bytes) -> list[Json]:
    """Return the saved objects of the file in a multipart form."""
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    (part,) = message.get_payload()  # type: ignore[misc]  # a multipart message has parts
    assert part.get_filename().endswith(".ndjson")  # type: ignore[union-attr]
    content: bytes = part.get_payload(decode=True)  # type: ignore[union-attr, assignment]
    return [orjson.loads(line) for line in content.splitlines()]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: KibanaDouble

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self.double.answer(self.command, self.path, self.headers, body)
        text = answer.encode() if isinstance(answer, str) else orjson.dumps(answer)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def kibana_double() -> Iterator[KibanaDouble]:
    """Run one on a free loopback port."""
    double = KibanaDouble()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"double": double}))
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Provisioning: everything in place after the first run, nothing written by the next, refusals in words."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.logs_pipeline.kibana_double import Answer, KibanaDouble, kibana_double
from tests.servers import ROOT, StoreServer, free_port
from typer.testing import CliRunner

from vigie.cli import app
from vigie.dashboards.rules import ALERTS_FILE, kibana_rules, load_rules
from vigie.logs_pipeline import kibana_client
from vigie.logs_pipeline.kibana_client import KibanaError
from vigie.logs_pipeline.kibana_objects import objects_to_import
from vigie.logs_pipeline.provision import provision_all
from vigie.logs_pipeline.templates import ProvisionError
from vigie.schema import FeatureSchema, load_schema
from vigie.settings import Settings

FOLDER = ROOT / "kibana"
VIEWS = 4
"""Data views: one per index of events, and one for the dead letters."""
RULES = len(kibana_rules(load_rules(FOLDER / ALERTS_FILE), "connector"))


@pytest.fixture
def kibana(monkeypatch: pytest.MonkeyPatch) -> Iterator[KibanaDouble]:
    """A Kibana of the test's own, asked again at once while it is not ready."""
    monkeypatch.setattr(kibana_client.KibanaClient.wait, "__defaults__", (0.01,))
    with kibana_double() as double:
        yield double


@pytest.fixture
def settings(
    store_server: StoreServer, settings_for: Callable[..., Settings], kibana: KibanaDouble
) -> Settings:
    """Settings that reach the store, under a prefix of the test's own, and the Kibana."""
    return settings_for(ES_HOST="127.0.0.1", ES_PORT=store_server.port, KIBANA_URL=kibana.url)


def provision(
    settings: Settings, schema: FeatureSchema, folder: Path = FOLDER, wait: float = 5
) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Provision; return (kind, action) → how many, and what was said."""
    said: list[str] = []
    changes = list(provision_all(settings, schema, folder, wait, said.append))
    return Counter((change.kind, change.action) for change in changes), said


def folder_of(path: Path, *objects: dict[str, Any]) -> Path:
    """A folder with these saved objects in a file, and no rules."""
    path.mkdir(exist_ok=True)
    (path / "own.ndjson").write_bytes(b"\n".join(orjson.dumps(one) for one in objects))
    return path


def saved(kind: str, key: str, title: str = "t", *references: tuple[str, str]) -> dict[str, Any]:
    """A saved object at the level of 8.3."""
    return {
        "type": kind,
        "id": key,
        "attributes": {"title": title},
        "references": [{"type": t, "id": i, "name": i} for t, i in references],
        "coreMigrationVersion": "8.3.3",
    }


def test_three_runs_write_once(settings: Settings, schema: FeatureSchema, kibana: KibanaDouble) -> None:
    """The first puts everything in place; the second and third write nothing at all."""
    first, said = provision(settings, schema)
    assert said == []
    assert first["dashboard", "created"] >= 3
    assert first["data view", "created"] == VIEWS
    assert first["connector", "created"] == 1
    assert first["rule", "created"] == RULES
    assert not {kind for kind, action in first if action == "updated"}
    written = list(kibana.writes)
    for _ in range(2):
        again, _ = provision(settings, schema)
        assert {action for _, action in again} == {"unchanged"}
        assert sum(again.values()) >= sum(first.values())
    assert kibana.writes == written


def test_without_a_kibana_there_are_templates_only(
    store_server: StoreServer, settings_for: Callable[..., Settings], schema: FeatureSchema
) -> None:
    """No KIBANA_URL is no error, and is said."""
    settings = settings_for(ES_HOST="127.0.0.1", ES_PORT=store_server.port)
    changes, said = provision(settings, schema)
    assert {kind for kind, _ in changes} == {"component template", "index template", "index", "mapping"}
    assert said == ["KIBANA_URL is not set: templates only"]


def test_what_was_lost_or_changed_in_kibana_is_put_right(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble
) -> None:
    """A deleted dashboard and rule come back, a changed threshold and connector are set again, no more."""
    provision(settings, schema)
    kibana.objects.pop(next(key for key in kibana.objects if key[0] == "dashboard"))
    kibana.rules.pop(next(iter(kibana.rules)))
    changed = list(kibana.rules.values())[3]
    changed["params"]["threshold"] = [1]
    (connector,) = kibana.connectors.values()
    connector["config"]["index"] = "elsewhere"
    kibana.writes.clear()
    changes, _ = provision(settings, schema)
    assert (changes["dashboard", "created"], changes["rule", "created"]) == (1, 1)
    assert (changes["rule", "updated"], changes["connector", "updated"]) == (1, 1)
    assert len(kibana.writes) == 4
    assert changed["params"]["threshold"] != [1] or kibana.rules[changed["id"]]["params"]["threshold"] != [1]


def test_only_the_objects_that_changed_are_imported(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble, tmp_path: Path
) -> None:
    """An edit of one object updates that one, and leaves what somebody edited in Kibana otherwise."""
    folder = folder_of(tmp_path / "k", saved("index-pattern", "v"), saved("dashboard", "d"))
    first, said = provision(settings, schema, folder)
    assert (first["data view", "created"], first["dashboard", "created"]) == (1, 1)
    assert said == [f"no alerts.yaml in {folder}: no alert rules"]
    kibana.objects["index-pattern", "v"]["attributes"]["title"] = "edited in Kibana"
    kibana.writes.clear()
    folder_of(folder, saved("index-pattern", "v"), saved("dashboard", "d", "new"))
    second, _ = provision(settings, schema, folder)
    assert (second["data view", "unchanged"], second["dashboard", "updated"]) == (1, 1)
    assert [write.partition("/")[0] for write in kibana.writes] == ["dashboard", "tag"]
    assert kibana.objects["index-pattern", "v"]["attributes"]["title"] == "edited in Kibana"


def test_two_prefixes_have_objects_and_rules_of_their_own(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble
) -> None:
    """Installations that share a Kibana do not overwrite each other, and look at their own indices."""
    provision(settings, schema)
    prefix = f"{settings.store.es_index_prefix}b-"
    other = settings.model_copy(
        update={"store": settings.store.model_copy(update={"es_index_prefix": prefix})}
    )
    changes, _ = provision(other, schema)
    assert "updated" not in {action for _, action in changes}
    assert (changes["rule", "created"], changes["connector", "created"]) == (RULES, 1)
    titles = {
        one["attributes"]["title"] for (kind, _), one in kibana.objects.items() if kind == "index-pattern"
    }
    assert sum(title.startswith(f"{prefix}ml-api-") for title in titles) == VIEWS
    indices = {rule["params"]["index"][0] for rule in kibana.rules.values()}
    assert {f"{prefix}ml-api-perfs", f"{settings.store.es_index_prefix}ml-api-perfs"} <= indices


def test_the_dashboards_are_those_of_the_served_model(schema: FeatureSchema) -> None:
    """The committed file is the reference model's; another model gets panels on its own inputs."""
    committed = [orjson.loads(line) for line in (FOLDER / "dashboards.ndjson").read_bytes().splitlines()]
    assert objects_to_import(FOLDER, schema, "") == committed
    other = load_schema(ROOT / "examples" / "breast_cancer")
    assert b"input_data.SMOKING" not in orjson.dumps(objects_to_import(FOLDER, other, ""))


def test_other_files_are_imported_beside_them(schema: FeatureSchema, tmp_path: Path) -> None:
    """An export of one's own, with the summary line it ends with, is taken as it is."""
    folder = tmp_path / "kibana"
    shutil.copytree(FOLDER, folder)
    lines = [orjson.dumps(saved("dashboard", "mine")), b"", orjson.dumps({"exportedCount": 1})]
    (folder / "mine.ndjson").write_bytes(b"\n".join(lines))
    found = objects_to_import(folder, schema, "")
    assert len(found) == len(objects_to_import(FOLDER, schema, "")) + 1
    assert found[-1]["id"] == "mine"


@pytest.mark.parametrize(
    ("line", "why"), [(b"{no", "line 1: not JSON"), (b"[1]", "line 1: not a saved object")]
)
def test_a_file_that_is_no_export_is_named(
    schema: FeatureSchema, tmp_path: Path, line: bytes, why: str
) -> None:
    """File and line are told."""
    (tmp_path / "bad.ndjson").write_bytes(line)
    with pytest.raises(KibanaError, match=f"bad.ndjson, {why}"):
        objects_to_import(tmp_path, schema, "")


def test_a_kibana_that_starts_is_waited_for(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble
) -> None:
    """503 while it starts, then a status that is not available yet; told once."""
    unavailable = {"version": {"number": "8.19.4"}, "status": {"overall": {"level": "unavailable"}}}
    kibana.not_ready = [(503, "Kibana server is not ready yet"), (200, unavailable)]
    changes, said = provision(settings, schema)
    assert changes["rule", "created"] == RULES
    assert said == [f"waiting for Kibana at {kibana.url}: it answers 503 (Kibana server is not ready yet)"]


def test_a_kibana_that_does_not_come_is_given_up(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble
) -> None:
    """At the deadline the last reason is told; the templates are in place by then."""
    kibana.not_ready = [(503, "Kibana server is not ready yet")] * 10_000
    with pytest.raises(KibanaError, match=r"is not ready after 0 s: it answers 503"):
        provision(settings, schema, wait=0.05)
    away = settings.model_copy(
        update={"store": settings.store.model_copy(update={"kibana_url": f"http://127.0.0.1:{free_port()}"})}
    )
    with pytest.raises(KibanaError, match=r"does not answer .*check KIBANA_URL"):
        provision(away, schema, wait=0.05)


def test_a_store_that_does_not_come_is_given_up(
    settings_for: Callable[..., Settings], schema: FeatureSchema
) -> None:
    """It is waited for, told once, and named at the deadline."""
    settings = settings_for(ES_HOST="127.0.0.1", ES_PORT=free_port())
    said: list[str] = []
    with pytest.raises(ProvisionError, match=settings.store.url):
        list(provision_all(settings, schema, FOLDER, 0.05, said.append))
    assert len(said) == 1
    assert said[0].startswith("waiting for the store: ")


REFUSALS: list[tuple[tuple[str, str], Answer, str]] = [
    (("GET", "/api/status"), (401, {"statusCode": 401, "message": "Unauthorized"}), "ES_API_KEY"),
    (
        ("POST", ".*/_import"),
        (403, {"message": "Unable to bulk_create dashboard"}),
        "Saved Objects Management",
    ),
    (("POST", ".*/_import"), (413, {"message": "Payload content length"}), "maxImportPayloadBytes"),
    (("POST", ".*/_import"), (422, {"message": "more recent version"}), "use Kibana 8.3 or newer"),
    (("GET", "/api/alerting/_health"), (404, {"message": "Not Found"}), "KIBANA_URL"),
    (("POST", "/api/alerting/rule/.*"), (409, {"message": "conflict"}), "run `vigie provision` again"),
    (("POST", "/api/actions/connector"), (503, {"message": "License is not available."}), "not ready"),
    (("POST", "/api/alerting/rule/.*"), (500, "<html>"), "see Kibana's log"),
    (("GET", "/api/status"), (200, "<html>a proxy</html>"), "is not Kibana"),
    (("GET", "/api/status"), (200, {"cluster_name": "x"}), "is not Kibana"),
    (
        ("GET", "/api/status"),
        (200, {"version": {"number": "8.2.1"}, "status": {"overall": {"level": "available"}}}),
        "is 8.2.1: 8.3 or newer is needed",
    ),
]


@pytest.mark.parametrize(("request_", "answer", "remedy"), REFUSALS)
def test_a_refusal_says_what_to_do(
    settings: Settings,
    schema: FeatureSchema,
    kibana: KibanaDouble,
    request_: tuple[str, str],
    answer: Answer,
    remedy: str,
) -> None:
    """Address, reason and remedy in one line; nobody waits for what waiting cannot mend."""
    kibana.faults[request_] = answer
    with pytest.raises(KibanaError) as refused:
        provision(settings, schema)
    assert kibana.url in str(refused.value)
    assert remedy in str(refused.value)
    assert "\n" not in str(refused.value)
    kibana.faults.clear()
    assert "updated" not in {action for _, action in provision(settings, schema)[0]}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ({"type": "unsupported_type"}, "knows no saved objects of type dashboard"),
        ({"type": "ambiguous_conflict", "destinations": []}, "another object has its id"),
        ({"type": "unknown", "message": "Malformed", "statusCode": 400}, "Malformed"),
        ({"type": "unknown", "message": "newer", "statusCode": 422}, "use Kibana 8.3 or newer"),
    ],
)
def test_an_object_that_is_not_taken_is_named_and_tried_again(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble, tmp_path: Path, error: Any, why: str
) -> None:
    """A partial import is a failure, and the next run does not take it for done."""
    folder = folder_of(tmp_path / "k", saved("index-pattern", "v"), saved("dashboard", "d", "Overview"))
    kibana.refused["d"] = error
    with pytest.raises(KibanaError, match=f"dashboard Overview: .*{why}"):
        provision(settings, schema, folder)
    kibana.refused.clear()
    changes, _ = provision(settings, schema, folder)
    assert changes["dashboard", "created"] == 1


def test_a_missing_reference_is_named(settings: Settings, schema: FeatureSchema, tmp_path: Path) -> None:
    """A dashboard whose data view is nowhere is told with the view's id."""
    folder = folder_of(tmp_path / "k", saved("dashboard", "d", "Overview", ("index-pattern", "gone")))
    with pytest.raises(KibanaError, match="Overview: it refers to index-pattern gone, which is neither"):
        provision(settings, schema, folder)


def test_rules_need_a_permanent_encryption_key(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble
) -> None:
    """Without it the dashboards are in place and the setting is named."""
    kibana.encryption_key = False
    with pytest.raises(KibanaError, match=r"xpack\.encryptedSavedObjects\.encryptionKey"):
        provision(settings, schema)
    assert any(kind == "dashboard" for kind, _ in kibana.objects)
    assert kibana.rules == {}


def test_an_empty_folder_is_said(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble, tmp_path: Path
) -> None:
    """A command run elsewhere tells why nothing was imported."""
    _, said = provision(settings, schema, tmp_path / "none")
    assert said == [
        f"no saved objects in {tmp_path / 'none'}: no dashboards",
        f"no alerts.yaml in {tmp_path / 'none'}: no alert rules",
    ]
    assert kibana.writes == []


def test_kibana_gets_the_credentials_of_the_store(
    settings: Settings, schema: FeatureSchema, kibana: KibanaDouble
) -> None:
    """One set of credentials serves both."""
    for given, expected in (
        ({"es_api_key": "a2V5"}, "ApiKey a2V5"),
        ({"es_username": "u", "es_password": "p"}, "Basic dTpw"),
    ):
        store = type(settings.store).model_validate({**settings.store.model_dump(), **given})
        with kibana_client.KibanaClient(store) as client:
            client.wait(1, print)
        assert kibana.authorization[-1] == expected
    absent = type(settings.store).model_validate({**settings.store.model_dump(), "es_ca_certs": "/no/file"})
    with pytest.raises(KibanaError, match="ES_CA_CERTS /no/file"):
        kibana_client.KibanaClient(absent)


def test_a_kibana_that_goes_away_is_one_line(settings: Settings, kibana: KibanaDouble) -> None:
    """A connection lost between two requests names the request."""
    away = settings.store.model_copy(update={"kibana_url": f"http://127.0.0.1:{free_port()}"})
    with kibana_client.KibanaClient(away) as client, pytest.raises(KibanaError, match="GET /api/alerting"):
        client.ask("GET", "/api/alerting/_health")


def test_the_command_prints_each_change(settings: Settings, kibana: KibanaDouble) -> None:
    """`vigie provision` says per object what became of it."""
    environment = {
        "ES_HOST": "127.0.0.1",
        "ES_PORT": str(settings.store.es_port),
        "ES_INDEX_PREFIX": settings.store.es_index_prefix,
        "KIBANA_URL": kibana.url,
        "MODEL_PATH": str(ROOT / "model" / "lung_cancer"),
    }
    ran = CliRunner().invoke(app, ["provision", "--folder", str(FOLDER), "--wait", "60"], env=environment)
    assert ran.exit_code == 0, ran.output
    prefix = settings.store.es_index_prefix
    assert f"index template {prefix}ml-api-alerts: created" in ran.output
    assert f"data view {prefix}ml-api-logs*: created" in ran.output
    assert f"rule {prefix}The API is down (critical): created" in ran.output

"""The compose file: what it promises is there, and each of our services starts with what it is given."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from tests.containers import COMPOSE_TEXT, OURS, VARIABLE, Container, compose, services
from tests.servers import ROOT, RedisServer, StoreServer, free_port, redis_answers, stop, wait_for

from vigie.demo.redis_server import redis_command
from vigie.schema import load_schema
from vigie.settings import load_settings, variable_names

SERVICES = services()
LASTING = sorted(name for name, service in SERVICES.items() if service["restart"] != "no")
NOT_FOR_CONTAINERS = {
    "REDIS_DB": "its Redis serves nobody else",
    "REDIS_USERNAME": "its Redis asks for none",
    "REDIS_PASSWORD": "its Redis asks for none",
    "REDIS_TLS": "its Redis speaks none",
    "LOG_TO_REDIS": "without Redis there is no pipeline to run",
    "ES_SCHEME": "its Elasticsearch speaks http",
    "ES_API_KEY": "its Elasticsearch asks for none",
    "ES_USERNAME": "its Elasticsearch asks for none",
    "ES_PASSWORD": "its Elasticsearch asks for none",
    "ES_CA_CERTS": "its Elasticsearch speaks http",
    "HF_TOKEN": "its front end is on no private Space",
}
DOCUMENTED_BY_THE_IMAGE = {
    # https://www.elastic.co/guide/en/elasticsearch/reference/8.19/docker.html: any setting, by its own name
    "elasticsearch": {
        "discovery.type",
        "xpack.security.enabled",
        "xpack.ml.enabled",
        "ingest.geoip.downloader.enabled",
        "ES_JAVA_OPTS",
    },
    # https://www.elastic.co/guide/en/kibana/8.19/docker.html: settings in capitals with underscores
    "kibana": {
        "ELASTICSEARCH_HOSTS",
        "SERVER_PUBLICBASEURL",
        "TELEMETRY_OPTIN",
        "NODE_OPTIONS",
        "XPACK_ENCRYPTEDSAVEDOBJECTS_ENCRYPTIONKEY",
    },
}

GRADIO = Path(str(importlib.util.find_spec("gradio").origin)).parent  # type: ignore[union-attr]  # it is installed


def seconds(duration: str) -> int:
    """Return a duration of the file, which are all in whole seconds."""
    return int(duration.removesuffix("s"))


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_given_settings_and_all_of_them(name: str) -> None:
    """Each name is a setting; each setting reaches the container or has a reason not to."""
    given = set(SERVICES[name]["environment"])
    assert given <= variable_names()
    assert variable_names() - given == set(NOT_FOR_CONTAINERS)
    assert load_settings(SERVICES[name]["environment"], None).store.kibana_url == "http://kibana:5601"


def test_other_images_are_given_variables_that_they_document() -> None:
    """A misspelt variable of Elasticsearch or Kibana would be ignored, or stop it."""
    for name in set(SERVICES) - set(OURS):
        assert set(SERVICES[name].get("environment", {})) <= DOCUMENTED_BY_THE_IMAGE.get(name, set()), name


def test_variables_of_the_file_are_settings_or_documented() -> None:
    """What the file takes from outside is a setting, or explained on the page about containers."""
    page = (ROOT / "docs" / "operations" / "docker.md").read_text(encoding="utf-8")
    names = {found["name"] for found in VARIABLE.finditer(COMPOSE_TEXT)}
    assert len(names) == len(set(re.findall(r"\$\{?(\w+)", COMPOSE_TEXT)))
    assert [name for name in names - variable_names() if name not in page] == []


def test_a_setting_of_the_user_reaches_the_services() -> None:
    """RETENTION_DAYS=7 in the environment or in .env is 7 in the containers, and its port is published."""
    changed = services({"RETENTION_DAYS": "7", "API_PORT": "8100"})
    assert changed["pipeline"]["environment"]["RETENTION_DAYS"] == "7"
    assert changed["api"]["environment"]["API_PORT"] == "8000"
    assert changed["api"]["ports"] == ["127.0.0.1:8100:8000"]


def test_env_example_fits_the_file() -> None:
    """A copy of .env.example publishes the same ports and leaves the services as they are."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    changed = services(values)
    for name, service in SERVICES.items():
        assert changed[name].get("ports") == service.get("ports")
    for name in OURS:
        assert load_settings(changed[name]["environment"], None) == load_settings(
            SERVICES[name]["environment"], None
        )


def test_versions_are_pinned_and_no_registry_is_named() -> None:
    """Each image has its full version, ours the project's, and Kibana that of Elasticsearch."""
    images = {name: service["image"] for name, service in SERVICES.items()}
    for image in images.values():
        assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+(-[a-z]+)?", image)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {images[name] for name in OURS} == {f"vigie:{project['version']}"}
    assert images["elasticsearch"].startswith("elasticsearch:8.19.")
    assert images["kibana"].removeprefix("kibana") == images["elasticsearch"].removeprefix("elasticsearch")
    assert images["redis"].startswith("redis:7.4.")


def test_elasticsearch_is_the_one_of_the_tests() -> None:
    """The version in containers is the one that the tests run against."""
    pom = (ROOT / "deploy" / "elasticsearch-node" / "pom.xml").read_text(encoding="utf-8")
    (version,) = re.findall(r"<elasticsearch\.version>(.+)</elasticsearch\.version>", pom)
    assert SERVICES["elasticsearch"]["image"] == f"elasticsearch:{version}"


def test_ports_are_published_on_loopback_only() -> None:
    """Nothing is reachable from another machine, and Redis from no other process of this one."""
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    for ports in published.values():
        for port in ports:
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert {name for name, ports in published.items() if ports} == {"api", "ui", "elasticsearch", "kibana"}
    for name, service in SERVICES.items():
        assert ("published" in service["networks"]) == bool(published[name])
        assert "inside" in service["networks"]
        assert "network_mode" not in service
    assert compose()["networks"]["inside"] == {"internal": True}


def test_every_lasting_service_has_a_health_check_and_bounds() -> None:
    """Each has a health check that ends, a memory limit, a restart policy and time to stop."""
    for name in LASTING:
        service = SERVICES[name]
        check = service["healthcheck"]
        assert seconds(check["timeout"]) <= seconds(check["interval"])
        assert check["retries"] >= 3
        assert service["restart"] == "unless-stopped"
        assert seconds(service["stop_grace_period"]) >= 10
    for service in SERVICES.values():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert SERVICES["provision"]["restart"] == "no"


def test_the_api_may_finish_its_requests() -> None:
    """The time to stop is longer than the longest request and the shipping of its events."""
    assert seconds(SERVICES["api"]["stop_grace_period"]) > load_settings({}, None).api.request_timeout + 5


def test_dependencies_are_waited_for_by_their_health() -> None:
    """Each dependency is a service that lasts and has a health check."""
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert needed in LASTING
    assert set(SERVICES["provision"]["depends_on"]) == {"elasticsearch", "kibana"}


def test_rights_are_dropped() -> None:
    """No container keeps a capability; ours and Redis cannot write to their images."""
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        if name in {*OURS, "redis"}:
            assert service["read_only"] is True
            assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]


def test_what_is_kept_is_in_named_volumes() -> None:
    """Every mount is a named volume; the journals of all our processes are where the pipeline looks."""
    mounted = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert {source for source, _ in mounted} == set(compose()["volumes"])
    for name in ("api", "ui", "pipeline"):
        assert SERVICES[name]["volumes"] == [f"journals:{SERVICES[name]['environment']['VIGIE_HOME']}"]


def test_kibana_can_keep_rules() -> None:
    """The key under which rules are kept is long enough for Kibana, and yours replaces it."""
    name = "XPACK_ENCRYPTEDSAVEDOBJECTS_ENCRYPTIONKEY"
    assert len(SERVICES["kibana"]["environment"][name]) >= 32
    yours = "k" * 32
    assert services({"KIBANA_ENCRYPTION_KEY": yours})["kibana"]["environment"][name] == yours


def options(command: list[str]) -> dict[str, str]:
    """Return the options of a Redis command line."""
    return {name.removeprefix("--"): value for name, value in zip(command[1::2], command[2::2], strict=True)}


def test_redis_is_as_durable_as_the_embedded_one(tmp_path: Path) -> None:
    """Append-only, noeviction and the rest are those of the demonstration; a server takes them."""
    command = SERVICES["redis"]["command"]
    embedded = options(redis_command(6379, tmp_path))
    of_the_machine = {"port", "bind", "dir", "daemonize"}
    assert command[0] == "redis-server"
    assert options(command) == {name: embedded[name] for name in embedded.keys() - of_the_machine}
    port = free_port()
    server = redis_command(port, tmp_path)[0]
    place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    process = subprocess.Popen([server, *command[1:], *place], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: redis_answers(port), what="Redis")
        with redis.Redis(port=port, decode_responses=True) as client:
            for name, value in {"appendonly": "yes", "maxmemory-policy": "noeviction", "save": ""}.items():
                assert client.config_get(name) == {name: value}
    finally:
        stop(process)


def test_docker_compose_accepts_the_file() -> None:
    """`docker compose config` resolves the file, where the docker client has compose (no daemon is asked)."""
    docker = shutil.which("docker")
    version = [str(docker), "compose", "version"]
    if docker is None or subprocess.run(version, capture_output=True, check=False).returncode:
        pytest.skip("there is no docker client with compose on this machine")
    command = [*version[:2], "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    resolved = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert resolved.returncode == 0, resolved.stderr


@pytest.fixture
def containers(
    tmp_path: Path, own_redis: RedisServer, store_server: StoreServer, package_path: Path
) -> Iterator[dict[str, Container]]:
    """Our services as processes, with a Redis and a store of the test's; what still runs is stopped."""
    ports = {name: str(free_port()) for name in ("API_PORT", "GRADIO_PORT")}
    substitutes = {
        **ports,
        "API_HOST": "127.0.0.1",
        "GRADIO_HOST": "127.0.0.1",
        "API_URL": f"http://127.0.0.1:{ports['API_PORT']}",
        "GRADIO_URL": f"http://127.0.0.1:{ports['GRADIO_PORT']}",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(own_redis.port),
        "ES_HOST": "127.0.0.1",
        "ES_PORT": str(store_server.port),
        "ES_INDEX_PREFIX": f"compose{ports['API_PORT']}-",
        "KIBANA_URL": "",
        "MODEL_PATH": str(package_path),
        "VIGIE_HOME": str(tmp_path / "home"),
    }
    made = {name: Container(name, tmp_path / name, substitutes) for name in OURS}
    yield made
    for one in made.values():
        if one.process is not None:
            stop(one.process)


def test_each_service_starts_is_healthy_and_stops(
    containers: dict[str, Container], store_server: StoreServer, tmp_path: Path
) -> None:
    """With its command and environment each becomes healthy, works, writes only where it may, and ends."""
    substitutes = containers["api"].substitutes
    assert containers["provision"].start().wait(60) == 0, containers["provision"].output
    lasting = [name for name in OURS if name in LASTING]
    for name in lasting:
        assert not containers[name].healthy()
        containers[name].start()
    for name in lasting:
        wait_for(containers[name].healthy, 120, f"{name} to be healthy")

    schema = load_schema(Path(substitutes["MODEL_PATH"]))
    answer = httpx.post(f"{substitutes['API_URL']}/predict", json=schema.example(), timeout=10)
    transaction = answer.raise_for_status().json()["transaction_id"]
    index = f"{substitutes['ES_INDEX_PREFIX']}ml-api-message"
    query = {"query": {"term": {"transaction_id": transaction}}}

    def documents() -> list[dict[str, Any]]:
        httpx.post(f"{store_server.url}/{index}/_refresh")
        found = httpx.post(f"{store_server.url}/{index}/_search", json=query).raise_for_status().json()
        hits: list[dict[str, Any]] = found["hits"]["hits"]
        return hits

    wait_for(documents, 30, "the prediction in the store")

    for name in lasting:
        one = containers[name]
        assert one.process is not None
        one.process.terminate()
        began = time.monotonic()
        assert one.process.wait(60) == 0, one.output
        assert time.monotonic() - began < seconds(SERVICES[name]["stop_grace_period"])
    for name in OURS:
        # Gradio writes stubs and a seed beside itself where it can, and lives without where it cannot.
        places = [tmp_path / "home", tmp_path / name / "tmp", Path("/dev"), GRADIO]
        mounts = places if SERVICES[name].get("volumes") else places[1:]
        elsewhere = [path for path in containers[name].written() if not any(map(path.is_relative_to, mounts))]
        assert elsewhere == [], f"{name} would fail on a read-only file system"

"""Settings: environment variables (and `.env`) to typed objects, one class per concern.

The field names in upper case are the names of the environment variables; the docstring under a
field is its description in `.env.example` and in the reference documentation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from rapidfuzz import process
from rapidfuzz.distance import OSA

from vigie.errors import VigieError

MEBIBYTE = 1024 * 1024
TYPO_DISTANCE = 2

Port = Annotated[int, Field(ge=1, le=65535)]
NonEmptyText = Annotated[str, Field(min_length=1)]
WebAddress = Annotated[str, Field(pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?$")]
LogLevel = Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"]
Source = Literal["redis", "http", "list"]
InferenceMode = Literal["auto", "inline", "thread"]


class SettingsError(VigieError):
    """A variable is unknown, misspelt or malformed; the message names each one and the remedy."""


class Concern(BaseModel):
    """One group of settings; `load_settings` is the way to make them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def split_list(value: object) -> object:
    """Split ``a, b`` into its parts; anything that is not text passes unchanged."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def local_url(host: str, port: int) -> str:
    """Return the http URL at which this machine reaches a service that listens on `host`:`port`."""
    reachable = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # nosec B104: compared, not bound
    return f"http://{reachable}:{port}"


class ModelSettings(Concern):
    """Model"""

    model_path: Path = Path("model/lung_cancer")
    """Folder of the model package to serve (schema, artefacts, manifest); a new one there is taken over."""
    inference_mode: InferenceMode = "auto"
    """Where the model runs: inline (on the event loop), thread, or auto: by its cost, measured at load."""
    inference_batch_rows: Annotated[int, Field(ge=1, le=100_000)] = 1024
    """Most rows of different requests that one run of the model takes together; 1: no batching."""


class ApiSettings(Concern):
    """API"""

    api_host: NonEmptyText = "127.0.0.1"
    """Address the API listens on; 0.0.0.0 in a container."""
    api_port: Port = 8000
    """Port the API listens on."""
    api_url: str | None = None
    """Where the front end and the commands find the API; unset, it follows API_HOST and API_PORT."""
    api_workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of API processes."""
    api_busy_poll_us: Annotated[int, Field(ge=0, le=10_000)] = 500
    """Microseconds that a lone client may usually pause for the API to stay awake for it; 0: it sleeps."""
    log_level: LogLevel = "INFO"
    """Lowest level of the application logs that are kept."""
    log_exclude_paths: Annotated[tuple[str, ...], BeforeValidator(split_list)] = (
        "/livez",
        "/readyz",
        "/health",
        "/metrics",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/favicon.ico",
        "/static",
    )
    """Paths (with what lies below them) whose requests make no event, separated by commas."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = MEBIBYTE
    """Largest request body, in bytes."""
    batch_max_body_bytes: Annotated[int, Field(ge=1024)] = 16 * MEBIBYTE
    """Largest request body of /predict/batch, in bytes."""
    request_timeout: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Seconds after which a request is answered 504."""
    batch_max_records: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Most records in one call of /predict/batch."""
    display_timezone: NonEmptyText = "UTC"
    """Time zone of hour_of_day and day_of_week, as an IANA name such as Europe/Paris."""
    vigie_home: Path = Path(".vigie")
    """Folder of everything that is kept: journals, embedded Redis and store, trained examples."""

    @property
    def url(self) -> str:
        """Base URL of the API, as this machine reaches it."""
        return self.api_url or local_url(self.api_host, self.api_port)

    @field_validator("display_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("not an IANA time zone such as Europe/Paris") from error
        return value


class RedisSettings(Concern):
    """Redis"""

    redis_host: str | None = None
    """Redis server; when set, the embedded Redis is not started."""
    redis_port: Port = 6379
    """Port of Redis."""
    redis_db: Annotated[int, Field(ge=0)] = 0
    """Number of the Redis database."""
    redis_username: str | None = None
    """User name for Redis."""
    redis_password: SecretStr | None = None
    """Password for Redis."""
    redis_tls: bool = False
    """Whether to speak TLS to Redis."""
    log_to_redis: bool = True
    """false: events go to standard output as JSON lines, and /logs answers 503."""
    redis_logs_max_size: Annotated[int, Field(ge=0)] = 1000
    """Indexed entries kept in the stream for GET /logs."""
    redis_stream_max_entries: Annotated[int, Field(ge=1000)] = 1_000_000
    """Most entries in the stream that are not indexed yet; beyond it events stay in the journals."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        return self.redis_host or "127.0.0.1", self.redis_port


class JournalSettings(Concern):
    """Journal"""

    journal_max_bytes: Annotated[int, Field(ge=MEBIBYTE)] = 1024 * MEBIBYTE
    """Most bytes of events a process keeps on disk until Redis has them; beyond it, declared drops."""
    journal_fsync_ms: Annotated[int, Field(ge=10)] = 1000
    """Most milliseconds of events that a crash of the machine (not of the process) may take."""


class StoreSettings(Concern):
    """Store"""

    es_host: str | None = None
    """Elasticsearch server; when set, the embedded store is not started."""
    es_port: Port = 9200
    """Port of Elasticsearch or of the embedded store."""
    es_scheme: Literal["http", "https"] = "http"
    """http or https."""
    es_api_key: SecretStr | None = None
    """API key for Elasticsearch, instead of user name and password."""
    es_username: str | None = None
    """User name for Elasticsearch."""
    es_password: SecretStr | None = None
    """Password for Elasticsearch."""
    es_ca_certs: Path | None = None
    """File of the certificate authorities to trust for https."""
    es_index_prefix: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_.-]*)?$")] = ""
    """Put before every index name, so that several installations can share a cluster."""
    kibana_url: str = ""
    """Kibana's address; empty: there is none."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """Days after which an index is dropped."""

    @property
    def url(self) -> str:
        """Base URL of the store's REST interface."""
        return f"{self.es_scheme}://{self.es_host or '127.0.0.1'}:{self.es_port}"


class UiSettings(Concern):
    """Front end"""

    gradio_host: NonEmptyText = "127.0.0.1"
    """Address the front end listens on; 0.0.0.0 in a container."""
    gradio_port: Port = 7860
    """Port of the front end."""
    gradio_url: WebAddress | None = None
    """Front end that the http source collects from; unset, it follows GRADIO_HOST and GRADIO_PORT."""
    hf_token: SecretStr | None = None
    """Bearer token for a front end on a private Space; it is sent to GRADIO_URL alone."""

    @property
    def url(self) -> str:
        """Base URL of the front end, as this machine reaches it."""
        return self.gradio_url or local_url(self.gradio_host, self.gradio_port)


class PipelineSettings(Concern):
    """Pipeline"""

    pipeline_sources: Annotated[tuple[Source, ...], BeforeValidator(split_list)] = ("redis",)
    """Where events come from: redis (the stream, always read), list (api_logs_in), http (GRADIO_URL)."""
    poll_interval: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two polls of the http source; while pages are full it asks again at once."""


class ObservingSettings(Concern):
    """Observing"""

    enable_performance_monitoring: bool = True
    """false: no profiler (function_calls and top_functions are null); timings stay."""
    profile_budget: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of wall time that profiling may add."""


class SecuritySettings(Concern):
    """Security"""

    auth_enabled: bool = False
    """Whether API keys and tokens are demanded; while off, every role is granted."""
    secret_key: SecretStr | None = None
    """Secret that signs tokens; demanded when AUTH_ENABLED."""
    access_token_expire_minutes: Annotated[int, Field(ge=1)] = 30
    """Minutes for which a token is valid."""
    database_url: SecretStr | None = None
    """Database of users and keys."""
    rate_limit: str | None = None
    """Requests per key or address, such as 100/minute; unset: no limit."""
    cors_origins: Annotated[tuple[str, ...] | None, BeforeValidator(split_list)] = None
    """Origins allowed by CORS, separated by commas; unset: * while AUTH_ENABLED is off, none when on."""


class Settings(BaseModel):
    """All concerns of one installation; made by `load_settings`."""

    model_config = ConfigDict(frozen=True)

    model: ModelSettings
    api: ApiSettings
    redis: RedisSettings
    journal: JournalSettings
    store: StoreSettings
    ui: UiSettings
    pipeline: PipelineSettings
    observing: ObservingSettings
    security: SecuritySettings


def concerns() -> dict[str, type[Concern]]:
    """Return the concern classes by their name in `Settings`, in the order of the documentation."""
    return {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Concern)
    }


def variable_names() -> frozenset[str]:
    """Return the names of all environment variables the platform reads."""
    return frozenset(name.upper() for concern in concerns().values() for name in concern.model_fields)


def load_settings(
    environment: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")
) -> Settings:
    """Read the settings from `environment` (default: the process's) over those of the file `dotenv`.

    An empty value is unset. Raises SettingsError, naming every variable at fault, when a name in the file is
    unknown, a name in the environment is within edit distance 2 of one of ours, or a value is malformed.
    """
    in_process = dict(os.environ if environment is None else environment)
    in_file = {} if dotenv is None else {name: value or "" for name, value in dotenv_values(dotenv).items()}
    ours = variable_names()
    given = {name: value for name, value in {**in_file, **in_process}.items() if name in ours and value}
    problems = [*_unknown_in_file(in_file, dotenv), *_misspelt(in_process)]
    by_concern = {
        name: {field: given[field.upper()] for field in concern.model_fields if field.upper() in given}
        for name, concern in concerns().items()
    }
    try:
        settings = Settings.model_validate(by_concern)
    except ValidationError as error:
        problems += [_explain(str(fault["loc"][1]).upper(), fault["msg"], given) for fault in error.errors()]
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def make_home(settings: Settings) -> None:
    """Make the folder VIGIE_HOME where it is not there yet.

    Raises SettingsError when it cannot be made or written.
    """
    home = settings.api.vigie_home
    try:
        home.mkdir(parents=True, exist_ok=True)
        writable = os.access(home, os.W_OK)
    except OSError as error:
        raise SettingsError(f"VIGIE_HOME={home} cannot be made ({error.strerror}): name another") from error
    if not writable:
        raise SettingsError(f"VIGIE_HOME={home} cannot be written: name a folder of yours")


def _nearest(name: str) -> str | None:
    found = process.extractOne(
        name, sorted(variable_names()), scorer=OSA.distance, score_cutoff=TYPO_DISTANCE
    )
    return None if found is None else str(found[0])


def _unknown_in_file(in_file: Mapping[str, str], dotenv: Path | None) -> Iterator[str]:
    for name in sorted(in_file.keys() - variable_names()):
        nearest = _nearest(name)
        hint = f"did you mean {nearest}?" if nearest else "see .env.example for the names"
        yield f"{name} in {dotenv} is not a setting: {hint}"


def _misspelt(in_process: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(in_process.keys() - variable_names()):
        nearest = _nearest(name)
        if nearest is not None:
            yield f"{name} in the environment is not a setting: did you mean {nearest}? Rename or unset it"


def _explain(name: str, reason: str, given: Mapping[str, str]) -> str:
    value = given[name]
    if name.endswith("_PORT") and value.startswith("tcp://"):
        return (
            f"{name}={value} was set by Kubernetes for a service of that name, not by you: set {name} to the "
            "port number in the pod's env, or put `enableServiceLinks: false` into its spec"
        )
    secret = any(part in name for part in ("PASSWORD", "SECRET", "TOKEN", "KEY", "DATABASE_URL"))
    return f"{name}={'…' if secret else repr(value)} is malformed: {reason}"

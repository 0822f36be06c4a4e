"""Settings: environment and `.env` to typed values, and errors that name what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.settings import SettingsError, load_settings, local_url, variable_names


def test_defaults_are_those_of_the_contract() -> None:
    """With nothing set, ports, bounds and switches have the documented defaults."""
    settings = load_settings({}, None)
    assert (settings.api.api_host, settings.api.api_port, settings.api.api_workers) == ("127.0.0.1", 8000, 1)
    assert (settings.redis.redis_port, settings.redis.redis_logs_max_size) == (6379, 1000)
    assert settings.redis.redis_stream_max_entries == 1_000_000
    assert settings.journal.journal_max_bytes == 1024**3
    assert (settings.store.es_port, settings.store.retention_days) == (9200, 90)
    assert (settings.ui.gradio_port, settings.pipeline.poll_interval) == (7860, 10)
    assert settings.pipeline.pipeline_sources == ("redis",)
    assert settings.observing.profile_budget == 0.05
    assert settings.security.auth_enabled is False


def test_environment_goes_before_the_file(tmp_path: Path) -> None:
    """A variable of the process wins over the same one in `.env`."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("API_PORT=8001\nGRADIO_PORT=7001\n")
    settings = load_settings({"API_PORT": "8002"}, dotenv)
    assert (settings.api.api_port, settings.ui.gradio_port) == (8002, 7001)


def test_empty_values_count_as_unset() -> None:
    """`REDIS_HOST=` means that no server was named, and an empty port is the default port."""
    settings = load_settings({"REDIS_HOST": "", "API_PORT": "", "ES_PASSWORD": ""}, None)
    assert settings.redis.redis_host is None
    assert settings.redis.address == ("127.0.0.1", 6379)
    assert settings.api.api_port == 8000
    assert settings.store.es_password is None


def test_lists_are_split_at_commas() -> None:
    """List-like settings are written with commas, stray spaces allowed."""
    settings = load_settings({"PIPELINE_SOURCES": "redis, http", "CORS_ORIGINS": "https://a.example"}, None)
    assert settings.pipeline.pipeline_sources == ("redis", "http")
    assert settings.security.cors_origins == ("https://a.example",)


def test_unknown_name_in_the_file_is_an_error(tmp_path: Path) -> None:
    """Any unknown name in `.env` stops the start, with the nearest name when there is one."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("ES_PROT=9200\nCOLOUR=blue\n")
    with pytest.raises(SettingsError) as error:
        load_settings({}, dotenv)
    assert "ES_PROT" in str(error.value)
    assert "did you mean ES_PORT?" in str(error.value)
    assert "COLOUR" in str(error.value)
    assert ".env.example" in str(error.value)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("REDIS_PROT", "REDIS_PORT"),
        ("MODEL_PAHT", "MODEL_PATH"),
        ("ES_HOSTS", "ES_HOST"),
        ("RATE_LIMT", "RATE_LIMIT"),
    ],
)
def test_near_miss_in_the_environment_is_an_error(typo: str, meant: str) -> None:
    """A name within edit distance 2 of one of ours stops the start and names the right one."""
    with pytest.raises(SettingsError, match=f"{typo}.*did you mean {meant}"):
        load_settings({typo: "1"}, None)


def test_other_names_in_the_environment_are_nobodys_business() -> None:
    """The environment is shared: what is not near one of our names is ignored."""
    assert load_settings({"PATH": "/bin", "HOME": "/root", "LANG": "C", "DEMO_SECONDS": "3"}, None)


def test_kubernetes_service_link_is_explained() -> None:
    """REDIS_PORT=tcp://… is what Kubernetes sets for a service called redis; the message says so."""
    with pytest.raises(
        SettingsError, match=r"REDIS_PORT=tcp://10\.0\.0\.1:6379 was set by Kubernetes.*enableServiceLinks"
    ):
        load_settings({"REDIS_PORT": "tcp://10.0.0.1:6379"}, None)


def test_every_malformed_value_is_named_at_once() -> None:
    """All faults are in one message, so that nobody fixes them one by one."""
    with pytest.raises(SettingsError) as error:
        load_settings({"API_PORT": "99999", "DISPLAY_TIMEZONE": "Mars/Olympus", "LOG_LEVEL": "LOUD"}, None)
    for name in ("API_PORT='99999'", "DISPLAY_TIMEZONE='Mars/Olympus'", "LOG_LEVEL='LOUD'"):
        assert name in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "me-space.hf.space",
        "ftp://x",
        "http://",
        "https://user:secret@x.example",
        "http://[::1 x",
        "https://x?y",
    ],
)
def test_a_front_end_is_an_address_without_credentials(url: str) -> None:
    """What cannot be polled, or would show a password in every message, is refused at the start."""
    with pytest.raises(SettingsError, match="GRADIO_URL"):
        load_settings({"GRADIO_URL": url}, None)


def test_secrets_are_not_printed() -> None:
    """A malformed secret is named without its value, and settings print no secret."""
    settings = load_settings({"REDIS_PASSWORD": "s3cret", "ES_API_KEY": "k3y"}, None)
    assert "s3cret" not in repr(settings)
    assert "k3y" not in repr(settings)


def test_urls_follow_host_and_port() -> None:
    """API_URL and GRADIO_URL follow the listening address; a listen-on-all address is reached locally."""
    settings = load_settings(
        {"API_HOST": "0.0.0.0", "API_PORT": "81", "GRADIO_URL": "https://ui.example"}, None
    )
    assert settings.api.url == "http://127.0.0.1:81"
    assert settings.ui.url == "https://ui.example"
    assert local_url("10.1.2.3", 5) == "http://10.1.2.3:5"


@given(st.sampled_from(sorted(variable_names())), st.text(alphabet="xyzXYZ", min_size=1, max_size=2))
def test_a_name_with_two_letters_too_many_is_never_silent(name: str, extra: str) -> None:
    """Whatever our variable, a slip of up to two letters at its end is refused."""
    if name + extra in variable_names():
        return
    with pytest.raises(SettingsError, match=name):
        load_settings({name + extra: "1"}, None)

"""What Redis says is turned into what is wrong and what to do, from real answers of a real Redis."""

from __future__ import annotations

import pytest
import redis
from tests.servers import RedisServer, free_port

from vigie.telemetry.stream.redis_faults import redis_fault
from vigie.telemetry.stream.stream import Record, Stream, connect

ITEMS = [Record(1, b"{}")]


def told(stream: Stream) -> str:
    """Return what is said of the error that a write raises."""
    with pytest.raises(redis.RedisError) as raised:
        stream.write("producer", ITEMS)
    assert redis_fault(raised.value) == redis_fault(f"{type(raised.value).__name__}: {raised.value}")
    return redis_fault(raised.value).told("Redis at h:1")


def test_each_refusal_of_redis_comes_with_its_remedy(own_redis: RedisServer) -> None:
    """Without memory, as a replica, without rights, without a password, with a key of another kind."""
    stream = Stream.open(own_redis.settings())
    admin = redis.Redis(port=own_redis.port)
    admin.config_set("maxmemory", 1)
    assert told(stream) == (
        "Redis at h:1 has no memory left (maxmemory): raise its maxmemory, or remove what else it holds"
    )
    admin.config_set("maxmemory", 0)
    admin.set("api_logs", "somebody else's")
    assert "give the platform a REDIS_DB of its own" in told(stream)
    admin.delete("api_logs")
    admin.acl_setuser("reader", enabled=True, passwords=["+x"], commands=["+@read"], keys=["*"])
    reader = own_redis.settings(redis_username="reader", redis_password="x")
    assert "give the user of REDIS_USERNAME all commands" in told(Stream.open(reader))
    assert "set REDIS_PASSWORD" in told(Stream.open(own_redis.settings(redis_password="wrong")))
    admin.replicaof("127.0.0.1", str(free_port()))
    assert "point REDIS_HOST at the primary" in told(stream)
    admin.replicaof("NO", "ONE")
    admin.config_set("requirepass", "secret")
    assert "set REDIS_PASSWORD" in told(Stream.open(own_redis.settings()))


def test_a_full_disk_and_loading_are_told() -> None:
    """In the words of Redis itself, which a test cannot easily make it say."""
    full = redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device")
    assert "free space" in redis_fault(full).told()
    loading = redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory")
    assert "it comes back by itself" in redis_fault(loading).told()


def test_nobody_there_names_the_settings() -> None:
    """What is not known otherwise is an address that does not answer."""
    settings = RedisServer.settings(RedisServer(free_port(), None, None))  # type: ignore[arg-type]  # never started
    with pytest.raises(redis.RedisError) as raised:
        connect(settings).ping()
    said = redis_fault(raised.value).told()
    assert said.startswith("Redis does not answer (ConnectionError: ")
    assert said.endswith("check REDIS_HOST and REDIS_PORT")

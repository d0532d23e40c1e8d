"""The embedded Redis: which server is chosen, how it is run, and what happens to one left behind."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from headgate_cli.run.embedded_redis import EmbeddedRedis, RedisMissing, RedisServer, RedisUnusable, find_server
from redis import Redis


def executable(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@contextmanager
def running(embedded: EmbeddedRedis) -> Iterator[subprocess.Popen[bytes]]:
    server = find_server()
    embedded.prepare(server)
    process = subprocess.Popen(embedded.command(server), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 20
        while not embedded.answers():
            assert process.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_server_on_the_path_comes_first(tmp_path: Path) -> None:
    path = executable(tmp_path / "bin", "valkey-server", "Server v=8.1.0 sha=0:0")
    assert find_server(str(tmp_path / "bin")) == RedisServer(path, (8, 1))


def test_an_old_server_is_passed_over_and_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate_cli.run.embedded_redis.WHEELS", {})
    executable(tmp_path / "bin", "redis-server", "Redis server v=5.0.7 sha=0:0")
    with pytest.raises(RedisMissing, match=r"redis-server \(is 5\.0\).*apt install redis-server"):
        find_server(str(tmp_path / "bin"))


def test_it_is_durable_private_and_has_no_network(short_dir: Path) -> None:
    embedded = EmbeddedRedis(short_dir, max_memory="64mb")
    with running(embedded), Redis(unix_socket_path=str(embedded.socket), decode_responses=True) as client:
        config = client.config_get("*")
        durable = {
            "appendonly": "yes",
            "appendfsync": "always",
            "no-appendfsync-on-rewrite": "no",
            "maxmemory-policy": "noeviction",
            "port": "0",
            "save": "",
        }
        assert {name: config[name] for name in durable} == durable
        # As it is asked for: what is the default today need not stay it.
        command = embedded.command(find_server())
        asked = dict(zip(command[1::2], command[2::2], strict=False))
        assert {name: asked[f"--{name}"] for name in durable} == durable
        assert config["maxmemory"] == str(64 * 1024 * 1024)
        assert embedded.socket.stat().st_mode & 0o777 == 0o600
        assert embedded.socket.parent.stat().st_mode & 0o777 == 0o700
        assert short_dir.stat().st_mode & 0o777 == 0o700


def test_data_survives_a_kill(short_dir: Path) -> None:
    embedded = EmbeddedRedis(short_dir)
    with running(embedded), Redis(unix_socket_path=str(embedded.socket)) as client:
        client.set("kept", "yes")
    with running(embedded), Redis(unix_socket_path=str(embedded.socket)) as client:
        assert client.get("kept") == b"yes"


def test_an_orphan_is_shut_down(short_dir: Path) -> None:
    embedded = EmbeddedRedis(short_dir)
    with running(embedded) as process:
        assert embedded.stop_orphan()
        assert process.wait(10) == 0
    assert not embedded.stop_orphan()


def test_a_long_socket_path_is_named(tmp_path: Path) -> None:
    embedded = EmbeddedRedis(tmp_path / ("x" * 100))
    with pytest.raises(RedisUnusable, match=r"redis\.sock is \d+ bytes long and may be 103.*--data-dir"):
        embedded.prepare(RedisServer(Path("redis-server"), (7, 2)))


def test_data_of_a_later_server_is_not_opened_empty(short_dir: Path) -> None:
    (short_dir / "redis" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(RedisUnusable, match="written by Redis 7"):
        EmbeddedRedis(short_dir).prepare(RedisServer(Path("redis-server"), (6, 2)))

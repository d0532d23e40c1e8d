"""What each process is told of headgate.toml."""

import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from headgate_cli.run.data_dir import DataDir
from headgate_cli.run.processes import NamedProjects, Place, forwarder_config, gateway_config, service_config
from headgate_cli.settings.reader import SettingsInvalid, read_settings
from headgate_cli.settings.settings import Settings
from headgate_service.control_db.secret_box import read_keys

TOML = """
[http]
address = "[::1]:9000"
[grpc]
address = "0.0.0.0:9001"
[gateway]
token = "shared"
[redis]
url = "redis://redis.internal"
[limits]
rate = "7/30s"
log_bytes = "1MiB"
[log]
keep = "1h"
[codcompass]
project = "site"
origins = { "shop.example" = "shop" }
[[sinks]]
name = "hook"
use = "webhook"
projects = ["shop"]
when_full = "refuse"
config = { url = "https://example.com" }
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "headgate.toml").write_text(TOML)
    return read_settings(tmp_path / "headgate.toml", {})


@pytest.fixture
def alone(tmp_path: Path) -> Place:
    return Place(DataDir(tmp_path / "data"), supervised=False)


def test_the_service_is_told_limits_routes_and_which_sinks_refuse(settings: Settings, alone: Place) -> None:
    config = service_config(settings, alone)
    assert (config.grpc_host, config.grpc_port) == ("0.0.0.0", 9001)  # noqa: S104 (compared)
    assert config.limits.keys is not None
    assert (config.limits.keys.requests, config.limits.keys.window_ms) == (7, 30_000)
    assert (config.limits.addresses, config.limits.grpc) == (None, None)
    assert config.log_bound_bytes == 1024 * 1024
    assert config.public_route.project_for("https://shop.example") == "shop"
    assert config.public_route.project_for("https://other.example") == "site"
    assert [(sink.name, sink.refuses_when_full, sink.projects) for sink in config.sinks] == [
        ("jsonl", True, None),
        ("hook", True, frozenset({"shop"})),
    ]


def test_a_process_alone_writes_no_ready_file_and_has_no_socket_for_gateways(settings: Settings, alone: Place) -> None:
    config = service_config(settings, alone)
    assert (config.ready_file, config.gateway_socket) == (None, None)
    assert gateway_config(settings, alone).ready_file is None


def test_the_gateway_finds_the_service_behind_a_wildcard(settings: Settings, alone: Place) -> None:
    config = gateway_config(settings, alone)
    assert (config.http_host, config.http_port) == ("::1", 9000)
    assert (config.service_address, config.gateway_token) == ("127.0.0.1:9001", "shared")


def test_a_gateway_alone_needs_the_shared_secret(alone: Place) -> None:
    with pytest.raises(SettingsInvalid, match=r"gateway\.token: .*HEADGATE_GATEWAY_TOKEN"):
        gateway_config(Settings(), alone)


def test_a_process_alone_needs_to_know_its_redis(alone: Place) -> None:
    with pytest.raises(SettingsInvalid, match=r"redis\.url: .*HEADGATE_REDIS_URL"):
        service_config(Settings(), alone)


def test_the_forwarder_is_told_sinks_and_what_to_keep(settings: Settings, alone: Place) -> None:
    config = forwarder_config(settings, alone, {"NAME": "value"}, lambda slugs: slugs)
    assert [(sink.name, sink.use, sink.projects, sink.when_full) for sink in config.sinks] == [
        ("jsonl", "jsonl", None, None),
        ("hook", "webhook", frozenset({"shop"}), "refuse"),
    ]
    assert config.sinks[1].settings == {"url": "https://example.com"}
    assert (config.keep_seconds, config.backlog_bytes, config.owner) == (3600, 1024 * 1024, None)
    assert config.environment == {"NAME": "value"}


def test_a_supervised_forwarder_keeps_its_name_over_restarts(settings: Settings, tmp_path: Path) -> None:
    place = Place(DataDir(tmp_path / "data"), supervised=True)
    place.data_dir.make()
    names = {forwarder_config(settings, place, {}, lambda slugs: slugs).owner for _ in range(2)}
    assert len(names) == 1
    assert None not in names


@dataclass
class Known:
    id: str
    slug: str


class FakeDirectory:
    def __init__(self) -> None:
        self.projects = [Known("prj_1", "shop")]

    def remembered(self, id_or_slug: str) -> Known | None:
        return next((project for project in self.projects if id_or_slug in (project.id, project.slug)), None)


def test_a_sink_of_named_projects_serves_one_that_is_made_later() -> None:
    directory = FakeDirectory()
    named = NamedProjects(frozenset({"shop", "app"}), directory)  # type: ignore[arg-type]
    assert "prj_1" in named
    assert "prj_2" not in named
    directory.projects.append(Known("prj_2", "app"))
    assert "prj_2" in named
    directory.projects.append(Known("prj_3", "other"))
    assert "prj_3" not in named


KIND = """
from headgate_sinks import Config, Sink, Spec, hookimpl


class TestedSink(Sink[Config]):
    use = "tested"
    Config = Config
    spec = Spec(when_full="refuse")

    async def write(self, batch): ...


@hookimpl
def headgate_register_sinks():
    return [TestedSink]
"""


@pytest.mark.parametrize(("source", "refuses"), [(KIND, True), ("raise RuntimeError", False), ("exit()", False)])
def test_a_strangers_plugin_says_what_it_does_when_full_from_a_process_of_its_own(
    tmp_path: Path, alone: Place, monkeypatch: pytest.MonkeyPatch, source: str, refuses: bool
) -> None:
    info = tmp_path / "tested_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tested-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headgate.sinks.v1]\ntested = tested_plugin\n")
    (tmp_path / "tested_plugin.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    settings = Settings.model_validate({"redis": {"url": "redis://r"}, "sinks": [{"name": "mine", "use": "tested"}]})
    assert [(sink.name, sink.refuses_when_full) for sink in service_config(settings, alone).sinks] == [
        ("jsonl", True),
        ("mine", refuses),
    ]
    assert "tested_plugin" not in sys.modules


def test_the_key_of_secrets_is_made_once_and_for_its_owner_alone(alone: Place) -> None:
    with ThreadPoolExecutor(8) as many:
        made = set(many.map(lambda _: alone.data_dir.secrets_key(), range(32)))
    assert len(made) == 1
    (key,) = read_keys(made.pop())
    assert len(key) == 32
    files = [(file.name, stat.S_IMODE(file.stat().st_mode)) for file in alone.data_dir.path.iterdir()]
    assert files == [("secrets.key", 0o600)]

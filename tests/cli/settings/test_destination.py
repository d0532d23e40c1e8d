"""Where settings go: each reaches a field that exists, or is read by name."""

import dataclasses
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from headgate_cli.run.data_dir import DataDir
from headgate_cli.run.processes import Place, forwarder_config, service_config, store_config
from headgate_cli.settings.accounts import JwtSettings
from headgate_cli.settings.destination import To
from headgate_cli.settings.reader import read_settings
from headgate_cli.settings.section import Section, section_of
from headgate_cli.settings.settings import Settings
from headgate_cli.settings.sinks import SinkSettings
from headgate_gateway.config import Config as GatewayConfig
from headgate_service.config import Config as ServiceConfig
from headgate_service.config import ProjectSinkRules
from headgate_service.delivery.config import Config as ForwarderConfig
from headgate_service.model.jwt_issuer import JwtIssuer
from headgate_service.model.sink import SinkSpec
from headgate_service.store.config import Config as StoreConfig

CONFIGS = {
    Settings: {
        "service": ServiceConfig,
        "gateway": GatewayConfig,
        "forwarder": ForwarderConfig,
        "store": StoreConfig,
        "project_sinks": ProjectSinkRules,
    },
    SinkSettings: {"service": SinkSpec, "forwarder": SinkSpec},
    JwtSettings: {"service": JwtIssuer},
}
# These mean something to the command line itself, or need more than their value.
READ_BY_NAME = {
    "accounts.owner",
    "codcompass.origins",
    "codcompass.project",
    "control.database_url",
    "control.secrets_key",
    "gateway.in_process",
    "jwt.jwks_file",
    "jwt.key_file",
    "jwt.projects",
    "jwt.secret",
    "jwt.types",
    "proxies.trusted",
    "redis.max_memory",
    "sinks.fields.exclude",
    "sinks.fields.include",
    "sinks.fields.rename",
    "sinks.projects",
    "store.address",
    "store.enabled",
    "tls.grpc.certificate",
    "tls.grpc.client_ca",
    "tls.grpc.key",
    "tls.http.certificate",
    "tls.http.key",
}


def settings_of(model: type[Section], path: str = "", root: type[Section] = Settings) -> Iterator[tuple[str, Any, Any]]:
    for name, field in model.model_fields.items():
        targets = [target for mark in field.metadata if isinstance(mark, To) for target in mark.fields]
        inner = section_of(field.annotation)
        if inner is None or targets:
            yield f"{path}{name}", targets, root
        if inner is not None:
            yield from settings_of(inner, f"{path}{name}.", inner if inner in CONFIGS else root)


def field_exists(config: Any, path: list[str]) -> bool:
    hint = get_type_hints(config).get(path[0])
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint is None:
        return {f"{path[0]}_host", f"{path[0]}_port"} <= {field.name for field in dataclasses.fields(config)}
    return len(path) == 1 or field_exists(hint, path[1:])


@pytest.mark.parametrize(("setting", "targets", "root"), list(settings_of(Settings)))
def test_a_setting_names_a_field_that_exists(setting: str, targets: list[str], root: type[Section]) -> None:
    for process, *path in (target.split(".") for target in targets):
        assert field_exists(CONFIGS[root][process], path), f"{setting} goes to {process}.{'.'.join(path)}"


def test_every_setting_goes_somewhere() -> None:
    assert {setting for setting, targets, _ in settings_of(Settings) if not targets} == READ_BY_NAME


def test_values_fit_the_fields_that_get_them(tmp_path: Path) -> None:
    file = tmp_path / "headgate.toml"
    file.write_text("""
[redis]
url = "redis://r"
[accounts]
session_idle = "2h"
login_attempts = "3/5m"
[service]
metrics = "[::1]:9100"
[tls.grpc]
certificate = "c.pem"
key = "k.pem"
[store]
max_memory = "1GiB"
query_seconds = "2m"
[deploy]
sinks = ["segment"]
[[sinks]]
name = "hook"
use = "webhook"
route = 'event.name == "buy"'
memory = "64MiB"
fields = { exclude = ["user_id"] }
""")
    settings = read_settings(file, {})
    place = Place(DataDir(tmp_path), supervised=False)
    plain = settings.model_copy(update={"tls": Settings().tls})
    service = service_config(plain, place)
    assert service.sessions.idle_ms == 2 * 3_600_000
    assert (service.attempts.account.requests, service.attempts.account.window_ms) == (3, 300_000)
    assert service.attempts.address == ServiceConfig.__dataclass_fields__["attempts"].default_factory().address
    assert (service.metrics_host, service.metrics_port) == ("::1", 9100)
    assert service.project_sink_rules == ProjectSinkRules(frozenset({"segment"}))
    assert [sink.route and sink.route.source for sink in service.sinks] == [None, 'event.name == "buy"']
    forwarder = forwarder_config(plain, place, {}, lambda slugs: slugs)
    (hook,) = (sink for sink in forwarder.sinks if sink.name == "hook")
    assert (hook.memory, hook.fields and hook.fields.exclude) == (64 * 1024**2, ("user_id",))
    assert {type(size) for size in (hook.memory, forwarder.keep_bytes, service.log_bound_bytes)} == {int}
    store = store_config(plain, place)
    assert (store.memory, store.query_seconds, store.host) == (1024**3, 120, None)

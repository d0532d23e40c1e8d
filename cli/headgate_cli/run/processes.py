"""Runs one process of Headgate by its settings: alone, or as a child of `headgate up`.

The packages of the processes are loaded only where they run.
"""

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Container, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvloop
from headgate_service.config import ProjectSinkRules
from headgate_service.directory.directory import Directory
from headgate_service.project_sinks.source import ProjectSinkChanges

from headgate_cli.run.certificates import check_gateway, check_grpc, check_http
from headgate_cli.run.core_log import formed_core_log
from headgate_cli.run.data_dir import DataDir
from headgate_cli.run.open_files import most_connections, raise_open_files
from headgate_cli.run.parent import beating
from headgate_cli.settings.accounts import JwtSettings
from headgate_cli.settings.destination import build_config
from headgate_cli.settings.reader import SettingsInvalid
from headgate_cli.settings.settings import Settings
from headgate_cli.settings.sinks import SinkSettings
from headgate_cli.settings.values import Address


def _issuer(jwt: JwtSettings) -> "JwtIssuer":
    from headgate_service.model.jwt_issuer import JwtIssuer, KeysInvalid

    issuer = build_config(
        JwtIssuer,
        "service",
        jwt,
        jwks=_text("jwks_file", jwt.jwks_file),
        key=jwt.secret or _text("key_file", jwt.key_file),
        types=frozenset(kind.lower() for kind in jwt.types),
        projects=None if "*" in jwt.projects else frozenset(jwt.projects),
    )
    try:
        issuer.own_keys()
    except KeysInvalid as error:
        raise SettingsInvalid(f"jwt: the keys of {jwt.issuer}: {error}") from None
    return issuer


def _owner(settings: Settings) -> str:
    from headgate_service.auth.users import valid_email
    from headgate_service.errors import InvalidArgument

    try:
        return valid_email(settings.accounts.owner)
    except InvalidArgument as error:
        raise SettingsInvalid(f"accounts.owner: {error.message}") from None


def _text(setting: str, path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"jwt.{setting}: {path} cannot be read: {error}") from None


@dataclass(frozen=True)
class NamedProjects(Container[str]):
    """Holds the ids of the projects that have one of these slugs; one that is made later is held from then on."""

    slugs: frozenset[str]
    directory: Directory

    def __contains__(self, project_id: object) -> bool:
        if not isinstance(project_id, str):
            return False
        # A deleted one too: what it had accepted before is still to be delivered.
        project = self.directory.remembered(project_id)
        return project is not None and (project.slug in self.slugs or project.id in self.slugs)


if TYPE_CHECKING:
    from headgate_gateway.config import Config as GatewayConfig
    from headgate_service.config import Config as ServiceConfig
    from headgate_service.delivery.config import Config as ForwarderConfig
    from headgate_service.model.jwt_issuer import JwtIssuer
    from headgate_service.store.config import Config as StoreConfig
    from headgate_sinks import Spec
    from headgate_sinks.sdk.sink import WhenFull

# How long a third-party plugin may take to say what its kind of sink is like, before the service starts without it.
INSPECTION_SECONDS = 10.0

# Turns the slugs that a sink is limited to into something that holds the ids of those projects.
ProjectsNamed = Callable[[frozenset[str]], Container[str]]


@dataclass(frozen=True)
class Place:
    """Where a process runs, and whether `headgate up` watches over it and waits for its ready file."""

    data_dir: DataDir
    supervised: bool


def run_service(settings: Settings, place: Place) -> None:
    """`headgate service`. Raises SettingsInvalid."""
    raise_open_files()
    from headgate_service.main import serve

    with formed_core_log():
        _run(serve(service_config(settings, place)), place)


def run_gateway(settings: Settings, place: Place) -> None:
    """`headgate gateway`. Raises SettingsInvalid."""
    with formed_core_log():
        _run(_gateway(settings, place), place)


async def _gateway(settings: Settings, place: Place) -> None:
    from headgate_gateway.main import serve

    config = gateway_config(settings, place)
    if not settings.gateway.in_process:
        await serve(config)
        return
    from headgate_cli.run.in_process_core import serve_in_process

    await serve_in_process(service_config(settings, place), partial(serve, config))


def run_forwarder(settings: Settings, place: Place, environ: Mapping[str, str]) -> None:
    """`headgate forward`. Raises SettingsInvalid."""
    raise_open_files()
    _run(_forward(settings, place, environ), place)


def run_store(settings: Settings, place: Place) -> None:
    """`headgate store`. Raises SettingsInvalid."""
    raise_open_files()
    from headgate_service.store.engine import EngineError, EngineMissing
    from headgate_service.store.main import StoreHeld, serve

    try:
        _run(serve(store_config(settings, place)), place)
    except (EngineMissing, EngineError, StoreHeld) as error:
        raise SettingsInvalid(f"store: {error}") from None


def _run(serving: Coroutine[Any, Any, None], place: Place) -> None:
    uvloop.run(beating(serving) if place.supervised else serving)


async def _forward(settings: Settings, place: Place, environ: Mapping[str, str]) -> None:
    from headgate_service.delivery.main import serve

    async with contextlib.AsyncExitStack() as held:
        projects_named = deployed = None
        if any(sink.only_projects is not None for sink in settings.known_sinks):
            projects_named = await held.enter_async_context(_projects_by_name(settings, place))
        config = forwarder_config(settings, place, environ, projects_named or _nobody_asks)
        if place.supervised:
            place.data_dir.ready_file("forwarder").touch()
        if settings.deploy.sinks:
            deployed = await held.enter_async_context(_deployed_sinks(settings, place))
        await serve(config, deployed)


@contextlib.asynccontextmanager
async def _deployed_sinks(settings: Settings, place: Place) -> "AsyncIterator[ProjectSinkChanges]":
    """What looks projects' own sinks up in the control database."""
    from headgate_service.control_db.database import ControlDb
    from headgate_service.control_db.secret_box import SecretBox
    from headgate_service.project_sinks.source import ProjectSinkChanges

    database = ControlDb(database_url(settings, place.data_dir))
    try:
        box = SecretBox(secrets_keys(settings, place), secrets.token_bytes)
        yield ProjectSinkChanges(database, box, project_sink_rules(settings))
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def _projects_by_name(settings: Settings, place: Place) -> AsyncIterator[ProjectsNamed]:
    """What looks slugs up in the control database, which is loaded (130 ms, 20 MB) only where a sink needs it."""
    from headgate_service.control_db.database import ControlDb
    from headgate_service.directory.directory import Directory
    from headgate_service.directory.snapshot import ControlChanges

    database = ControlDb(database_url(settings, place.data_dir))
    # Only slugs are read from it: old ones are better than none, however long the database is away.
    directory = Directory(ControlChanges(database), clock=time.monotonic, trust_seconds=math.inf)
    watching = None
    try:
        # Before the first event: a sink that does not know its projects would pass them over.
        await directory.refresh()
        watching = asyncio.create_task(directory.run())
        yield lambda slugs: NamedProjects(slugs, directory)
    finally:
        if watching is not None:
            watching.cancel()
        await database.close()


def _nobody_asks(slugs: frozenset[str]) -> Container[str]:
    raise AssertionError(f"no sink is limited to projects, and yet to {slugs}")


def service_config(settings: Settings, place: Place) -> "ServiceConfig":
    """Build the Config of a service. Raises SettingsInvalid."""
    from headgate_service.config import Config
    from headgate_service.model.sink import SinkSpec

    check_grpc(settings)
    refusing = {sink.name for sink, when_full in _when_full(settings.running_sinks) if when_full == "refuse"}
    return build_config(
        Config,
        "service",
        settings,
        admin_socket=place.data_dir.admin_socket,
        gateway_socket=place.data_dir.service_socket if place.supervised else None,
        database_url=database_url(settings, place.data_dir),
        redis_url=redis_url(settings),
        # Without a shared secret no gateway is let in: a random one keeps all of them out.
        gateway_token=settings.gateway.token or secrets.token_urlsafe(32),
        first_start_file=place.data_dir.first_start_file,
        ready_file=place.data_dir.ready_file("service") if place.supervised else None,
        sinks=tuple(
            build_config(
                SinkSpec,
                "service",
                sink,
                when_full="refuse" if sink.name in refusing else "expire",
                projects=sink.only_projects,
            )
            for sink in settings.known_sinks
        ),
        project_sink_rules=project_sink_rules(settings),
        secrets_keys=secrets_keys(settings, place) if settings.deploy.sinks else (),
        owner_email=_owner(settings),
        jwt=tuple(_issuer(jwt) for jwt in settings.jwt),
    )


def gateway_config(settings: Settings, place: Place) -> "GatewayConfig":
    """Build the Config of a gateway. Raises SettingsInvalid."""
    from headgate_gateway.config import Config, networks

    if settings.gateway.token is None:
        raise SettingsInvalid(
            "gateway.token: a gateway that runs without `headgate up` needs the secret its service knows: set it for "
            "both, best as $HEADGATE_GATEWAY_TOKEN"
        )
    check_http(settings)
    connections = most_connections(raise_open_files())
    if connections < settings.http.connections:
        structlog.get_logger().warning(
            "the limit of open files allows fewer connections than http.connections",
            allowed=connections,
            connections=settings.http.connections,
        )
    if not place.supervised:
        check_gateway(settings)
    return build_config(
        Config,
        "gateway",
        settings,
        service_address=settings.gateway.service or str(Address.parse(settings.grpc.address).reachable),
        trusted_proxies=networks(settings.proxies.trusted),
        max_connections=min(connections, settings.http.connections),
        ready_file=place.data_dir.ready_file("gateway") if place.supervised else None,
    )


def forwarder_config(
    settings: Settings, place: Place, environ: Mapping[str, str], projects_named: ProjectsNamed
) -> "ForwarderConfig":
    """Build the Config of a forwarder. Sinks' `env:` secrets are looked up in `environ`. Raises SettingsInvalid."""
    from headgate_service.delivery.config import Config
    from headgate_service.model.sink import SinkSpec

    return build_config(
        Config,
        "forwarder",
        settings,
        redis_url=redis_url(settings),
        data_dir=place.data_dir.path,
        sinks=tuple(
            build_config(
                SinkSpec,
                "forwarder",
                sink,
                projects=None if sink.only_projects is None else projects_named(sink.only_projects),
            )
            for sink in settings.known_sinks
        ),
        environment=environ,
        store_url=settings.store.url,
        # `up` never runs two at once, so its next one need not wait for the leases of a killed one.
        owner=place.data_dir.owner() if place.supervised else None,
    )


def project_sink_rules(settings: Settings) -> "ProjectSinkRules":
    """Build the rules of what project sinks may do."""
    from headgate_service.config import ProjectSinkRules

    return build_config(ProjectSinkRules, "project_sinks", settings)


def secrets_keys(settings: Settings, place: Place) -> tuple[bytes, ...]:
    """Read the keys that encrypt the secrets of project sinks."""
    from headgate_service.control_db.secret_box import read_keys

    return tuple(read_keys(settings.control.secrets_key or place.data_dir.secrets_key()))


def store_config(settings: Settings, place: Place) -> "StoreConfig":
    """Build the Config of a store."""
    from headgate_service.store.config import Config

    data_dir = place.data_dir
    public = Address.parse(settings.store.address) if settings.store.address else None
    return build_config(
        Config,
        "store",
        settings,
        folder=data_dir.store,
        socket=data_dir.store_socket,
        host=public.host if public else None,
        port=public.port if public else 0,
        password=data_dir.store_key() if public else "",
        ready_file=data_dir.ready_file("store") if place.supervised else None,
    )


def redis_url(settings: Settings) -> str:
    """Where Redis is. Raises SettingsInvalid where only `headgate up` would know."""
    if settings.redis.url is None:
        raise SettingsInvalid(
            "redis.url: a process that runs without `headgate up` needs it: set it, or $HEADGATE_REDIS_URL"
        )
    return settings.redis.url


def database_url(settings: Settings, data_dir: DataDir) -> str:
    """Where the control database is. Raises SettingsInvalid."""
    if settings.control.database_url is None:
        return data_dir.database_url
    from headgate_service.control_db.database import DatabaseUrlInvalid, driven

    try:
        return driven(settings.control.database_url)
    except DatabaseUrlInvalid as error:
        raise SettingsInvalid(f"control.database_url: {error}") from None


def _when_full(sinks: Sequence[SinkSettings]) -> "Iterator[tuple[SinkSettings, WhenFull]]":
    from headgate_sinks.sdk.host import load, third_party

    # Where the operator leaves it to the plugin, only the plugin can tell. A stranger's is not loaded into this
    # process, and one that does not load stops nothing.
    asked = {sink.use for sink in sinks if sink.when_full is None}
    strangers = {use for use in asked if third_party(use)}
    specs = {use: kind.spec for use, kind in load(sorted(asked - strangers)).sinks.items()}
    if strangers:
        specs |= _inspected(sorted(strangers))
    for sink in sinks:
        spec = specs.get(sink.use)
        yield sink, sink.when_full or (spec.when_full if spec else "expire")


def _inspected(uses: Sequence[str]) -> "dict[str, Spec]":
    from headgate_service.delivery.plugin_worker.inspection import inspect
    from headgate_sinks import Spec

    found = inspect(uses, INSPECTION_SECONDS)
    for use, kind in found.items():
        if not isinstance(kind, Spec):
            message = "a plugin does not say what its sink does when it is full: `expire` is taken"
            structlog.get_logger().warning(message, use=use, reason=kind.reason)
    return {use: kind for use, kind in found.items() if isinstance(kind, Spec)}

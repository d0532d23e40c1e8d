"""What a tenant may say of its own sinks. Whoever deploys is a stranger to the operator's machine and network: nothing
in a deployed sink may read the operator's files, variables or vaults, or connect to where the operator's own things
are."""

import ipaddress
import socket
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from headgate_sinks.sdk.host import load
from headgate_sinks.sdk.sink import Kind, Misconfigured
from headgate_sinks.transport.address_guard import AddressGuard, AddressRefused
from headgate_sinks.transport.http import HttpConfig
from headgate_sinks.webhook import signing_key
from pydantic import SecretStr, ValidationError
from yarl import URL

from headgate_service.config import ProjectSinkRules
from headgate_service.failure import Fault
from headgate_service.model.event_view import Fields, FieldsInvalid
from headgate_service.model.project_route import project_route
from headgate_service.model.route import RouteInvalid
from headgate_service.policy.config_faults import did_you_mean, pointer
from headgate_service.policy.project_sink import MASK, FieldChoice, ProjectSinkConfig, Secret, StoredSecret

MAX_SINK_BYTES = 16 * 1024
MOST = {"max_events": 1_000, "max_bytes": 1024 * 1024, "max_age": 60, "timeout": 60}
"""Of settings that take the forwarder's memory and time."""

# A sink that fails keeps its batch in memory, and many tenants' may fail at once.
_BATCH_BYTES = 256 * 1024

_REFERENCES = ("env:", "file:")
# Stands for a secret that was checked when it was first deployed.
_STAND_IN = "whsec_c3RvcmVkIHdoZW4gaXQgd2FzIGRlcGxveWVk"
_LOCAL = ("localhost", "localhost.localdomain")


def running_settings(
    sink: ProjectSinkConfig, rules: ProjectSinkRules, reveal: Callable[[Secret], str]
) -> dict[str, Any]:
    """What a sink runs with."""
    size = min(_kind(sink.use).spec.limits.bytes, _BATCH_BYTES)
    return {"max_bytes": size, **sink.settings(reveal), "allow_private": rules.allow_private}


def project_sink_faults(sinks: Sequence[ProjectSinkConfig], rules: ProjectSinkRules) -> list[Fault]:
    """Everything that is wrong with a project's sinks, by its place in the config; nothing is connected to.

    It loads plugins and compiles routes, which takes up to 300 ms: in a service, call it in a thread.
    """
    faults = [fault for place, sink in enumerate(sinks) for fault in _sink_faults(sink, rules, ("sinks", place))]
    names = [sink.name for sink in sinks]
    for place, name in enumerate(names):
        if name in names[:place]:
            faults.append(Fault(pointer("sinks", place, "name"), f"{name!r} is another sink's name already"))
    return faults


_Place = tuple[str | int, ...]


def _sink_faults(sink: ProjectSinkConfig, rules: ProjectSinkRules, place: _Place) -> Iterator[Fault]:
    if sink.route is not None:
        try:
            project_route(sink.route)
        except RouteInvalid as error:
            yield Fault(pointer(*place, "route"), str(error))
    if sink.fields is not None:
        try:
            chosen_fields(sink.fields)
        except FieldsInvalid as error:
            yield Fault(pointer(*place, "fields"), str(error))
    yield from _secret_faults(sink, place)
    if sink.use not in rules.kinds:
        known = ", ".join(sorted(rules.kinds)) or "none"
        meant = did_you_mean(sink.use, rules.kinds)
        yield Fault(pointer(*place, "use"), f"{sink.use!r} is not a kind that projects may use here: {known}{meant}")
        return
    if not _fits(sink.config):
        yield Fault(pointer(*place, "config"), f"is over {MAX_SINK_BYTES} bytes of JSON, or no JSON")
        return
    yield from _setting_faults(sink, rules, place)


def _secret_faults(sink: ProjectSinkConfig, place: _Place) -> Iterator[Fault]:
    for inner, secret in sink.each_secret():
        where = pointer(*place, "secrets", *inner)
        if isinstance(secret, StoredSecret):
            continue
        text = secret.get_secret_value()
        if text.startswith(_REFERENCES):
            yield Fault(
                where,
                "refers to the operator's machine: give the secret itself. In headgate.yaml `env:NAME` and `file:PATH`"
                " are read where `headgate deploy` runs",
            )
        elif not text.isprintable():
            yield Fault(where, "holds a line break or another character that cannot be printed")
        elif text == MASK:
            yield Fault(where, "is the placeholder of a hidden secret: give the secret itself")
        elif sink.use == "webhook" and inner[0] == "secret":
            try:
                signing_key(text)
            except Misconfigured as error:
                yield Fault(where, str(error).removeprefix("`secret` "))


def _setting_faults(sink: ProjectSinkConfig, rules: ProjectSinkRules, place: _Place) -> Iterator[Fault]:
    model = _kind(sink.use).Config
    secret_names = {name for name, field in model.model_fields.items() if _is_secret(field.annotation)}
    for name in sink.config:
        if name == "allow_private":
            yield Fault(pointer(*place, "config", name), "is the operator's to decide")
        elif name in secret_names:
            yield Fault(pointer(*place, "config", name), f"is a secret: put it into `secrets`, as {name!r}")
    for name in sink.secrets:
        if name not in secret_names:
            known = ", ".join(sorted(secret_names))
            yield Fault(pointer(*place, "secrets", name), f"is not a secret of a {sink.use}, which has {known}")
    try:
        read = model.model_validate(running_settings(sink, rules, lambda _: _STAND_IN))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            if detail["loc"][:1] not in [(name,) for name in {*sink.secrets, "allow_private"} - secret_names]:
                yield _fault(detail["loc"], detail["msg"], secret_names, place)
    else:
        for name, most in MOST.items():
            if (getattr(read, name) or 0) > most:
                yield Fault(pointer(*place, "config", name), f"must be at most {most} in a project's own sink")
    yield from _address_faults(sink.config, rules, place)


def _fault(steps: Sequence[Any], message: str, secret_names: set[str], place: _Place) -> Fault:
    # Of a setting with several forms pydantic adds the form's name to the place.
    named = [step for step in steps if not (isinstance(step, str) and ("[" in step or step == "SecretStr"))]
    part = "secrets" if named and named[0] in secret_names else "config"
    words = {"Field required": "is required", "Extra inputs are not permitted": "unknown setting"}
    message = words.get(message, message.removeprefix("Value error, "))
    return Fault(pointer(*place, part, *named), message[:1].lower() + message[1:])


def _address_faults(config: Mapping[str, Any], rules: ProjectSinkRules, place: _Place) -> Iterator[Fault]:
    for name, value in config.items():
        if isinstance(value, str) and value.lower().startswith(("http://", "https://")):
            try:
                host = URL(value).host or ""
            except ValueError:
                # Its own validation says so.
                continue
            if (message := _private(host, rules)) is not None:
                yield Fault(pointer(*place, "config", name), message)


def _private(host: str, rules: ProjectSinkRules) -> str | None:
    """Why a host cannot be connected to, as far as its name tells: what it resolves to is checked when connecting."""
    bare = host.rstrip(".").lower()
    if (bare in _LOCAL or bare.endswith(".localhost")) and not rules.allow_private:
        return f"{host} is the operator's own machine: a project's sink posts to public addresses"
    address = _literal(bare)
    if address is None:
        return None
    try:
        AddressGuard(host, rules.allow_private).check(address)
    except AddressRefused:
        return f"{host} is a private, reserved or otherwise special address: a project's sink posts to public ones"
    return None


def _literal(host: str) -> str | None:
    """The address that a host is, in any form that a system's resolver takes for one."""
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        # As `2130706433`, `0x7f.1` or `0177.0.0.1`.
        return str(ipaddress.IPv4Address(socket.inet_aton(host)))
    except (OSError, ValueError):
        return None


def chosen_fields(choice: FieldChoice) -> Fields:
    """Raises FieldsInvalid."""
    return Fields(choice.include, choice.exclude, choice.rename)


def _fits(config: Mapping[str, Any]) -> bool:
    try:
        return len(orjson.dumps(config)) <= MAX_SINK_BYTES
    except TypeError:
        return False


@lru_cache
def _kind(use: str) -> type[Kind[Any]]:
    kind = load([use]).sinks[use]
    # Whatever is listed above: only such a sink connects through the guard.
    if not issubclass(kind.Config, HttpConfig):
        raise TypeError(f"the sink {use!r} is not guarded")
    return kind


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_is_secret, typing.get_args(annotation)))

"""Finds the dialects that a gateway serves. Built-in ones are registered exactly as a stranger's are."""

import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from headgate_dialects import builtin
from headgate_dialects.sdk import hookspecs
from headgate_dialects.sdk.api import Api
from headgate_dialects.sdk.dialect import Dialect
from headgate_dialects.sdk.hookspecs import ENTRY_POINTS

_HOOK = "headgate_register_dialects"
_METHODS = ("parse", "accepted", "refused", "rejected", "operation", "components")
# Of the gateway itself, now or later.
_RESERVED = ("/api", "/v1", "/app")
_OWN_PATHS = frozenset({"/livez", "/readyz", "/metrics", "/openapi.json", "/hg.js"})
# They mean something else where events name their API.
_RESERVED_NAMES = frozenset({"grpc", "plugin", "unspecified"})


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a plugin cannot be used: `reason` in one line, `details` the traceback where the plugin raised."""

    plugin: str
    reason: str
    details: str = ""


@dataclass(slots=True)
class Loaded:
    """The dialects that can be served, and the plugins that cannot, by name."""

    dialects: list[Dialect] = field(default_factory=list)
    broken: dict[str, Broken] = field(default_factory=dict)
    plugins: dict[str, str] = field(default_factory=dict)
    """By the name of a dialect: the plugin that it is of; empty for a built-in one."""


class Faulty(Exception):
    """What is wrong with a plugin, where it is not an exception of its own."""


def built_in() -> Sequence[Dialect]:
    """The dialects that come with Headgate, by name."""
    return load(()).dialects


def installed(name: str) -> Sequence[EntryPoint]:
    """The entry points of that name."""
    return tuple(entry_points(group=ENTRY_POINTS, name=name))


def load(plugins: Iterable[str], find: Callable[[str], Sequence[EntryPoint]] = installed) -> Loaded:
    """Imports the built-in dialects and the plugins of these names, and no other. One that fails is reported, none of
    its dialects is served, and it stops nothing else."""
    loaded = Loaded()
    for module in pkgutil.iter_modules(builtin.__path__):
        _add(loaded, "", importlib.import_module(f"{builtin.__name__}.{module.name}"))
    for name in dict.fromkeys(plugins):
        try:
            _add(loaded, name, _only(name, find(name)).load())
        except Faulty as fault:
            loaded.broken[name] = Broken(name, str(fault))
        # A stranger's code runs here, and may fail in any way, `sys.exit` at import included.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            reason = f"the plugin {name!r} failed to load: {type(error).__name__}: {error}"
            loaded.broken[name] = Broken(name, reason, traceback.format_exc())
    return loaded


def _only(name: str, points: Sequence[EntryPoint]) -> EntryPoint:
    if not points:
        raise Faulty(f"no installed package provides the dialect {name!r}: install its plugin, or correct its name")
    if len({point.value for point in points}) > 1:
        owners = ", ".join(sorted(point.dist.name if point.dist else point.value for point in points))
        raise Faulty(f"several installed packages provide the dialect {name!r} ({owners}): uninstall all but one")
    return points[0]


def _add(loaded: Loaded, plugin: str, module: Any) -> None:
    # Each plugin has a host of its own, so that one that raises keeps no other from being called.
    host = pluggy.PluginManager(ENTRY_POINTS)
    host.add_hookspecs(hookspecs)
    _check_hooks(host, module)
    host.register(module)
    dialects = [dialect for answer in host.hook.headgate_register_dialects() for dialect in answer]
    if not dialects:
        raise Faulty(f"it registers no dialect: return one from {_HOOK}, marked with @headgate_dialects.hookimpl")
    # All or none: half an API would be worse than none.
    accepted: list[Dialect] = []
    for dialect in dialects:
        check(dialect, [*loaded.dialects, *accepted], own=not plugin)
        accepted.append(dialect)
    loaded.dialects += accepted
    loaded.plugins |= {dialect.api.name: plugin for dialect in accepted}


def _check_hooks(host: pluggy.PluginManager, module: Any) -> None:
    for name in dir(module):
        options = host.parse_hookimpl_opts(module, name)
        hook = name if options is None else options.get("specname") or name
        if options is not None and hook != _HOOK:
            raise Faulty(f"there is no hook {hook!r}: the one hook is {_HOOK}")
        if options is None and name.startswith("headgate_") and inspect.isfunction(getattr(module, name, None)):
            raise Faulty(f"{name!r} is not marked as a hook: put @headgate_dialects.hookimpl on it, or rename it")


def check(dialect: Any, others: Sequence[Dialect], *, own: bool) -> None:
    """Raises Faulty where a dialect cannot be served beside others; `own` is for those that come with Headgate."""
    api = getattr(dialect, "api", None)
    if not isinstance(api, Api):
        raise Faulty(f"{type(dialect).__name__} has no `api`: give it a headgate_dialects.Api")
    missing = [name for name in _METHODS if not callable(getattr(dialect, name, None))]
    if missing:
        raise Faulty(f"the dialect {api.name!r} lacks {', '.join(missing)}")
    if api.name in _RESERVED_NAMES or any(api.name == other.api.name for other in others):
        raise Faulty(f"the name {api.name!r} is taken: give the dialect another")
    taken = {route.path: other.api.name for other in others for route in other.api.routes}
    for path in _paths(api):
        if path in taken:
            raise Faulty(f"the path {path} of {api.name!r} is one of the dialect {taken[path]!r}")
        if path in _OWN_PATHS or (not own and any(path == one or path.startswith(f"{one}/") for one in _RESERVED)):
            raise Faulty(f"the path {path} of {api.name!r} is Headgate's own: paths under {', '.join(_RESERVED)} are")
    _check_document(dialect, others)


def _paths(api: Api) -> Sequence[str]:
    paths = [route.path for route in api.routes]
    if len(set(paths)) < len(paths):
        raise Faulty(f"{api.name!r} names a path twice")
    return paths


def _check_document(dialect: Dialect, others: Sequence[Dialect]) -> None:
    name, operation = dialect.api.name, dialect.operation()
    if not operation.get("operationId") or not operation.get("responses"):
        raise Faulty(f"the operation of {name!r} lacks `operationId` or `responses`")
    if any(operation["operationId"] == other.operation()["operationId"] for other in others):
        raise Faulty(f"the operation id {operation['operationId']!r} of {name!r} is taken")
    named = {(kind, one) for other in others for kind, ones in other.components().items() for one in ones}
    for kind, components in dialect.components().items():
        if clash := sorted(one for one in components if (kind, one) in named):
            raise Faulty(f"the components {', '.join(clash)} of {name!r} are another dialect's: prefix their names")

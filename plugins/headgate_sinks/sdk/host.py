"""Finds the sink classes that a configuration names. Built-in ones are found exactly as a stranger's are."""

import difflib
import inspect
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import pluggy

from headgate_sinks import ENTRY_POINTS
from headgate_sinks.sdk import hookspecs
from headgate_sinks.sdk.secret import SecretMissing
from headgate_sinks.sdk.sink import AnySink

_PREFIX = "headgate_"
HOOKS = tuple(name for name, found in vars(hookspecs).items() if name.startswith(_PREFIX) and inspect.isfunction(found))


class HookUnknown(Exception):
    """A function that looks like a hook and would never be called."""


class Hooked(Protocol):
    """A plugin, wherever its hooks run."""

    @property
    def name(self) -> str: ...

    @property
    def hook(self) -> Any:
        """Its methods are the hooks."""

    def implements(self, hook: str) -> bool: ...


class Plugin:
    """Every plugin has a host of its own, so that one that raises keeps no other from being called."""

    def __init__(self, name: str, module: Any) -> None:
        """Raises HookUnknown, and PluginValidationError where a hook takes arguments that it is not given."""
        self.name = name
        host = pluggy.PluginManager(ENTRY_POINTS)
        host.add_hookspecs(hookspecs)
        _check_hooks(host, module)
        host.register(module, name=name)
        self.hook: Any = host.hook

    def implements(self, hook: str) -> bool:
        return bool(getattr(self.hook, hook).get_hookimpls())


def _check_hooks(host: pluggy.PluginManager, module: Any) -> None:
    for name in dir(module):
        found = getattr(module, name, None)
        options = host.parse_hookimpl_opts(module, name)
        hook = name if options is None else options.get("specname") or name
        if options is not None and hook not in HOOKS:
            near = difflib.get_close_matches(hook, HOOKS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known hooks: {', '.join(HOOKS)}"
            raise HookUnknown(f"there is no hook {hook!r}: {hint}")
        if options is None and name.startswith(_PREFIX) and inspect.isfunction(found):
            raise HookUnknown(f"{name!r} is not marked as a hook: put @headgate_sinks.hookimpl on it, or rename it")


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a kind of sink cannot be used: `reason` in one line, `details` the traceback where the plugin raised."""

    use: str
    reason: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The sink classes by their `use`, those that could not be loaded, and each plugin that could, once."""

    sinks: dict[str, type[AnySink]] = field(default_factory=dict)
    broken: dict[str, Broken] = field(default_factory=dict)
    plugins: list[Hooked] = field(default_factory=list)

    def resolve_secret(self, reference: str) -> str | None:
        """What the first plugin that knows the reference says; None where none does. Raises SecretMissing."""
        for plugin in self.plugins:
            try:
                secret = plugin.hook.headgate_resolve_secret(reference=reference)
            except SecretMissing:
                raise
            # A stranger's code, whose message may hold what it was to keep.
            except Exception as error:  # noqa: BLE001
                raise SecretMissing(
                    f"the plugin {plugin.name!r} failed to resolve a secret: {type(error).__name__}"
                ) from None
            if secret is not None:
                return str(secret)
        return None


def installed(use: str) -> Sequence[EntryPoint]:
    """The entry points of that name."""
    return tuple(entry_points(group=ENTRY_POINTS, name=use))


def third_party(name: str, find: Callable[[str], Sequence[EntryPoint]] = installed) -> bool:
    """Whether a package other than Headgate provides it, and only one: what cannot be chosen between is not run."""
    points = find(name)
    own = any(point.dist is not None and point.dist.name.lower() == "headgate" for point in points)
    return bool(points) and not own and len({point.value for point in points}) == 1


def load(
    uses: Iterable[str], find: Callable[[str], Sequence[EntryPoint]] = installed, plugins: Iterable[str] = ()
) -> Loaded:
    """Imports the plugins behind `uses`, those named by `plugins`, which need have no sink, and no other. One that
    fails is reported and stops nothing else."""
    loaded = Loaded()
    by_value: dict[str, Plugin] = {}
    sinks = set(uses := list(uses))
    for name in dict.fromkeys((*uses, *plugins)):
        try:
            point = _only(name, find(name))
            if point.value not in by_value:
                by_value[point.value] = Plugin(name, point.load())
            if name in sinks:
                loaded.sinks[name] = _sink(name, by_value[point.value], point)
        except _Faulty as fault:
            loaded.broken[name] = Broken(name, str(fault))
        # A stranger's code runs here, and may fail in any way, `sys.exit` at import included.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            reason = f"the plugin of the sink {name!r} failed to load: {type(error).__name__}: {error}"
            loaded.broken[name] = Broken(name, reason, traceback.format_exc())
    loaded.plugins.extend(by_value.values())
    return loaded


class _Faulty(Exception):
    """What is wrong with a plugin, where it is not an exception of its own."""


def _only(name: str, points: Sequence[EntryPoint]) -> EntryPoint:
    if not points:
        raise _Faulty(f"no installed package provides the sink {name!r}: install its plugin, or correct its name")
    if len({point.value for point in points}) > 1:
        owners = ", ".join(sorted(point.dist.name if point.dist else point.value for point in points))
        raise _Faulty(f"several installed packages provide the sink {name!r} ({owners}): uninstall all but one")
    return points[0]


def _sink(use: str, plugin: Plugin, point: EntryPoint) -> type[AnySink]:
    sinks: list[type[AnySink]] = [sink for answer in plugin.hook.headgate_register_sinks() for sink in answer]
    for sink in sinks:
        if sink.use == use:
            return sink
    known = ", ".join(repr(sink.use) for sink in sinks) or "none"
    raise _Faulty(f"the plugin {point.value} registers no sink with use = {use!r}, but {known}")

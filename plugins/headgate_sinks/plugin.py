"""One loaded plugin, with the hooks that it implements."""

import difflib
import inspect
from typing import Any, Protocol

import pluggy

from headgate_sinks import ENTRY_POINTS, hookspecs

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

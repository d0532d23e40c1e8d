"""Finds the sink classes that a configuration names. Built-in ones are found exactly as a stranger's are."""

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

import pluggy

from headgate_sinks import ENTRY_POINTS, hookspecs
from headgate_sinks.sync_sink import AnySink


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a kind of sink cannot be used: `reason` in one line, `details` the traceback where the plugin raised."""

    use: str
    reason: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The sink classes by their `use`, and those that could not be loaded."""

    sinks: dict[str, type[AnySink]] = field(default_factory=dict)
    broken: dict[str, Broken] = field(default_factory=dict)


def installed(use: str) -> Sequence[EntryPoint]:
    """The entry points of that name."""
    return tuple(entry_points(group=ENTRY_POINTS, name=use))


def load(uses: Iterable[str], find: Callable[[str], Sequence[EntryPoint]] = installed) -> Loaded:
    """Imports the plugins behind `uses`, and no other. A plugin that fails is reported and stops nothing else."""
    loaded = Loaded()
    for use in dict.fromkeys(uses):
        found = _load_one(use, find(use))
        if isinstance(found, Broken):
            loaded.broken[use] = found
        else:
            loaded.sinks[use] = found
    return loaded


def _load_one(use: str, points: Sequence[EntryPoint]) -> type[AnySink] | Broken:
    if not points:
        return Broken(use, f"no installed package provides the sink {use!r}: install its plugin, or correct `use`")
    if len({point.value for point in points}) > 1:
        owners = ", ".join(sorted(point.dist.name if point.dist else point.value for point in points))
        return Broken(use, f"several installed packages provide the sink {use!r} ({owners}): uninstall all but one")
    host = pluggy.PluginManager(ENTRY_POINTS)
    host.add_hookspecs(hookspecs)
    try:
        host.register(points[0].load(), name=use)
        host.check_pending()
        sinks = [sink for answer in host.hook.headgate_register_sinks() for sink in answer]
        chosen = [sink for sink in sinks if sink.use == use]
    # A stranger's code runs here, and may fail in any way, `sys.exit` at import included.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        reason = f"the plugin of the sink {use!r} failed to load: {type(error).__name__}: {error}"
        return Broken(use, reason, traceback.format_exc())
    if not chosen:
        return Broken(use, f"the plugin {points[0].value} registers no sink with use = {use!r}")
    sink: type[AnySink] = chosen[0]
    return sink

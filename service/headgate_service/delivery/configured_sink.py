"""Makes a sink of its kind and its configuration."""

from collections.abc import Mapping
from typing import Any

from headgate_sinks import Place, Sink, running
from headgate_sinks.host import Broken, Loaded
from pydantic import ValidationError


def make_sink(use: str, settings: Mapping[str, Any], loaded: Loaded, place: Place) -> Sink[Any] | Broken:
    """The sink, or why there is none. `settings` is its `[sinks.config]`."""
    if use in loaded.broken:
        return loaded.broken[use]
    kind = loaded.sinks[use]
    try:
        return running(kind(kind.Config.model_validate(dict(settings)), place))
    except ValidationError as error:
        # What was given may be a secret: only the names of the fields are shown.
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_context=False, include_url=False)
        )
        return Broken(use, f"`config` of the sink {place.name!r} is wrong: {faults}")
    # A plugin's constructor runs here and may raise anything: it must not keep the other sinks from starting.
    except Exception as error:  # noqa: BLE001
        return Broken(use, f"the sink {place.name!r} cannot be made: {type(error).__name__}: {error}")

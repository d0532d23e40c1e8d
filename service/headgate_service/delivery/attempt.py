"""Runs a plugin's code and turns whatever happens into an outcome."""

import asyncio
import math
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Any

from headgate_sinks import Misconfigured, Outcome, Place, Reject, Result, Retry, Sink, TooLarge, running
from headgate_sinks.sdk.host import Broken, Loaded
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


MAX_MESSAGE_BYTES = 1_000
MAX_CODE_BYTES = 64
MAX_DETAILS_BYTES = 8_000


def cut(text: Any, most: int = MAX_MESSAGE_BYTES) -> str:
    """A plugin's text in at most so many bytes of UTF-8; one that was longer ends in a mark that says so."""
    if not isinstance(text, str):
        return "" if text is None else f"({type(text).__name__}, not a text)"
    whole = text.encode(errors="replace")
    if len(whole) <= most:
        return whole.decode()
    mark = f"... (cut, {len(whole)} bytes)"
    return whole[: most - len(mark)].decode(errors="ignore") + mark


def bounded(broken: Broken) -> Broken:
    """Why a plugin cannot be used, in texts of a bounded size."""
    return replace(broken, reason=cut(broken.reason), details=cut(broken.details, MAX_DETAILS_BYTES))


class Crashed(Retry):
    """The sink's process ended while it wrote the batch; of several that it wrote, any may be why."""


async def attempt(call: Awaitable[Any], seconds: float | None) -> Any:
    """What the call returns, or the outcome that it raised. Never raises but when cancelled. None: no deadline."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except (Retry, Misconfigured, TooLarge) as outcome:
        return outcome
    except TimeoutError as error:
        return Retry(f"the sink did not finish within {seconds:g} s" if seconds else f"TimeoutError: {error}")
    # A plugin's code runs here and may raise anything: whatever it is, the batch comes again.
    except Exception as error:  # noqa: BLE001
        return Retry(f"{type(error).__name__}: {error}")


def checked(outcome: Any, events: int) -> Outcome:
    """The outcome of a batch of so many events, or what is wrong with the plugin that returned it.

    Its texts are bounded here: they go to Redis, to logs and to people.
    """
    match outcome:
        case Retry(events=places) if places is not None and not all(0 <= place < events for place in places):
            return Misconfigured("the sink's plugin retries events that are not in the batch: correct the plugin")
        case Retry() | Misconfigured() | TooLarge():
            outcome.message = cut(outcome.message)
            outcome.args = (outcome.message,)
            if isinstance(outcome, Retry) and outcome.after is not None and math.isnan(outcome.after):
                # A pause of it would be none at all.
                outcome.after = None
            return outcome
        case Result(rejected=rejected):
            if all(0 <= index < events for reject in rejected for index in reject.events):
                return Result(
                    tuple(Reject(one.events, cut(one.code, MAX_CODE_BYTES), cut(one.message)) for one in rejected)
                )
            return Misconfigured("the sink's plugin rejected events that are not in the batch: correct the plugin")
        case _:
            returned = cut(type(outcome).__name__, MAX_CODE_BYTES)
            return Misconfigured(f"the sink's plugin returned {returned}, no outcome: correct the plugin")

"""Sinks: how each fares, what it gave up, and what can be done about it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from headgate_gateway.app_api import delivery as api
from headgate_gateway.app_api.caller import Failure
from headgate_gateway.app_api.operation import Operation
from headgate_gateway.web.page import Answer, Here, Redirect, View

LETTERS = 100
_DONE = {
    "pause": "{sink} is paused. Its events wait until it is resumed.",
    "resume": "{sink} goes on.",
    "delivered": "{sink} wrote the test event {note}.",
    "retry": "{note} dead letters are sent to {sink} again.",
    "purge": "{note} dead letters of {sink} are deleted. Their events stay counted as dead.",
}
_OF_SINK: Mapping[str, Operation] = {"pause": api.PAUSE_SINK, "resume": api.RESUME_SINK, "test": api.TEST_SINK}
_OF_LETTERS: Mapping[str, tuple[Operation, str]] = {
    "retry": (api.RETRY_DEAD_LETTERS, "queued"),
    "purge": (api.PURGE_DEAD_LETTERS, "purged"),
}


async def sinks(here: Here) -> Answer:
    """Every sink, and the dead letters of the one that is chosen."""
    chosen = here.visit.query("sink")
    query = {"limit": str(LETTERS), **({"sink": chosen} if chosen else {})}
    found, letters = await asyncio.gather(
        here.visit.ask(api.LIST_SINKS, here.path), here.visit.ask(api.LIST_DEAD_LETTERS, here.path, query)
    )
    done = _DONE.get(here.visit.query("done"), "")
    return View(
        "sinks.html",
        {
            "page": "sinks",
            "sinks": found["sinks"],
            "chosen": chosen,
            "letters": letters["deadLetters"],
            "most": LETTERS,
            "done": done.format(sink=chosen, note=here.visit.query("note")) if done else "",
            "failed": here.visit.query("failed")[:2_000],
        },
    )


async def act(here: Here) -> Answer:
    """Pauses, resumes or tests a sink, or sends its dead letters again or deletes them."""
    form = await here.visit.form()
    sink, does = form.get("sink", ""), form.get("do", "")
    if does in _OF_SINK:
        done = await here.visit.ask(_OF_SINK[does], {**here.path, "sink": sink.rpartition("/")[2]})
        if does == "test":
            return _tested(here, sink, done)
        return Redirect(here.url("sinks", sink=sink, done=does))
    if does not in _OF_LETTERS:
        raise Failure(400, "bad_request", "The form does not say what to do.")
    if does == "purge" and form.get("confirm", "").strip() != sink:
        raise Failure(400, "not_confirmed", f"Nothing was deleted. To delete dead letters of {sink}, type its name.")
    operation, count = _OF_LETTERS[does]
    ids = {"ids": [form["letter"]]} if form.get("letter") else {}
    done = await here.visit.ask(operation, here.path, body={"sink": sink, **ids})
    return Redirect(here.url("sinks", sink=sink, done=does, note=done[count]))


def _tested(here: Here, sink: str, done: Mapping[str, Any]) -> Answer:
    if done["delivered"]:
        return Redirect(here.url("sinks", sink=sink, done="delivered", note=done["eventId"]))
    return Redirect(here.url("sinks", sink=sink, failed=f"{sink} did not write the test event: {done['message']}"))


async def letter(here: Here, letter: str) -> Answer:
    """One dead letter with its event."""
    answer = await here.visit.ask(api.GET_DEAD_LETTER, {**here.path, "letter": letter})
    found = orjson.loads(orjson.dumps(answer["deadLetter"]))
    return View("letter.html", {"page": "sinks", "letter": found})

"""A forwarder in a process of its own, which ends without a word where its plan says so.

The plan, as JSON in the first argument: Config's fields, `deployed`: [project, shard, version, SinkSpec's fields] of
each sink of a project's own, and `exit_after`: [step, n], to end at the n-th time that the
step was done, or ["any", n] at the n-th of all steps.
"""

import asyncio
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

from headgate_service.delivery.config import Config
from headgate_service.delivery.main import serve
from headgate_service.delivery.project_sink import ProjectSink, SinkChanges
from headgate_service.model.route import Route
from headgate_service.model.sink import SinkSpec

plan = json.loads(sys.argv[1])
wanted, left = plan.pop("exit_after", (None, 0))
deployed = plan.pop("deployed", [])
for sink in [*plan["sinks"], *(one[3] for one in deployed)]:
    sink["route"] = Route(sink["route"]) if sink.get("route") else None
plan["sinks"] = tuple(SinkSpec(**sink) for sink in plan["sinks"])
plan["data_dir"] = Path(plan["data_dir"])
quick = {"lease": 1.5, "backoff_first": 0.05, "backoff_longest": 0.2, "pause": 0.2, "expire_check": 0.1, "trim": 0.1}


class Deployed:
    """What is deployed, which does not change."""

    async def load(self, since: int) -> SinkChanges:
        sinks = defaultdict(list)
        for project, shard, version, fields in deployed:
            config = SinkSpec(**fields, projects=frozenset({project}))
            sinks[project].append(ProjectSink(config, project, shard, version))
        return SinkChanges(since, 1, {} if since == 1 else sinks)


def on_step(step: str) -> None:
    global left
    if wanted in (step, "any"):
        left -= 1
        if left == 0:
            os._exit(77)


asyncio.run(serve(Config(**{**quick, **plan}), Deployed(), on_step=on_step))

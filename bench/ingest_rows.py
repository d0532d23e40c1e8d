"""Rows of ingestion: the four APIs and gRPC through a whole `headgate up`."""

from functools import partial

from bench import bodies
from bench.bodies import Body
from bench.headgate_up import JSONL, NO_SINKS, HeadgateUp, Sinks
from bench.loaded import grpc_load, http_load, under_load
from bench.row import Figures, Row
from bench.stage import Stage

GZIP = {True: "-gzip", False: ""}


def rows(stage: Stage) -> list[Row]:
    http = [
        *(
            ("realanalytics", bodies.realanalytics(events), gzip)
            for events, gzip in ((1, False), (100, False), (100, True))
        ),
        *(("xaiku", bodies.xaiku(events), gzip) for events, gzip in ((1, False), (5, False), (5, True))),
        *(("codcompass", bodies.codcompass(events), gzip) for events, gzip in ((1, False), (100, False), (100, True))),
        *(("prompting-company", bodies.prompting_company(), gzip) for gzip in (False, True)),
    ]
    grpc = [(1, False, False), (100, False, False), (100, False, True), (1, True, False), (100, True, False)]
    return [
        *(_http_row(stage, api, body, gzip) for api, body, gzip in http),
        *(
            Row(
                "ingest",
                f"{api}-{body.events}-in-process",
                f"{api}, {_events(body.events)}, the gateway judging and appending by itself",
                partial(_http, stage, body, gzip=False, sinks=NO_SINKS, in_process=True),
            )
            for api, body, gzip in http
            if not gzip
        ),
        *(_grpc_row(stage, *shape) for shape in grpc),
        *(
            Row(
                "ingest",
                f"realanalytics-{events}-to-jsonl",
                f"RealAnalytics, {_events(events)}, while the forwarder writes all of them into jsonl on the same core",
                partial(_http, stage, bodies.realanalytics(events), gzip=False, sinks=JSONL),
            )
            for events in (1, 100)
        ),
    ]


def _http_row(stage: Stage, api: str, body: Body, gzip: bool) -> Row:
    title = f"{api}, {_events(body.events)}{', gzip' if gzip else ''}"
    return Row(
        "ingest", f"{api}-{body.events}{GZIP[gzip]}", title, partial(_http, stage, body, gzip=gzip, sinks=NO_SINKS)
    )


def _grpc_row(stage: Stage, events: int, stream: bool, gzip: bool) -> Row:
    kind = "stream" if stream else "unary"
    title = f"gRPC {kind}, {_events(events)}{', gzip' if gzip else ''}"
    return Row("ingest", f"grpc-{kind}-{events}{GZIP[gzip]}", title, partial(_grpc, stage, events, stream, gzip))


def _events(count: int) -> str:
    return f"{count} event{'s' if count > 1 else ''} a request"


def _up(stage: Stage, sinks: Sinks, *, in_process: bool = False) -> HeadgateUp:
    name = f"headgate{' to jsonl' if sinks == JSONL else ''}{' in process' if in_process else ''}"
    return stage.running(name, HeadgateUp, partial(HeadgateUp, stage.cores, sinks, in_process=in_process))


def _http(stage: Stage, body: Body, *, gzip: bool, sinks: Sinks, in_process: bool = False) -> Figures:
    up = _up(stage, sinks, in_process=in_process)
    key = up.organisation if body.path.startswith("/api/v1/analytics/events") else up.public
    return under_load(up, http_load(up, body, stage, (key,), gzip=gzip), body.events, stage)


def _grpc(stage: Stage, events: int, stream: bool, gzip: bool) -> Figures:
    up = _up(stage, NO_SINKS)
    return under_load(up, grpc_load(up, stage, events, stream=stream, gzip=gzip), events, stage)

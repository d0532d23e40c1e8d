"""The sinks of analytics vendors in the conformance kit, against servers that answer as the vendors document."""

import asyncio
import contextlib
import json
from typing import ClassVar

from aiohttp import web
from headgate_sinks.conformance import (
    AnswerLost,
    NotAllowed,
    Poison,
    RateLimited,
    Refuses,
    Silent,
    SinkConformance,
    TakesOnly,
    TakesSome,
    Target,
    Unavailable,
)
from headgate_sinks.mixpanel import MixpanelSink
from headgate_sinks.posthog import PosthogSink
from headgate_sinks.segment import SegmentSink

# What the sinks put beside the client's properties.
ADDED = frozenset(
    {
        "$geoip_disable", "$insert_id", "$lib", "$process_person_profile", "distinct_id", "event_id",
        "project_id", "time",
    }
)  # fmt: skip
WHOLE = "its answer speaks of the request as a whole"


class Vendor(Target):
    """Keeps a record once by what the vendor documents; `records` finds them in a request."""

    def __init__(self):
        self.fault = None
        self.kept = {}
        self.url = ""

    async def received(self):
        return [
            {
                "eventId": record["properties"]["event_id"],
                "name": record["event"],
                "properties": {name: value for name, value in record["properties"].items() if name not in ADDED},
            }
            for record in self.kept.values()
        ]

    async def arm(self, fault):
        self.fault = fault

    def records(self, said):
        return said["batch"]

    def taken(self, records):
        return web.json_response({"status": 1})

    def refused(self, records, places):
        return web.Response(status=400)

    async def post(self, request):
        records = self.records(json.loads(await request.read()))
        match self.fault:
            case Unavailable():
                return web.Response(status=503)
            case RateLimited(after=after):
                return web.Response(status=429, headers={} if after is None else {"Retry-After": f"{after:g}"})
            case NotAllowed():
                return web.Response(status=401)
            case TakesOnly(events=most) if len(records) > most:
                return web.Response(status=413)
            case Refuses():
                return self.refused(records, range(len(records)))
            case Poison(event=poison):
                places = [place for place, one in enumerate(records) if one["properties"]["event_id"] == poison]
                if places:
                    return self.refused(records, places)
            case Silent():
                await asyncio.Event().wait()
        self.keep(records)
        if self.fault == AnswerLost():
            request.transport.close()
        return self.taken(records)

    def keep(self, records):
        for record in records:
            self.kept[self.key(record)] = record


class Posthog(Vendor):
    def key(self, record):
        return record["uuid"], record["event"], record["distinct_id"], record["timestamp"][:10]


class Mixpanel(Vendor):
    def records(self, said):
        return said

    def key(self, record):
        own = record["properties"]
        return record["event"], own["time"], own["distinct_id"], own["$insert_id"]

    def taken(self, records):
        return web.json_response({"code": 200, "num_records_imported": len(records), "status": "OK"})

    def refused(self, records, places):
        self.keep([record for place, record in enumerate(records) if place not in places])
        failed = [{"index": place, "field": "event", "message": "refused"} for place in places]
        imported = len(records) - len(failed)
        return web.json_response(
            {"code": 400, "failed_records": failed, "num_records_imported": imported, "status": "Bad Request"},
            status=400,
        )


class Segment(Vendor):
    def key(self, record):
        return record["messageId"]


class VendorConformance(SinkConformance):
    vendor: ClassVar[type[Vendor]]

    @contextlib.asynccontextmanager
    async def target(self, folder):
        vendor = self.vendor()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/{path:.*}", vendor.post)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield vendor
        await runner.cleanup()


class TestPosthog(VendorConformance):
    sink = PosthogSink
    vendor = Posthog
    cannot: ClassVar = {TakesSome: WHOLE}

    def config(self, target):
        return {"host": target.url, "api_key": "phc_s3cret-of-the-project"}


class TestMixpanel(VendorConformance):
    sink = MixpanelSink
    vendor = Mixpanel
    cannot: ClassVar = {TakesSome: "it takes a record or refuses it for good, and never puts one off"}

    def config(self, target):
        account = {"project_id": "117", "username": "headgate", "secret": "env:SECRET"}
        return {"host": target.url, **account}

    def environment(self, target):
        return {"SECRET": "s3cret-of-the-account"}


class TestSegment(VendorConformance):
    sink = SegmentSink
    vendor = Segment
    cannot: ClassVar = {TakesSome: WHOLE}

    def config(self, target):
        return {"host": target.url, "write_key": "s3cret-of-the-source"}

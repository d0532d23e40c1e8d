"""The webhook sink in the conformance kit, against a real HTTP server."""

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
from headgate_sinks.webhook import WebhookSink
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + "c2VjcmV0" * 4


class Receiver(Target):
    """Takes each `webhook-id` once, as Standard Webhooks asks of a receiver."""

    def __init__(self) -> None:
        self.fault = None
        self.ids = set()
        self.events = []
        self.url = ""

    async def received(self):
        return self.events

    async def arm(self, fault):
        self.fault = fault

    async def post(self, request):
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        events = json.loads(body)["data"]["events"]
        match self.fault:
            case Unavailable():
                return web.Response(status=503)
            case RateLimited(after=after):
                return web.Response(status=429, headers={} if after is None else {"Retry-After": f"{after:g}"})
            case NotAllowed():
                return web.Response(status=401)
            case Refuses():
                return web.Response(status=422)
            case Poison(event=event) if any(event == one["eventId"] for one in events):
                return web.Response(status=400)
            case TakesOnly(events=most) if len(events) > most:
                return web.Response(status=413)
            case Silent():
                await asyncio.Event().wait()
        if request.headers["webhook-id"] not in self.ids:
            self.ids.add(request.headers["webhook-id"])
            self.events += events
        if self.fault == AnswerLost():
            request.transport.close()
        return web.Response()


class TestWebhook(SinkConformance):
    sink = WebhookSink
    cannot: ClassVar = {TakesSome: "an HTTP status speaks of the batch as a whole"}

    @contextlib.asynccontextmanager
    async def target(self, folder):
        receiver = Receiver()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/", receiver.post)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield receiver
        await runner.cleanup()

    def config(self, target):
        return {"url": target.url, "secret": SECRET, "headers": {"Authorization": "env:KEY"}, "allow_private": True}

    def environment(self, target):
        return {"KEY": "Bearer s3cret-of-the-receiver"}
